// Sums over the threads of a block, in an order that depends on nothing but the block's shape.
//
//   sum = Σ_i f(i), i < n:
//     thread_sum<float>(n, f)      this thread's share of it
//     thread_sums(shares, n, f)    shares of several sums in one loop: Σ_i f(i, j) for each j
//     block_sum(share, scratch)    the sum of all shares, the same bits in every thread
//
// On a GPU neighbouring threads take neighbouring i, and shares meet by warp shuffles, then through
// shared memory. On the host a block is one thread: thread_sum() is the whole sum, in independent
// lanes so that it vectorises, and block_sum() gives it back.
#pragma once

#include "exec/exec.hpp"

namespace curvseg::CURVSEG_TARGET {

/// A member of the block's shared struct for every block_sum() that may be in flight.
template <class T>
struct BlockSumScratch {
  T warp[32];  // 1024 threads at most
};

/// Independent accumulators of a thread_sum() on the host. One number for every instruction set, so
/// that all of them give the same bits: four AVX2 additions in flight hide the latency of one.
inline constexpr int kSumLanes = 32;

/// Σ of `value` over the warp, in every lane: x + y and y + x have the same bits, so lanes agree.
template <class T>
__device__ __forceinline__ T warp_sum(T value) {
  if constexpr (kStagedOperands) {
    CURVSEG_UNROLL
    for (int offset = kWarpSize / 2; offset > 0; offset /= 2)
      value += __shfl_xor_sync(0xffffffffu, value, offset);
  }
  return value;
}

/// Σ of `value` over the block, in every thread. All threads of the block call it; their number is
/// a multiple of 32, at most 1024. `scratch` may be used again at once.
template <class T>
__device__ __forceinline__ T block_sum(T value, BlockSumScratch<T>& scratch) {
  if constexpr (kStagedOperands) {
    const int lane = static_cast<int>(threadIdx.x) % kWarpSize;
    const int warp = static_cast<int>(threadIdx.x) / kWarpSize;
    const int warps = static_cast<int>(blockDim.x) / kWarpSize;
    value = warp_sum(value);
    if (lane == 0) scratch.warp[warp] = value;
    __syncthreads();
    value = warp_sum(lane < warps ? scratch.warp[lane] : T(0));
    __syncthreads();  // the next sum may overwrite scratch
  }
  return value;
}

/// This thread's share of Σ_{i < n} f(i), as T. `f` takes a std::int64_t and returns something that
/// converts to T; on the host it should read memory at i contiguously.
template <class T, class Term>
__device__ __forceinline__ T thread_sum(std::int64_t n, Term f) {
  if constexpr (kStagedOperands) {
    T sum = T(0);
    for (std::int64_t i = threadIdx.x; i < n; i += blockDim.x) sum += f(i);
    return sum;
  } else {
    T lane[kSumLanes] = {};
    const std::int64_t whole = n - n % kSumLanes;
    for (std::int64_t i = 0; i < whole; i += kSumLanes)
      for (int j = 0; j < kSumLanes; ++j) lane[j] += f(i + j);
    for (int j = 0; j < n - whole; ++j) lane[j] += f(whole + j);
    for (int width = kSumLanes / 2; width > 0; width /= 2)
      for (int j = 0; j < width; ++j) lane[j] += lane[j + width];
    return lane[0];
  }
}

/// This thread's shares of Σ_{i < n} f(i, j) for j < Count, in one walk over i: terms that read the
/// same memory find it in registers or in the first-level cache. Overwrites `sums`.
template <class T, int Count, class Term>
__device__ __forceinline__ void thread_sums(T (&sums)[Count], std::int64_t n, Term f) {
  CURVSEG_UNROLL
  for (int j = 0; j < Count; ++j) sums[j] = T(0);
  if constexpr (kStagedOperands) {
    for (std::int64_t i = threadIdx.x; i < n; i += blockDim.x) {
      CURVSEG_UNROLL
      for (int j = 0; j < Count; ++j) sums[j] += f(i, j);
    }
  } else {
    constexpr std::int64_t kPiece = 1024;  // 4 KiB of each vector
    for (std::int64_t first = 0; first < n; first += kPiece) {
      const std::int64_t left = n - first;
      for (int j = 0; j < Count; ++j)
        sums[j] += thread_sum<T>(left < kPiece ? left : kPiece,
                                 [&](std::int64_t i) { return f(first + i, j); });
    }
  }
}

}  // namespace curvseg::CURVSEG_TARGET
