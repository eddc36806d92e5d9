// Sums in double for the scalars of conjugate gradients, as two kernels: blocks store their shares,
// one block adds them and goes on with the scalars.
#pragma once

#include "exec/block_reduce.hpp"
#include "math/long_sum.hpp"
#include "math/product_sums.hpp"
#include "vector/cg.hpp"

namespace curvseg::CURVSEG_TARGET {

/// As dot_products: 64 KiB of each vector.
constexpr __host__ __device__ std::int64_t cg_blocks(std::int64_t n) {
  return sum_blocks(n, 16384);
}

/// What a sum is of, of one element; z is r with its weight.
struct CgValues {
  float x, r, z, b;
};

/// This thread's shares of rᵀr, rᵀz, xᵀ(b + r) and bᵀb, the first `Count` of them, where
/// `update(i)` writes element i of x and r, or of one of them, and returns the values. On a GPU
/// they stay in registers; the host updates a piece, which vectorises, and reads it again from the
/// first-level cache. Without weights z is r, and the first two sums are one.
template <bool Weighted, int Count, class Update>
__device__ __forceinline__ void update_and_sum(double (&sums)[Count], Span span, const CgProblem& p,
                                               const Update& update) {
  CURVSEG_UNROLL
  for (int j = 0; j < Count; ++j) sums[j] = 0.0;
  if constexpr (kStagedOperands) {
    for (std::int64_t i = span.first + threadIdx.x; i < span.last; i += blockDim.x) {
      const CgValues at = update(i);
      const double r = at.r, b = at.b;
      sums[0] += r * r;
      if constexpr (Weighted) sums[1] += r * at.z;
      sums[2] += at.x * (b + r);
      if constexpr (Count > 3) sums[3] += b * b;
    }
  } else {
    constexpr std::int64_t kPiece = 1024;
    for (std::int64_t first = span.first; first < span.last; first += kPiece) {
      const std::int64_t left = span.last - first;
      const std::int64_t length = left < kPiece ? left : kPiece;
      for (std::int64_t i = 0; i < length; ++i) update(first + i);
      const float* const r = p.r + first;
      sums[0] += product_of_piece(r, r, length);
      if constexpr (Weighted) sums[1] += weighted_square(r, p.weights + first, length);
      sums[2] += product_with_sum(p.x + first, p.b + first, r, length);
      if constexpr (Count > 3) sums[3] += product_of_piece(p.b + first, p.b + first, length);
    }
  }
  if constexpr (!Weighted) sums[1] = sums[0];
}

/// partial[j][block] = this block's part of sum j.
template <int Count>
__device__ __forceinline__ void store_partials(const double (&share)[Count], double* partial) {
  auto& scratch = block_shared<SumShared>().scratch;
  CURVSEG_UNROLL
  for (int j = 0; j < Count; ++j) {
    const double sum = block_sum(share[j], scratch);
    if (threadIdx.x == 0) partial[j * static_cast<std::int64_t>(gridDim.x) + blockIdx.x] = sum;
  }
}

/// sum[j] = Σ_b partial[j][b], in every thread of the one block that calls it.
template <int Count>
__device__ __forceinline__ void add_partials(double (&sum)[Count], const double* partial,
                                             std::int64_t partials) {
  thread_sums(sum, partials, [=](std::int64_t i, int j) { return partial[j * partials + i]; });
  auto& scratch = block_shared<SumShared>().scratch;
  CURVSEG_UNROLL
  for (int j = 0; j < Count; ++j) sum[j] = block_sum(sum[j], scratch);
}

}  // namespace curvseg::CURVSEG_TARGET
