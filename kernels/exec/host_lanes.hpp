// lanes.hpp for the host: vector registers, as many as 16 lanes need on this instruction set.
#pragma once

#include <cstdint>
#include <cstring>

namespace curvseg::CURVSEG_TARGET {

inline constexpr int kWideLanes = 16;
inline constexpr int kNarrowLanes = kWideLanes;  // vectors are loaded from any address
inline constexpr int kRegisterLanes = kLanes;    // of one register

typedef int IntVector __attribute__((vector_size(kLanes * sizeof(int))));

template <class T>
struct VectorOf;
template <>
struct VectorOf<float> {
  using Type = Vector;
};
template <>
struct VectorOf<int> {
  using Type = IntVector;
};

template <int kWidth, class T>
struct Lanes {
  static_assert(kWidth % kLanes == 0, "lanes fill their registers");
  static constexpr int kVectors = kWidth / kLanes;
  typename VectorOf<T>::Type vector[kVectors];
};
template <int kWidth>
using Mask = Lanes<kWidth, int>;  // all bits of a lane, or none

__forceinline__ IntVector broadcast(int value) { return value - IntVector{}; }

template <int kWidth, class T>
__forceinline__ Lanes<kWidth, T> fill_lanes(T value) {
  const auto all = broadcast(value);
  Lanes<kWidth, T> result;
  CURVSEG_UNROLL
  for (int v = 0; v < result.kVectors; ++v) result.vector[v] = all;
  return result;
}

// ---- one vector, whole or the first `count` lanes of it ----------------------------------------

/// Copies `count` < 2·Elements elements in pieces of known sizes, which need no call and no loop.
template <int Elements, class T>
__forceinline__ void copy_pieces(T* to, const T* from, int count) {
  if constexpr (Elements > 0) {
    if (count & Elements) {
      std::memcpy(to, from, Elements * sizeof(T));
      to += Elements;
      from += Elements;
    }
    copy_pieces<Elements / 2>(to, from, count);
  }
}

__forceinline__ Vector load_some(const float* from, int count) {
#if defined(__AVX512F__)
  return _mm512_maskz_loadu_ps(static_cast<__mmask16>((1u << count) - 1), from);
#elif defined(__AVX2__)
  const __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
  return _mm256_maskload_ps(from, _mm256_cmpgt_epi32(_mm256_set1_epi32(count), lane));
#else
  Vector result{};
  for (int j = 0; j < kLanes; ++j)
    if (j < count) result[j] = from[j];
  return result;
#endif
}

__forceinline__ void store_some(float* to, Vector value, int count) {
#if defined(__AVX512F__)
  _mm512_mask_storeu_ps(to, static_cast<__mmask16>((1u << count) - 1), value);
#else
  // Not AVX2's masked store: microcode on some processors.
  float lanes[kLanes];
  store_vector(lanes, value);
  copy_pieces<kLanes / 2>(to, lanes, count);
#endif
}

// ---- lanes -------------------------------------------------------------------------------------

template <int kWidth>
__forceinline__ Lanes<kWidth, float> load_lanes(const float* from, int count) {
  Lanes<kWidth, float> result;
  CURVSEG_UNROLL
  for (int v = 0; v < result.kVectors; ++v) {
    const int left = count - v * kLanes;
    if (left >= kLanes)
      result.vector[v] = load_vector(from + v * kLanes);
    else if (left > 0)
      result.vector[v] = load_some(from + v * kLanes, left);
    else
      result.vector[v] = Vector{};
  }
  return result;
}

template <int kWidth>
__forceinline__ void store_lanes(float* to, const Lanes<kWidth, float>& value, int count) {
  CURVSEG_UNROLL
  for (int v = 0; v < value.kVectors; ++v) {
    const int left = count - v * kLanes;
    if (left >= kLanes)
      store_vector(to + v * kLanes, value.vector[v]);
    else if (left > 0)
      store_some(to + v * kLanes, value.vector[v], left);
  }
}

template <int kWidth>
__forceinline__ Lanes<kWidth, float> load_group(const float* from, int count) {
  return load_lanes<kWidth>(from, count);
}
template <int kWidth>
__forceinline__ void store_group(float* to, const Lanes<kWidth, float>& value, int count) {
  store_lanes(to, value, count);
}
/// Element by element: a vector put together from scalars goes through the stack and waits there.
template <int kWidth>
__forceinline__ void copy_strided(float* to, const float* from, std::int64_t stride, int count) {
  if (count >= kWidth) {
    CURVSEG_UNROLL
    for (int j = 0; j < kWidth; ++j) to[j] = from[j * stride];
  } else {
    CURVSEG_UNROLL
    for (int j = 0; j < kWidth; ++j) to[j] = j < count ? from[j * stride] : 0.0f;
  }
}
template <int kWidth>
__forceinline__ Lanes<kWidth, float> load_strided(const float* from, std::int64_t stride,
                                                  int count) {
  alignas(64) float lanes[kWidth];
  copy_strided<kWidth>(lanes, from, stride, count);
  return load_lanes<kWidth>(lanes, kWidth);
}
__forceinline__ void prefetch_to_read(const float* from, int count) {
  for (int i = 0; i < count; i += kLineFloats) __builtin_prefetch(from + i, 0);
}
__forceinline__ void prefetch_to_write(const float* to, int count) {
  for (int i = 0; i < count; i += kLineFloats) __builtin_prefetch(to + i, 1);
}
template <class Tile>
__forceinline__ Lanes<Tile::kGroupColumns, float> group_lanes(const typename Tile::Storage& storage,
                                                              int i, int) {
  return load_lanes<Tile::kGroupColumns>(storage + i * Tile::kGroupColumns, Tile::kGroupColumns);
}

template <int kWidth>
__forceinline__ Lanes<kWidth, int> lane_index() {
  Lanes<kWidth, int> result;
  CURVSEG_UNROLL
  for (int v = 0; v < result.kVectors; ++v) CURVSEG_UNROLL
  for (int j = 0; j < kLanes; ++j) result.vector[v][j] = v * kLanes + j;
  return result;
}

typedef std::uint16_t IndexVector __attribute__((vector_size(kLanes * sizeof(std::uint16_t))));

template <int kWidth>
__forceinline__ Lanes<kWidth, int> load_lanes(const std::uint16_t* from, int count) {
  Lanes<kWidth, int> result;
  CURVSEG_UNROLL
  for (int v = 0; v < result.kVectors; ++v) {
    const int left = count - v * kLanes;
    IndexVector narrow{};
    if (left >= kLanes) {
      std::memcpy(&narrow, from + v * kLanes, sizeof narrow);
    } else if (left > 0) {
      std::uint16_t lanes[kLanes] = {};
      copy_pieces<kLanes / 2>(lanes, from + v * kLanes, left);
      std::memcpy(&narrow, lanes, sizeof narrow);
    }
    result.vector[v] = __builtin_convertvector(narrow, IntVector);
  }
  return result;
}

template <int kWidth>
__forceinline__ void store_lanes(std::uint16_t* to, const Lanes<kWidth, int>& value, int count) {
  CURVSEG_UNROLL
  for (int v = 0; v < value.kVectors; ++v) {
    const int left = count - v * kLanes;
    const IndexVector narrow = __builtin_convertvector(value.vector[v], IndexVector);
    if (left >= kLanes) {
      std::memcpy(to + v * kLanes, &narrow, sizeof narrow);
    } else if (left > 0) {
      std::uint16_t lanes[kLanes];
      std::memcpy(lanes, &narrow, sizeof narrow);
      copy_pieces<kLanes / 2>(to + v * kLanes, lanes, left);
    }
  }
}

// ---- one line of numbers -----------------------------------------------------------------------

#if defined(__AVX2__)
/// A bit for each of up to 32 numbers that equals `value`, the largest, or is not a number.
struct LargestBits {
  unsigned largest, nan;
};
/// `kVectors` of 8 numbers, the last of them some: the others repeat the first number.
template <int kVectors>
__forceinline__ LargestBits largest_bits(const float* x, int count) {
  const __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
  const __m256i exists = _mm256_cmpgt_epi32(_mm256_set1_epi32(count - 8 * (kVectors - 1)), lane);
  __m256 value[kVectors];
  CURVSEG_UNROLL
  for (int v = 0; v < kVectors - 1; ++v) value[v] = _mm256_loadu_ps(x + 8 * v);
  value[kVectors - 1] =
      _mm256_blendv_ps(_mm256_set1_ps(x[0]), _mm256_maskload_ps(x + 8 * (kVectors - 1), exists),
                       _mm256_castsi256_ps(exists));
  __m256 most = value[0];
  CURVSEG_UNROLL
  for (int v = 1; v < kVectors; ++v) most = _mm256_max_ps(most, value[v]);
  most = _mm256_max_ps(most, _mm256_permute2f128_ps(most, most, 1));
  most = _mm256_max_ps(most, _mm256_permute_ps(most, 0x4e));
  most = _mm256_max_ps(most, _mm256_permute_ps(most, 0xb1));
  LargestBits bits{0, 0};
  CURVSEG_UNROLL
  for (int v = 0; v < kVectors; ++v) {
    const auto equal =
        static_cast<unsigned>(_mm256_movemask_ps(_mm256_cmp_ps(value[v], most, _CMP_EQ_OQ)));
    const auto nan =
        static_cast<unsigned>(_mm256_movemask_ps(_mm256_cmp_ps(value[v], value[v], _CMP_UNORD_Q)));
    bits.largest |= equal << (8 * v);
    bits.nan |= nan << (8 * v);
  }
  return bits;
}
#endif

__forceinline__ int first_largest(const float* x, int count) {
#if defined(__AVX2__)
  LargestBits bits{0, 0};
  // Without a branch, which would be mispredicted where classes meet.
  if (count == 2) return int{x[1] > x[0]} | (int{x[1] != x[1]} & int{x[0] == x[0]});
  if (count > 32 || count < 2) return first_largest_by_one(x, count);
  if (count <= 8)
    bits = largest_bits<1>(x, count);
  else if (count <= 16)
    bits = largest_bits<2>(x, count);
  else if (count <= 24)
    bits = largest_bits<3>(x, count);
  else
    bits = largest_bits<4>(x, count);
  return __builtin_ctz(bits.nan != 0 ? bits.nan : bits.largest);
#else
  return first_largest_by_one(x, count);
#endif
}

// ---- arithmetic --------------------------------------------------------------------------------

template <int kWidth, class T>
__forceinline__ Lanes<kWidth, T> operator+(Lanes<kWidth, T> a, const Lanes<kWidth, T>& b) {
  CURVSEG_UNROLL
  for (int v = 0; v < a.kVectors; ++v) a.vector[v] += b.vector[v];
  return a;
}
template <int kWidth, class T>
__forceinline__ Lanes<kWidth, T> operator-(Lanes<kWidth, T> a, const Lanes<kWidth, T>& b) {
  CURVSEG_UNROLL
  for (int v = 0; v < a.kVectors; ++v) a.vector[v] -= b.vector[v];
  return a;
}
template <int kWidth, class T>
__forceinline__ Lanes<kWidth, T> operator*(Lanes<kWidth, T> a, const Lanes<kWidth, T>& b) {
  CURVSEG_UNROLL
  for (int v = 0; v < a.kVectors; ++v) a.vector[v] *= b.vector[v];
  return a;
}
template <int kWidth, class T>
__forceinline__ Lanes<kWidth, T> operator/(Lanes<kWidth, T> a, const Lanes<kWidth, T>& b) {
  CURVSEG_UNROLL
  for (int v = 0; v < a.kVectors; ++v) a.vector[v] /= b.vector[v];
  return a;
}
template <int kWidth, class T>
__forceinline__ Mask<kWidth> operator<(const Lanes<kWidth, T>& a, const Lanes<kWidth, T>& b) {
  Mask<kWidth> result;
  CURVSEG_UNROLL
  for (int v = 0; v < a.kVectors; ++v) result.vector[v] = a.vector[v] < b.vector[v];
  return result;
}
template <int kWidth, class T>
__forceinline__ Mask<kWidth> operator<=(const Lanes<kWidth, T>& a, const Lanes<kWidth, T>& b) {
  Mask<kWidth> result;
  CURVSEG_UNROLL
  for (int v = 0; v < a.kVectors; ++v) result.vector[v] = a.vector[v] <= b.vector[v];
  return result;
}
template <int kWidth, class T>
__forceinline__ Mask<kWidth> operator==(const Lanes<kWidth, T>& a, const Lanes<kWidth, T>& b) {
  Mask<kWidth> result;
  CURVSEG_UNROLL
  for (int v = 0; v < a.kVectors; ++v) result.vector[v] = a.vector[v] == b.vector[v];
  return result;
}
template <int kWidth>
__forceinline__ Mask<kWidth> operator&(Mask<kWidth> a, const Mask<kWidth>& b) {
  CURVSEG_UNROLL
  for (int v = 0; v < a.kVectors; ++v) a.vector[v] &= b.vector[v];
  return a;
}
template <int kWidth>
__forceinline__ Mask<kWidth> operator!(Mask<kWidth> a) {
  CURVSEG_UNROLL
  for (int v = 0; v < a.kVectors; ++v) a.vector[v] = ~a.vector[v];
  return a;
}

template <int kWidth, class T>
__forceinline__ Lanes<kWidth, T> select(const Mask<kWidth>& mask, const Lanes<kWidth, T>& a,
                                        const Lanes<kWidth, T>& b) {
  Lanes<kWidth, T> result;
  CURVSEG_UNROLL
  for (int v = 0; v < a.kVectors; ++v)
    result.vector[v] = mask.vector[v] ? a.vector[v] : b.vector[v];
  return result;
}

}  // namespace curvseg::CURVSEG_TARGET
