#include "host/solvers/vector_basis.hpp"

#include <algorithm>

#include "host/solvers/vector_ops.hpp"

namespace curvseg {
namespace {

/// Of a squared norm: vectors in float that lose 18 bits of their 24 to a projection have lost the
/// rest to rounding, the product's and the projection's.
constexpr float kFloor = 0x1p-36f;

}  // namespace

VectorBasis::VectorBasis(const Stream& stream, std::int64_t size, int capacity)
    : stream_(stream),
      size_(size),
      capacity_(capacity),
      memory_(stream.device(), size * capacity),
      coefficients_(stream.device(), 2 * std::int64_t{capacity}),
      norms_(stream.device(), 2),
      workspace_(
          stream.device(),
          static_cast<std::int64_t>(
              dot_products_workspace(stream.device(), size, DotProducts::kMost) / sizeof(float))) {}

void VectorBasis::project_out(VectorView v, int count) {
  const Workspace workspace{workspace_.data(), workspace_.bytes()};
  for (int time = 0; time < 2; ++time) {
    float* coefficients = coefficients_.data() + time * capacity_;
    for (int first = 0; first < count; first += DotProducts::kMost) {
      VectorPair pairs[DotProducts::kMost];
      const int some = std::min(count - first, DotProducts::kMost);
      for (int j = 0; j < some; ++j) pairs[j] = {vector(first + j), v};
      dot_products(stream_, std::span<const VectorPair>(pairs, std::size_t(some)), workspace,
                   coefficients + first);
    }
    if (count > 0)
      combine(
          stream_, count + 1,
          [&](int j) {
            return j == 0 ? VectorTerm{v} : VectorTerm{vector(j - 1), -1.0f, coefficients + j - 1};
          },
          v);
  }
}

void VectorBasis::orthonormalise(int i, float* norm) {
  const Workspace workspace{workspace_.data(), workspace_.bytes()};
  const VectorView v = vector(i);
  float* before = norms_.data();
  float* after = before + 1;
  dot_products(stream_, {{v, v}}, workspace, before);
  project_out(v, i);
  dot_products(stream_, {{v, v}}, workspace, after);
  normalise(stream_, v, after, before, kFloor, norm);
}

void VectorBasis::copy_coefficient(int j, float* to) const {
  float* first = coefficients_.data() + j;
  linear_combination(stream_, {{{first, 1}}, {{first + capacity_, 1}}}, {to, 1});
}

std::size_t VectorBasis::memory_bytes() const {
  return memory_.bytes() + coefficients_.bytes() + norms_.bytes() + workspace_.bytes();
}

}  // namespace curvseg
