// Orthonormal vectors on the device, made one after the other.
#pragma once

#include <cstdint>

#include "curvseg/device.hpp"
#include "curvseg/tensor.hpp"

namespace curvseg {

/// Memory for some vectors, orthonormalised by classical Gram-Schmidt done twice: as orthogonal as
/// float allows (Giraud, Langou, Rozložník and van den Eshof, Numer. Math. 101, 2005), and in
/// passes of several vectors each. All asynchronous.
class VectorBasis {
 public:
  VectorBasis(const Stream& stream, std::int64_t size, int capacity);

  VectorView vector(int i) const { return {memory_.data() + i * size_, size_}; }

  /// v ← v − Σ_{i < count} q_i·(q_iᵀv), twice. \pre v is none of these q_i
  void project_out(VectorView v, int count);

  /// Makes vector `i` orthogonal to those before it and of unit norm. Where nothing but rounding is
  /// left of it, it becomes 0. `norm` (device, may be nullptr) is what its norm was in between, 0
  /// likewise.
  void orthonormalise(int i, float* norm);

  /// to[0] = q_jᵀv of the last orthonormalise() or project_out(), v as it was before. Device.
  void copy_coefficient(int j, float* to) const;

  std::size_t memory_bytes() const;

 private:
  Stream stream_;
  std::int64_t size_;
  int capacity_;
  DeviceArray<float> memory_;
  DeviceArray<float> coefficients_;  // [2][capacity]: of the first and of the second time
  DeviceArray<float> norms_;         // squared: before, after
  DeviceArray<float> workspace_;
};

}  // namespace curvseg
