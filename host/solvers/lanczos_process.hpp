// The Lanczos process on the device: A·Q = Q·T + β·q·eᵀ with T tridiagonal.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "curvseg/solvers.hpp"
#include "host/solvers/vector_basis.hpp"

namespace curvseg {

/// Every new vector is orthogonalised against all before it, so T has the eigenvalues of A and no
/// copies of them. Scalars stay on the device until read().
class LanczosProcess {
 public:
  /// `name` is that of the public function, for its errors.
  LanczosProcess(const Stream& stream, std::string name, std::int64_t size, int max_steps);

  /// Vector `at` becomes number `index` of the random vectors of `seed`, orthonormal to those
  /// before it; T is cut in two there.
  void begin(int at, std::uint64_t seed, std::uint64_t index, ConstVectorView mask);
  /// From vector `j` on to the next one: column j of T.
  void step(const LinearMap& a, int j);

  /// Waits for columns [from, to) of T. \throws Error if they are not finite.
  void read(int from, int to);
  /// Whether vector `at` of begin() is there, or the space had no more; waits.
  bool began();

  std::span<const double> diagonal(int steps) const {
    return {diagonal_.data(), std::size_t(steps)};
  }
  /// β_j, beside the diagonal: 0 after an invariant subspace, or where T was cut.
  std::span<const double> beside(int steps) const { return {beside_.data(), std::size_t(steps)}; }
  const VectorBasis& basis() const { return basis_; }

 private:
  Stream stream_;
  std::string name_;
  int max_steps_;
  VectorBasis basis_;
  DeviceArray<float> scalars_;  // [2][max_steps]: the diagonal, beside it; then the norm of begin()
  std::vector<float> read_;     // copies write it later than they are asked for
  std::vector<double> diagonal_, beside_;
};

}  // namespace curvseg
