// Long sums in a fixed order, as two kernels:
//
//   partial[b] = Σ of block b's share,    total[0] = Σ_b partial[b] / D    (+ old if `accumulate`)
//
// The first kernel is the caller's: it walks block_span() or tiles, sums in double and ends with
// store_partial(). The second is here. How a sum is cut depends on its length alone, so any number
// of cores gives the same bits. A rounding to float per partial sum is all that the result loses.
#pragma once

#include "exec/block_reduce.hpp"
#include "exec/exec.hpp"

namespace curvseg::CURVSEG_TARGET {

inline constexpr int kSumThreads = kStagedOperands ? 256 : 1;

/// Blocks of a sum over `n` elements: `per_block` of them each, while that gives at most `limit`.
/// By default 8 blocks of 256 threads on each of 128 multiprocessors; for the host, enough to
/// balance cores.
constexpr __host__ __device__ std::int64_t sum_blocks(std::int64_t n, std::int64_t per_block,
                                                      std::int64_t limit = 1024) {
  const std::int64_t blocks = divide_up(n, per_block);
  return blocks < limit ? blocks : limit;
}

struct Span {
  std::int64_t first, last;
};

/// This block's contiguous share of [0, n).
__device__ __forceinline__ Span block_span(std::int64_t n) {
  return {n * blockIdx.x / gridDim.x, n * (blockIdx.x + std::int64_t{1}) / gridDim.x};
}

__device__ __forceinline__ void store_partial(double share, BlockSumScratch<double>& scratch,
                                              float* partial) {
  const double sum = block_sum(share, scratch);
  if (threadIdx.x == 0) partial[blockIdx.x] = static_cast<float>(sum);
}

struct FinishSum {
  const float* partial;
  std::int64_t partials;     // 0: the sum is 0
  const float* denominator;  // D; nullptr: 1. With D = 0 the sum is 0, whatever its terms
  float* total;
  bool accumulate;
};

struct SumShared {
  BlockSumScratch<double> scratch;
};

static __global__ void finish_sum_kernel(FinishSum p) {
  const double share =
      thread_sum<double>(p.partials, [&](std::int64_t i) { return double(p.partial[i]); });
  double sum = block_sum(share, block_shared<SumShared>().scratch);
  if (threadIdx.x != 0) return;
  if (p.denominator != nullptr) {
    const double denominator = *p.denominator;
    sum = denominator == 0.0 ? 0.0 : sum / denominator;
  }
  p.total[0] = static_cast<float>(p.accumulate ? p.total[0] + sum : sum);
}

inline void finish_sum(StreamHandle stream, const FinishSum& p) {
  launch<finish_sum_kernel, SumShared>(stream, dim3{1, 1, 1}, kSumThreads, p);
}

}  // namespace curvseg::CURVSEG_TARGET
