// The norm of the gradient, for clipping.
#pragma once

#include <cstdint>

#include "curvseg/device.hpp"
#include "curvseg/tensor.hpp"

namespace curvseg {

/// Σ x² of flat memory, with the workspace for it.
class GradientNorm {
 public:
  GradientNorm(const Device& device, std::int64_t elements);

  /// squared_norm[0] = Σ grad². Asynchronous.
  void compute(const Stream& stream, ConstVectorView grad, float* squared_norm);
  std::size_t memory_bytes() const { return workspace_.bytes(); }

 private:
  std::int64_t elements_;
  DeviceArray<float> workspace_;
};

}  // namespace curvseg
