// Sums of products of flat vectors, beside the sums of block_reduce.hpp.
#pragma once

#include "exec/block_reduce.hpp"
#include "exec/lane_arithmetic.hpp"

namespace curvseg::CURVSEG_TARGET {

/// How far ahead of its sums a host asks for a vector, in floats: one or two streams of reads are
/// too few for a processor's own prefetching to fill the way to memory.
inline constexpr std::int64_t kReadAhead = 2048;

/// A sum over i < n in the lanes of thread_sum(), for one thread a block: `add(sums, i, count)`
/// adds the terms of `count` elements from the i-th, at most kSumWidth.
inline constexpr int kSumWidth = kStagedOperands ? 1 : kSumLanes;
template <class Add>
__device__ __forceinline__ double sum_of_piece(std::int64_t n, const Add& add) {
  LaneSums<kSumWidth> sums;
  std::int64_t i = 0;
  for (; i + kSumWidth <= n; i += kSumWidth) add(sums, i, kSumWidth);
  if (i < n) add(sums, i, static_cast<int>(n - i));
  return sum_lanes(sums);
}

/// Elements of x from the i-th, those further on asked for.
__device__ __forceinline__ Lanes<kSumWidth, float> load_ahead(const float* x, std::int64_t i,
                                                              int count) {
  prefetch_to_read(x + i + kReadAhead, kSumWidth);
  return load_group<kSumWidth>(x + i, count);
}

/// Σ_{i < n} x[i]·y[i]
__device__ __forceinline__ double product_of_piece(const float* x, const float* y, std::int64_t n) {
  return sum_of_piece(n, [=](LaneSums<kSumWidth>& sums, std::int64_t i, int count) {
    const auto at = load_ahead(x, i, count);
    add_products(sums, at, y == x ? load_group<kSumWidth>(y + i, count) : load_ahead(y, i, count));
  });
}

/// Σ_{i < n} x[i]·(y[i] + z[i]), as two products.
__device__ __forceinline__ double product_with_sum(const float* x, const float* y, const float* z,
                                                   std::int64_t n) {
  return sum_of_piece(n, [=](LaneSums<kSumWidth>& sums, std::int64_t i, int count) {
    const auto at = load_ahead(x, i, count);
    add_products(sums, at, load_ahead(y, i, count));
    add_products(sums, at, load_ahead(z, i, count));
  });
}

/// Σ_{i < n} x[i]·(x[i]·y[i]), the product in brackets a float.
__device__ __forceinline__ double weighted_square(const float* x, const float* y, std::int64_t n) {
  return sum_of_piece(n, [=](LaneSums<kSumWidth>& sums, std::int64_t i, int count) {
    const auto at = load_group<kSumWidth>(x + i, count);
    add_products(sums, at, at * load_ahead(y, i, count));
  });
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
