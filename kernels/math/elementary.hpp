// exp and log in float32 that have the same bits on every target.
//
//   exp_float(x) = 2^n · e^r,      n = round(x / ln 2),  r = x − n·ln 2,  |r| ≤ ln 2 / 2
//   exp_below(x)  the same for x ≤ 0 or NaN, for less
//   log_float(x) = log(1 + f) + n·ln 2,  x = 2^n · (1 + f),  1 + f in [√½, √2)
//
// Only operations that IEEE 754 rounds exactly, none of them fused: a math library's own versions
// differ between a GPU and every C library. No branch and no table: one text for a number, whose
// loops vectorise, and for the host's lanes, whose chains of operations run side by side.
// Errors at most 2 ulp; subnormal results, infinities and NaN as in <cmath>. Reduction constants
// and polynomials: Cephes single precision (S. Moshier, expf.c and logf.c).
#pragma once

#include <bit>
#include <cstdint>
#include <limits>

#include "exec/lane_arithmetic.hpp"

namespace curvseg::CURVSEG_TARGET {

// ln 2 in two parts. The first has 10 bits, so its product with an exponent is exact.
inline constexpr float kLn2High = 0.693359375f;
inline constexpr float kLn2Low = -2.12194440e-4f;

/// 2^n for n in [−126, 127]. Unsigned, because a NaN's way through exp_of ends in any n.
template <class Float>
__device__ __forceinline__ Float power_of_two(UnsignedOf<Float> n) {
  return std::bit_cast<Float>((n + 127u) << 23);
}

/// `Float` is float or lanes of it. `kBelow`: x ≤ 0 or NaN.
template <bool kBelow, class Float>
__device__ __forceinline__ Float exp_of(Float x) {
  constexpr float kLog2E = 1.44269504088896341f;
  // Beyond these the result is inf or 0 already; written so that a NaN passes.
  const Float highest = same_everywhere<Float>(89.0f);
  const Float lowest = same_everywhere<Float>(-104.0f);
  if constexpr (!kBelow) x = choose(highest < x, highest, x);
  x = choose(x < lowest, lowest, x);

  // Adding 1.5·2^23 leaves the nearest integer in the low bits of the sum.
  constexpr float kRound = 12582912.0f;
  const Float shifted = x * kLog2E + kRound;
  const Float n = shifted - kRound;
  const SignedOf<Float> exponent = std::bit_cast<SignedOf<Float>>(shifted) - 0x4B400000;
  const Float r = (x - n * kLn2High) - n * kLn2Low;

  Float p = r * 1.9875691500e-4f + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  const Float power = (p * (r * r) + r) + 1.0f;

  // In two steps: 2^n alone may lie beyond the normal numbers on either side.
  const auto half = std::bit_cast<UnsignedOf<Float>>(exponent >> 1);
  const auto rest = std::bit_cast<UnsignedOf<Float>>(exponent) - half;
  return power * power_of_two<Float>(half) * power_of_two<Float>(rest);
}

template <class Float>
__device__ __forceinline__ Float log_of(Float x) {
  const Float infinity = same_everywhere<Float>(std::numeric_limits<float>::infinity());
  constexpr std::uint32_t kSqrtHalfBits = 0x3F3504F3u;
  using Signed = SignedOf<Float>;
  using Unsigned = UnsignedOf<Float>;
  const auto subnormal = x < std::numeric_limits<float>::min();
  const auto bits = std::bit_cast<Unsigned>(choose(subnormal, x * 8388608.0f, x));
  const Signed exponent = std::bit_cast<Signed>(bits - kSqrtHalfBits) >> 23;
  const Float f = std::bit_cast<Float>(bits - (std::bit_cast<Unsigned>(exponent) << 23)) - 1.0f;
  const Float n = to_float(exponent - choose(subnormal, same_everywhere<Signed>(23), Signed{}));

  Float p = f * 7.0376836292e-2f - 1.1514610310e-1f;
  p = p * f + 1.1676998740e-1f;
  p = p * f - 1.2420140846e-1f;
  p = p * f + 1.4249322787e-1f;
  p = p * f - 1.6668057665e-1f;
  p = p * f + 2.0000714765e-1f;
  p = p * f - 2.4999993993e-1f;
  p = p * f + 3.3333331174e-1f;
  const Float square = f * f;
  const Float tail = p * (f * square) + n * kLn2Low - 0.5f * square;
  const Float result = (f + tail) + n * kLn2High;

  const Float nan = same_everywhere<Float>(std::numeric_limits<float>::quiet_NaN());
  const Float outside =
      choose(x == 0.0f, same_everywhere<Float>(-std::numeric_limits<float>::infinity()), nan);
  return choose(x > 0.0f, choose(x < infinity, result, x), outside);
}

__device__ __forceinline__ float exp_float(float x) { return exp_of<false>(x); }
__device__ __forceinline__ float exp_below(float x) { return exp_of<true>(x); }
__device__ __forceinline__ float log_float(float x) { return log_of(x); }

template <int kWidth>
__device__ __forceinline__ Lanes<kWidth, float> exp_below(const Lanes<kWidth, float>& x) {
  return map_lanes(x, [](const auto& value) { return exp_of<true>(value); });
}
template <int kWidth>
__device__ __forceinline__ Lanes<kWidth, float> log_float(const Lanes<kWidth, float>& x) {
  return map_lanes(x, [](const auto& value) { return log_of(value); });
}

}  // namespace curvseg::CURVSEG_TARGET
