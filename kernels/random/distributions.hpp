// From 32 random bits to a float, by integer and exactly rounded operations only.
//
//   uniform_from_bits(b) = signed(b) / 2^31, cut to a multiple of 2^-23, in [−1, 1)
//   normal_from_bits(b)  = ±√2 · erfinv(1 − 2q),  q = (k + ½) / 2^32,  k = the low 31 bits of b
//
// q is the probability of the tail beyond the value, so the tail is as fine as its numbers are
// rare: the largest value is 6.34. erfinv is M. Giles' single precision polynomial ("Approximating
// the erfinv function", GPU Computing Gems 2, 2011) in w = −log(1 − x²) = −log(4q(1 − q)).
#pragma once

#include <cmath>
#include <cstdint>

#include "exec/exec.hpp"
#include "math/elementary.hpp"

namespace curvseg::CURVSEG_TARGET {

__device__ __forceinline__ float uniform_from_bits(std::uint32_t bits) {
  return static_cast<float>(static_cast<std::int32_t>(bits) >> 8) * 0x1p-23f;
}

/// erfinv(x) / x as a polynomial in w = −log(1 − x²): one for w < 5, one in √w for the tails.
/// Coefficients are chosen, not polynomials, so that a loop over it has no branch.
__device__ __forceinline__ float erfinv_ratio(float w) {
  constexpr int kTerms = 9;
  constexpr float kCentre[kTerms] = {2.81022636e-08f,  3.43273939e-07f, -3.5233877e-06f,
                                     -4.39150654e-06f, 0.00021858087f,  -0.00125372503f,
                                     -0.00417768164f,  0.246640727f,    1.50140941f};
  constexpr float kTail[kTerms] = {-0.000200214257f, 0.000100950558f, 0.00134934322f,
                                   -0.00367342844f,  0.00573950773f,  -0.0076224613f,
                                   0.00943887047f,   1.00167406f,     2.83297682f};
  const bool centre = w < 5.0f;
  const float at = centre ? w - 2.5f : sqrtf(w) - 3.0f;
  float p = centre ? kCentre[0] : kTail[0];
  CURVSEG_UNROLL
  for (int i = 1; i < kTerms; ++i) p = p * at + (centre ? kCentre[i] : kTail[i]);
  return p;
}

__device__ __forceinline__ float normal_from_bits(std::uint32_t bits) {
  constexpr float kSqrt2 = 1.41421356237309505f;
  const std::int32_t k = static_cast<std::int32_t>(bits & 0x7FFFFFFFu);
  const float q = (static_cast<float>(k) + 0.5f) * 0x1p-32f;
  // 1 − 2q from the integer: the difference of two floats would have no fine values near 0.
  const float x = (static_cast<float>(0x7FFFFFFF - k) + 0.5f) * 0x1p-31f;
  const float w = -log_float(4.0f * q * (1.0f - q));
  const float value = kSqrt2 * (x * erfinv_ratio(w));
  return bits >> 31 != 0 ? -value : value;
}

}  // namespace curvseg::CURVSEG_TARGET
