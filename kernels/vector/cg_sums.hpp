// Sums in double for the scalars of conjugate gradients, as two kernels: blocks store their shares,
// one block adds them and goes on with the scalars.
#pragma once

#include "exec/block_reduce.hpp"
#include "math/long_sum.hpp"

namespace curvseg::CURVSEG_TARGET {

/// As dot_products: 64 KiB of each vector.
constexpr __host__ __device__ std::int64_t cg_blocks(std::int64_t n) {
  return sum_blocks(n, 16384);
}

/// This thread's shares of Σ_i term(values, j), where `update(i)` writes element i and returns its
/// values and `read(i)` returns them afterwards. On a GPU they stay in registers; the host updates
/// a piece, which vectorises, and reads it again from the first-level cache. Sums 0 and 1 are rᵀr
/// and rᵀz: the same without weights, which are added up once then.
template <bool Weighted, int Count, class Update, class Read, class Term>
__device__ __forceinline__ void update_and_sum(double (&sums)[Count], Span span,
                                               const Update& update, const Read& read,
                                               const Term& term) {
  CURVSEG_UNROLL
  for (int j = 0; j < Count; ++j) sums[j] = 0.0;
  if constexpr (kStagedOperands) {
    for (std::int64_t i = span.first + threadIdx.x; i < span.last; i += blockDim.x) {
      const auto values = update(i);
      CURVSEG_UNROLL
      for (int j = 0; j < Count; ++j)
        if (Weighted || j != 1) sums[j] += term(values, j);
    }
  } else {
    constexpr std::int64_t kPiece = 1024;
    for (std::int64_t first = span.first; first < span.last; first += kPiece) {
      const std::int64_t left = span.last - first;
      const std::int64_t length = left < kPiece ? left : kPiece;
      for (std::int64_t i = 0; i < length; ++i) update(first + i);
      for (int j = 0; j < Count; ++j)
        if (Weighted || j != 1)
          sums[j] +=
              thread_sum<double>(length, [&](std::int64_t i) { return term(read(first + i), j); });
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
