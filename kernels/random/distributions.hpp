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

/// erfinv(x) / x as a polynomial in w = −log(1 − x²).
__device__ __forceinline__ float erfinv_ratio(float w) {
  if (w < 5.0f) {
    w = w - 2.5f;
    float p = 2.81022636e-08f;
    p = p * w + 3.43273939e-07f;
    p = p * w - 3.5233877e-06f;
    p = p * w - 4.39150654e-06f;
    p = p * w + 0.00021858087f;
    p = p * w - 0.00125372503f;
    p = p * w - 0.00417768164f;
    p = p * w + 0.246640727f;
    return p * w + 1.50140941f;
  }
  w = sqrtf(w) - 3.0f;
  float p = -0.000200214257f;
  p = p * w + 0.000100950558f;
  p = p * w + 0.00134934322f;
  p = p * w - 0.00367342844f;
  p = p * w + 0.00573950773f;
  p = p * w - 0.0076224613f;
  p = p * w + 0.00943887047f;
  p = p * w + 1.00167406f;
  return p * w + 2.83297682f;
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
