// exp and log in float32 that have the same bits on every target.
//
//   exp_float(x) = 2^n · e^r,      n = round(x / ln 2),  r = x − n·ln 2,  |r| ≤ ln 2 / 2
//   log_float(x) = log(1 + f) + n·ln 2,  x = 2^n · (1 + f),  1 + f in [√½, √2)
//
// Only operations that IEEE 754 rounds exactly, none of them fused: a math library's own versions
// differ between a GPU and every C library. No branch and no table, so a loop over them vectorises.
// Errors at most 2 ulp; subnormal results, infinities and NaN as in <cmath>. Reduction constants
// and polynomials: Cephes single precision (S. Moshier, expf.c and logf.c).
#pragma once

#include <bit>
#include <cstdint>
#include <limits>

#include "exec/exec.hpp"

namespace curvseg::CURVSEG_TARGET {

// ln 2 in two parts. The first has 10 bits, so its product with an exponent is exact.
inline constexpr float kLn2High = 0.693359375f;
inline constexpr float kLn2Low = -2.12194440e-4f;

/// 2^n for n in [−126, 127]. Unsigned, because a NaN's way through exp_float ends in any n.
__device__ __forceinline__ float power_of_two(std::uint32_t n) {
  return std::bit_cast<float>((n + 127u) << 23);
}

__device__ __forceinline__ float exp_float(float x) {
  constexpr float kLog2E = 1.44269504088896341f;
  // Beyond these the result is inf or 0 already; written so that a NaN passes.
  constexpr float kHighest = 89.0f;
  constexpr float kLowest = -104.0f;
  x = x > kHighest ? kHighest : x;
  x = x < kLowest ? kLowest : x;

  // Adding 1.5·2^23 leaves the nearest integer in the low bits of the sum.
  constexpr float kRound = 12582912.0f;
  const float shifted = x * kLog2E + kRound;
  const float n = shifted - kRound;
  const std::int32_t exponent = std::bit_cast<std::int32_t>(shifted) - 0x4B400000;
  const float r = (x - n * kLn2High) - n * kLn2Low;

  float p = 1.9875691500e-4f;
  p = p * r + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  const float power = (p * (r * r) + r) + 1.0f;

  // In two steps: 2^n alone may lie beyond the normal numbers on either side.
  const std::int32_t half = exponent >> 1;
  return power * power_of_two(static_cast<std::uint32_t>(half)) *
         power_of_two(static_cast<std::uint32_t>(exponent) - static_cast<std::uint32_t>(half));
}

__device__ __forceinline__ float log_float(float x) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  constexpr float kSmallestNormal = std::numeric_limits<float>::min();
  constexpr std::uint32_t kSqrtHalfBits = 0x3F3504F3u;
  const bool subnormal = x < kSmallestNormal;
  const std::uint32_t bits = std::bit_cast<std::uint32_t>(subnormal ? x * 8388608.0f : x);
  const std::int32_t exponent = static_cast<std::int32_t>(bits - kSqrtHalfBits) >> 23;
  const float f = std::bit_cast<float>(bits - (static_cast<std::uint32_t>(exponent) << 23)) - 1.0f;
  const float n = static_cast<float>(exponent - (subnormal ? 23 : 0));

  float p = 7.0376836292e-2f;
  p = p * f - 1.1514610310e-1f;
  p = p * f + 1.1676998740e-1f;
  p = p * f - 1.2420140846e-1f;
  p = p * f + 1.4249322787e-1f;
  p = p * f - 1.6668057665e-1f;
  p = p * f + 2.0000714765e-1f;
  p = p * f - 2.4999993993e-1f;
  p = p * f + 3.3333331174e-1f;
  const float square = f * f;
  const float tail = p * (f * square) + n * kLn2Low - 0.5f * square;
  const float result = (f + tail) + n * kLn2High;

  const float outside = x == 0.0f ? -kInfinity : std::numeric_limits<float>::quiet_NaN();
  return x > 0.0f ? (x < kInfinity ? result : x) : outside;
}

}  // namespace curvseg::CURVSEG_TARGET
