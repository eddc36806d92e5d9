// lane_arithmetic.hpp for the block shapes of a GPU.
#pragma once

#include <cmath>
#include <cstdint>

namespace curvseg::CURVSEG_TARGET {

template <int kWidth>
__device__ __forceinline__ Lanes<kWidth, int> load_group(const std::int32_t* from, int count) {
  Lanes<kWidth, int> result;
  CURVSEG_UNROLL
  for (int j = 0; j < kWidth; ++j) result.at[j] = j < count ? from[j] : 0;
  return result;
}
template <int kWidth>
__device__ __forceinline__ void store_group(std::int32_t* to, const Lanes<kWidth, int>& value,
                                            int count) {
  CURVSEG_UNROLL
  for (int j = 0; j < kWidth; ++j)
    if (j < count) to[j] = value.at[j];
}

template <int kWidth>
__device__ __forceinline__ Lanes<kWidth, float> square_root(Lanes<kWidth, float> a) {
  CURVSEG_UNROLL
  for (int j = 0; j < kWidth; ++j) a.at[j] = sqrtf(a.at[j]);
  return a;
}

/// `f` of lanes: one after the other.
template <int kWidth, class F>
__device__ __forceinline__ Lanes<kWidth, float> map_lanes(Lanes<kWidth, float> a, const F& f) {
  CURVSEG_UNROLL
  for (int j = 0; j < kWidth; ++j) a.at[j] = f(a.at[j]);
  return a;
}

/// A sum of each lane, in double.
template <int kWidth>
struct LaneSums {
  double at[kWidth] = {};
};

template <int kWidth>
__device__ __forceinline__ void add_lanes(LaneSums<kWidth>& sums,
                                          const Lanes<kWidth, float>& value) {
  CURVSEG_UNROLL
  for (int j = 0; j < kWidth; ++j) sums.at[j] += value.at[j];
}
template <int kWidth>
__device__ __forceinline__ void add_products(LaneSums<kWidth>& sums, const Lanes<kWidth, float>& a,
                                             const Lanes<kWidth, float>& b) {
  CURVSEG_UNROLL
  for (int j = 0; j < kWidth; ++j) sums.at[j] += static_cast<double>(a.at[j]) * b.at[j];
}
template <int kWidth>
__device__ __forceinline__ double sum_lanes(const LaneSums<kWidth>& sums) {
  double sum = 0.0;
  CURVSEG_UNROLL
  for (int j = 0; j < kWidth; ++j) sum += sums.at[j];
  return sum;
}

}  // namespace curvseg::CURVSEG_TARGET
