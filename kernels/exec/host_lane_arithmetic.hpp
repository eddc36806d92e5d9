// lane_arithmetic.hpp for the host.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>

namespace curvseg::CURVSEG_TARGET {

typedef unsigned UnsignedVector __attribute__((vector_size(kLanes * sizeof(unsigned))));
typedef double HalfVector __attribute__((vector_size(kLanes / 2 * sizeof(double))));

template <>
struct VectorOf<unsigned> {
  using Type = UnsignedVector;
};

// ---- memory ------------------------------------------------------------------------------------

__forceinline__ IntVector load_some(const std::int32_t* from, int count) {
  std::int32_t lanes[kLanes] = {};
  copy_pieces<kLanes / 2>(lanes, from, count);
  IntVector result;
  std::memcpy(&result, lanes, sizeof result);
  return result;
}

template <int kWidth>
__forceinline__ Lanes<kWidth, int> load_group(const std::int32_t* from, int count) {
  Lanes<kWidth, int> result;
  CURVSEG_UNROLL
  for (int v = 0; v < result.kVectors; ++v) {
    const int left = count - v * kLanes;
    result.vector[v] = IntVector{};
    if (left >= kLanes)
      std::memcpy(&result.vector[v], from + v * kLanes, sizeof(IntVector));
    else if (left > 0)
      result.vector[v] = load_some(from + v * kLanes, left);
  }
  return result;
}
template <int kWidth>
__forceinline__ void store_group(std::int32_t* to, const Lanes<kWidth, int>& value, int count) {
  CURVSEG_UNROLL
  for (int v = 0; v < value.kVectors; ++v) {
    const int left = count - v * kLanes;
    if (left >= kLanes) {
      std::memcpy(to + v * kLanes, &value.vector[v], sizeof(IntVector));
    } else if (left > 0) {
      std::int32_t lanes[kLanes];
      std::memcpy(lanes, &value.vector[v], sizeof lanes);
      copy_pieces<kLanes / 2>(to + v * kLanes, lanes, left);
    }
  }
}

// ---- arithmetic --------------------------------------------------------------------------------

template <int kWidth>
__forceinline__ Lanes<kWidth, float> square_root(Lanes<kWidth, float> a) {
  CURVSEG_UNROLL
  for (int v = 0; v < a.kVectors; ++v) {
#if defined(__AVX512F__)
    a.vector[v] = _mm512_maskz_sqrt_ps(0xffff, a.vector[v]);
#elif defined(__AVX__)
    a.vector[v] = _mm256_sqrt_ps(a.vector[v]);
#else
    for (int j = 0; j < kLanes; ++j) a.vector[v][j] = std::sqrt(a.vector[v][j]);
#endif
  }
  return a;
}

template <int kWidth>
struct NumberTypes<Lanes<kWidth, float>> {
  using Signed = Lanes<kWidth, int>;
  using Unsigned = Lanes<kWidth, unsigned>;
};

#define CURVSEG_LANES_WITH_NUMBER(operation, Number)                                  \
  template <int kWidth, class T>                                                      \
  __forceinline__ Lanes<kWidth, T> operator operation(Lanes<kWidth, T> a, Number b) { \
    CURVSEG_UNROLL                                                                    \
    for (int v = 0; v < a.kVectors; ++v) a.vector[v] = a.vector[v] operation b;       \
    return a;                                                                         \
  }
CURVSEG_LANES_WITH_NUMBER(+, T)
CURVSEG_LANES_WITH_NUMBER(-, T)
CURVSEG_LANES_WITH_NUMBER(*, T)
CURVSEG_LANES_WITH_NUMBER(<<, int)
CURVSEG_LANES_WITH_NUMBER(>>, int)
#undef CURVSEG_LANES_WITH_NUMBER

template <int kWidth, class T>
__forceinline__ Lanes<kWidth, T> operator-(T a, const Lanes<kWidth, T>& b) {
  return fill_lanes<kWidth>(a) - b;
}
template <int kWidth, class T>
__forceinline__ Lanes<kWidth, T> choose(const Mask<kWidth>& mask, const Lanes<kWidth, T>& a,
                                        const Lanes<kWidth, T>& b) {
  return select(mask, a, b);
}
template <int kWidth>
__forceinline__ Lanes<kWidth, float> to_float(const Lanes<kWidth, int>& value) {
  Lanes<kWidth, float> result;
  CURVSEG_UNROLL
  for (int v = 0; v < value.kVectors; ++v)
    result.vector[v] = __builtin_convertvector(value.vector[v], Vector);
  return result;
}

/// `f` of lanes: here of all at once.
template <int kWidth, class F>
__forceinline__ Lanes<kWidth, float> map_lanes(const Lanes<kWidth, float>& a, const F& f) {
  return f(a);
}

// ---- sums in double ----------------------------------------------------------------------------

/// A sum of each lane. Halves of a vector: g++ 12 takes vectors longer than a register apart.
template <int kWidth>
struct LaneSums {
  static constexpr int kHalves = 2 * kWidth / kLanes;
  HalfVector half[kHalves] = {};
};

template <int kPart>
__forceinline__ HalfVector widen(Vector value) {
#if defined(__AVX512F__)
  // Masked by ones: g++ 12 sees its own plain ones read an undefined vector (GCC bug 105593).
  return _mm512_maskz_cvtps_pd(0xff, _mm512_maskz_extractf32x8_ps(0xff, value, kPart));
#elif defined(__AVX__)
  return _mm256_cvtps_pd(_mm256_extractf128_ps(value, kPart));
#else
  return HalfVector{value[2 * kPart], value[2 * kPart + 1]};
#endif
}

template <int kWidth>
__forceinline__ void add_lanes(LaneSums<kWidth>& sums, const Lanes<kWidth, float>& value) {
  CURVSEG_UNROLL
  for (int v = 0; v < value.kVectors; ++v) {
    sums.half[2 * v] += widen<0>(value.vector[v]);
    sums.half[2 * v + 1] += widen<1>(value.vector[v]);
  }
}
/// A product of two floats is exact in double, so fused or not the sum has the same bits.
__forceinline__ HalfVector add_product(HalfVector a, HalfVector b, HalfVector sum) {
#if defined(__AVX512F__)
  return _mm512_fmadd_pd(a, b, sum);
#elif defined(__FMA__)
  return _mm256_fmadd_pd(a, b, sum);
#else
  return a * b + sum;
#endif
}
template <int kWidth>
__forceinline__ void add_products(LaneSums<kWidth>& sums, const Lanes<kWidth, float>& a,
                                  const Lanes<kWidth, float>& b) {
  CURVSEG_UNROLL
  for (int v = 0; v < a.kVectors; ++v) {
    HalfVector& low = sums.half[2 * v];
    HalfVector& high = sums.half[2 * v + 1];
    low = add_product(widen<0>(a.vector[v]), widen<0>(b.vector[v]), low);
    high = add_product(widen<1>(a.vector[v]), widen<1>(b.vector[v]), high);
  }
}
template <int kWidth>
__forceinline__ double sum_lanes(const LaneSums<kWidth>& sums) {
  double lane[kWidth];
  std::memcpy(lane, sums.half, sizeof lane);
  for (int width = kWidth / 2; width > 0; width /= 2)
    for (int j = 0; j < width; ++j) lane[j] += lane[j + width];
  return lane[0];
}

}  // namespace curvseg::CURVSEG_TARGET
