// lanes.hpp for the block shapes of a GPU: registers, and one access of kWidth elements.
#pragma once

#include <cstdint>

namespace curvseg::CURVSEG_TARGET {

inline constexpr int kWideLanes = 4;    // where every address allows 16-byte accesses
inline constexpr int kNarrowLanes = 1;  // where one does not
inline constexpr int kRegisterLanes = 1;

template <int kWidth, class T>
struct alignas(kWidth * sizeof(T)) Lanes {
  T at[kWidth];
};
template <int kWidth>
using Mask = Lanes<kWidth, bool>;

template <int kWidth, class T>
__device__ __forceinline__ Lanes<kWidth, T> fill_lanes(T value) {
  Lanes<kWidth, T> result;
  CURVSEG_UNROLL
  for (int j = 0; j < kWidth; ++j) result.at[j] = value;
  return result;
}

template <int kWidth>
__device__ __forceinline__ Lanes<kWidth, float> load_lanes(const float* from, int /*count*/) {
  return *reinterpret_cast<const Lanes<kWidth, float>*>(from);
}
template <int kWidth>
__device__ __forceinline__ Lanes<kWidth, int> load_lanes(const std::uint16_t* from, int /*count*/) {
  const auto narrow = *reinterpret_cast<const Lanes<kWidth, std::uint16_t>*>(from);
  Lanes<kWidth, int> result;
  CURVSEG_UNROLL
  for (int j = 0; j < kWidth; ++j) result.at[j] = narrow.at[j];
  return result;
}

template <int kWidth>
__device__ __forceinline__ void store_lanes(float* to, const Lanes<kWidth, float>& value,
                                            int /*count*/) {
  *reinterpret_cast<Lanes<kWidth, float>*>(to) = value;
}
template <int kWidth>
__device__ __forceinline__ void store_lanes(std::uint16_t* to, const Lanes<kWidth, int>& value,
                                            int /*count*/) {
  Lanes<kWidth, std::uint16_t> narrow;
  CURVSEG_UNROLL
  for (int j = 0; j < kWidth; ++j) narrow.at[j] = static_cast<std::uint16_t>(value.at[j]);
  *reinterpret_cast<Lanes<kWidth, std::uint16_t>*>(to) = narrow;
}

/// As load_lanes and store_lanes for any address and the first `count` lanes: one 16-byte access
/// where address and count allow it. Lanes beyond `count` are zero.
template <int kWidth>
__device__ __forceinline__ Lanes<kWidth, float> load_group(const float* from, int count) {
  if (count >= kWidth && is_aligned(from, sizeof(Lanes<kWidth, float>)))
    return load_lanes<kWidth>(from, count);
  Lanes<kWidth, float> result;
  CURVSEG_UNROLL
  for (int j = 0; j < kWidth; ++j) result.at[j] = j < count ? from[j] : 0.0f;
  return result;
}
template <int kWidth>
__device__ __forceinline__ void store_group(float* to, const Lanes<kWidth, float>& value,
                                            int count) {
  if (count >= kWidth && is_aligned(to, sizeof(Lanes<kWidth, float>))) {
    store_lanes(to, value, count);
  } else {
    CURVSEG_UNROLL
    for (int j = 0; j < kWidth; ++j)
      if (j < count) to[j] = value.at[j];
  }
}

template <int kWidth>
__device__ __forceinline__ Lanes<kWidth, float> load_strided(const float* from, std::int64_t stride,
                                                             int count) {
  Lanes<kWidth, float> value;
  CURVSEG_UNROLL
  for (int j = 0; j < kWidth; ++j) value.at[j] = j < count ? from[j * stride] : 0.0f;
  return value;
}

/// to[j] = from[j·stride] for j < count, 0 for the others of kWidth.
template <int kWidth>
__device__ __forceinline__ void copy_strided(float* to, const float* from, std::int64_t stride,
                                             int count) {
  store_group(to, load_strided<kWidth>(from, stride, count), kWidth);
}

// A GPU hides latencies with other warps.
__device__ __forceinline__ void prefetch_to_read(const float*, int) {}
__device__ __forceinline__ void prefetch_to_write(const float*, int) {}

/// Group `group` of row `i` of a microtile's accumulators.
template <class Tile>
__device__ __forceinline__ Lanes<Tile::kGroupColumns, float> group_lanes(
    const typename Tile::Storage& storage, int i, int group) {
  Lanes<Tile::kGroupColumns, float> result;
  CURVSEG_UNROLL
  for (int j = 0; j < Tile::kGroupColumns; ++j)
    result.at[j] = storage[i][group * Tile::kGroupColumns + j];
  return result;
}

template <int kWidth>
__device__ __forceinline__ Lanes<kWidth, int> lane_index() {
  Lanes<kWidth, int> result;
  CURVSEG_UNROLL
  for (int j = 0; j < kWidth; ++j) result.at[j] = j;
  return result;
}

/// One number after the other: neighbouring threads have neighbouring lines.
__device__ __forceinline__ int first_largest(const float* x, int count) {
  return first_largest_by_one(x, count);
}

/// Applies `f` lane by lane.
template <class Result, int kWidth, class A, class B, class F>
__device__ __forceinline__ Lanes<kWidth, Result> zip_lanes(const Lanes<kWidth, A>& a,
                                                           const Lanes<kWidth, B>& b, F f) {
  Lanes<kWidth, Result> result;
  CURVSEG_UNROLL
  for (int j = 0; j < kWidth; ++j) result.at[j] = f(a.at[j], b.at[j]);
  return result;
}

template <int kWidth, class T>
__device__ __forceinline__ Lanes<kWidth, T> operator+(const Lanes<kWidth, T>& a,
                                                      const Lanes<kWidth, T>& b) {
  return zip_lanes<T>(a, b, [](T x, T y) { return x + y; });
}
template <int kWidth, class T>
__device__ __forceinline__ Lanes<kWidth, T> operator-(const Lanes<kWidth, T>& a,
                                                      const Lanes<kWidth, T>& b) {
  return zip_lanes<T>(a, b, [](T x, T y) { return x - y; });
}
template <int kWidth, class T>
__device__ __forceinline__ Lanes<kWidth, T> operator*(const Lanes<kWidth, T>& a,
                                                      const Lanes<kWidth, T>& b) {
  return zip_lanes<T>(a, b, [](T x, T y) { return x * y; });
}
template <int kWidth, class T>
__device__ __forceinline__ Lanes<kWidth, T> operator/(const Lanes<kWidth, T>& a,
                                                      const Lanes<kWidth, T>& b) {
  return zip_lanes<T>(a, b, [](T x, T y) { return x / y; });
}
template <int kWidth, class T>
__device__ __forceinline__ Mask<kWidth> operator<(const Lanes<kWidth, T>& a,
                                                  const Lanes<kWidth, T>& b) {
  return zip_lanes<bool>(a, b, [](T x, T y) { return x < y; });
}
template <int kWidth, class T>
__device__ __forceinline__ Mask<kWidth> operator<=(const Lanes<kWidth, T>& a,
                                                   const Lanes<kWidth, T>& b) {
  return zip_lanes<bool>(a, b, [](T x, T y) { return x <= y; });
}
template <int kWidth, class T>
__device__ __forceinline__ Mask<kWidth> operator==(const Lanes<kWidth, T>& a,
                                                   const Lanes<kWidth, T>& b) {
  return zip_lanes<bool>(a, b, [](T x, T y) { return x == y; });
}
template <int kWidth>
__device__ __forceinline__ Mask<kWidth> operator&(const Mask<kWidth>& a, const Mask<kWidth>& b) {
  return zip_lanes<bool>(a, b, [](bool x, bool y) { return x && y; });
}
template <int kWidth>
__device__ __forceinline__ Mask<kWidth> operator!(const Mask<kWidth>& a) {
  return zip_lanes<bool>(a, a, [](bool x, bool) { return !x; });
}

template <int kWidth, class T>
__device__ __forceinline__ Lanes<kWidth, T> select(const Mask<kWidth>& mask,
                                                   const Lanes<kWidth, T>& a,
                                                   const Lanes<kWidth, T>& b) {
  Lanes<kWidth, T> result;
  CURVSEG_UNROLL
  for (int j = 0; j < kWidth; ++j) result.at[j] = mask.at[j] ? a.at[j] : b.at[j];
  return result;
}

}  // namespace curvseg::CURVSEG_TARGET
