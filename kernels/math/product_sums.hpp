// Sums of products of flat vectors, beside the sums of block_reduce.hpp.
#pragma once

#include "exec/block_reduce.hpp"
#include "exec/lane_arithmetic.hpp"

namespace curvseg::CURVSEG_TARGET {

/// How far ahead of its sums a host asks for a vector, in floats: one or two streams of reads are
/// too few for a processor's own prefetching to fill the way to memory.
inline constexpr std::int64_t kReadAhead = 2048;

/// Σ_{i < n} x[i]·y[i] in the lanes of thread_sum(), for one thread a block.
__device__ __forceinline__ double product_of_piece(const float* x, const float* y, std::int64_t n) {
  constexpr int kWidth = kStagedOperands ? 1 : kSumLanes;
  LaneSums<kWidth> sums;
  std::int64_t i = 0;
  for (; i + kWidth <= n; i += kWidth) {
    prefetch_to_read(x + i + kReadAhead, kWidth);
    if (y != x) prefetch_to_read(y + i + kReadAhead, kWidth);
    add_products(sums, load_group<kWidth>(x + i, kWidth), load_group<kWidth>(y + i, kWidth));
  }
  const int rest = static_cast<int>(n - i);
  if (rest > 0)
    add_products(sums, load_group<kWidth>(x + i, rest), load_group<kWidth>(y + i, rest));
  return sum_lanes(sums);
}

/// The same of x[i]·(y[i] + z[i]), as two products.
__device__ __forceinline__ double product_with_sum(const float* x, const float* y, const float* z,
                                                   std::int64_t n) {
  constexpr int kWidth = kStagedOperands ? 1 : kSumLanes;
  LaneSums<kWidth> sums;
  const auto add = [&](std::int64_t i, int count) {
    const auto at = load_group<kWidth>(x + i, count);
    add_products(sums, at, load_group<kWidth>(y + i, count));
    add_products(sums, at, load_group<kWidth>(z + i, count));
  };
  std::int64_t i = 0;
  for (; i + kWidth <= n; i += kWidth) {
    for (const float* each : {x, y, z}) prefetch_to_read(each + i + kReadAhead, kWidth);
    add(i, kWidth);
  }
  if (i < n) add(i, static_cast<int>(n - i));
  return sum_lanes(sums);
}

/// The same of x[i]·(x[i]·y[i]), the product in brackets a float.
__device__ __forceinline__ double weighted_square(const float* x, const float* y, std::int64_t n) {
  constexpr int kWidth = kStagedOperands ? 1 : kSumLanes;
  LaneSums<kWidth> sums;
  const auto add = [&](std::int64_t i, int count) {
    const auto at = load_group<kWidth>(x + i, count);
    add_products(sums, at, at * load_group<kWidth>(y + i, count));
  };
  std::int64_t i = 0;
  for (; i + kWidth <= n; i += kWidth) {
    prefetch_to_read(y + i + kReadAhead, kWidth);
    add(i, kWidth);
  }
  if (i < n) add(i, static_cast<int>(n - i));
  return sum_lanes(sums);
}

/// This thread's share of Σ_{i < n} x[i]², in double.
__device__ __forceinline__ double thread_squares(const float* x, std::int64_t n) {
  if constexpr (kStagedOperands)
    return thread_sum<double>(n, [=](std::int64_t i) { return static_cast<double>(x[i]) * x[i]; });
  else
    return product_of_piece(x, x, n);
}

/// This thread's shares of Σ_{i < n} x_j[i]·y_j[i], j < Count, in double: what thread_sums() of the
/// products gives, bit by bit. Written for itself because a host's conversions cost more than its
/// memory where a compiler arranges them. Overwrites `sums`; x_j[i] is x[j][first + i].
template <int Count, class Vectors>
__device__ __forceinline__ void thread_products(double (&sums)[Count], std::int64_t first,
                                                std::int64_t n, const Vectors& x,
                                                const Vectors& y) {
  if constexpr (kStagedOperands) {
    thread_sums(sums, n, [&](std::int64_t i, int j) {
      return static_cast<double>(x[j][first + i]) * y[j][first + i];
    });
  } else {
    CURVSEG_UNROLL
    for (int j = 0; j < Count; ++j) sums[j] = 0.0;
    constexpr std::int64_t kPiece = 1024;  // 4 KiB of each vector
    for (std::int64_t done = 0; done < n; done += kPiece) {
      const std::int64_t length = n - done < kPiece ? n - done : kPiece;
      for (int j = 0; j < Count; ++j)
        sums[j] += product_of_piece(x[j] + first + done, y[j] + first + done, length);
    }
  }
}

}  // namespace curvseg::CURVSEG_TARGET
