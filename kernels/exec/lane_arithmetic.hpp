// What lanes.hpp's lanes are computed with where sums, exponentials and labels ask for more:
//
//   load_group<kWidth>(from, count), store_group(to, lanes, count)    of std::int32_t*
//   square_root(a)
//   map_lanes(a, f)                      f of a: of all lanes at once, or one after the other
//   LaneSums<kWidth>                     sums in double, one a lane: add_lanes(sums, a),
//                                        add_products(sums, a, b), sum_lanes(sums) in a fixed order
//
// and what makes one text serve for a number and for the host's lanes: lanes with numbers,
// SignedOf, UnsignedOf, same_everywhere(), choose(), to_float().
#pragma once

#include "exec/lanes.hpp"

namespace curvseg::CURVSEG_TARGET {

template <class Float>
struct NumberTypes;
template <>
struct NumberTypes<float> {
  using Signed = std::int32_t;
  using Unsigned = std::uint32_t;
};
template <class Float>
using SignedOf = typename NumberTypes<Float>::Signed;
template <class Float>
using UnsignedOf = typename NumberTypes<Float>::Unsigned;

/// Minus zero is exact for every value, plus zero is not.
template <class Number, class T>
__device__ __forceinline__ Number same_everywhere(T value) {
  return value - Number{};
}
template <class T>
__device__ __forceinline__ T choose(bool condition, T a, T b) {
  return condition ? a : b;
}
__device__ __forceinline__ float to_float(std::int32_t value) { return static_cast<float>(value); }

}  // namespace curvseg::CURVSEG_TARGET

#if defined(__CUDACC__) || defined(CURVSEG_EMULATED)
#include "exec/gpu_lane_arithmetic.hpp"
#else
#include "exec/host_lane_arithmetic.hpp"
#endif
