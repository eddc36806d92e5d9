// A few adjacent channels that a thread takes at a time, computed with as one number would be.
//
// A GPU thread takes 4 (one 16-byte access) where every address allows it, else 1; neighbouring
// threads take neighbouring channels. A host thread takes 16, in vector registers; the last lanes
// of a pixel may be fewer, `count` of them, and those beyond are zeros that are never stored.
//
//   Lanes<kWidth, float>, Lanes<kWidth, int>, Mask<kWidth>
//   load_lanes<kWidth>(from, count)      from float*; from std::uint16_t*, widened to int
//   store_lanes(to, lanes, count)        to float*; to std::uint16_t*, narrowed
//   load_group<kWidth>(from, count), store_group(to, lanes, count)
//                                        the same for any address and count on every target
//   copy_strided<kWidth>(to, from, stride, count)    kWidth adjacent elements from apart ones
//   load_strided<kWidth>(from, stride, count)        the same into lanes
//   prefetch_to_read(from, count), prefetch_to_write(to, count)    into the nearest cache
//   group_lanes<Tile>(storage, i, group) accumulators of a microtile, adjacent columns of row i
//   fill_lanes<kWidth>(value), lane_index<kWidth>(), kRegisterLanes   as wide as one register
//   a + b, a - b, a * b, a / b           lanes with lanes; number * lanes, lanes / number
//   a < b, a <= b, a == b                a mask, from lanes and lanes
//   a < number, a > number, a == number  a mask, from lanes and one number
//   mask & mask, !mask, select(mask, a, b)
//   first_largest(from, count)           where the first largest of `count` > 0 numbers is, or the
//                                        first that is not a number
//
// (Plain arrays left to the compiler instead: g++ 12 moves them through the stack in pieces and
// reaches a sixth of the speed on a copy.)
#pragma once

#include <initializer_list>

#include "exec/exec.hpp"
#include "exec/prefetch.hpp"

#if defined(__CUDACC__) || defined(CURVSEG_EMULATED)
#include "exec/gpu_lanes.hpp"
#else
#include "exec/host_lanes.hpp"
#endif

namespace curvseg::CURVSEG_TARGET {

// One number for all lanes.
template <int kWidth>
__device__ __forceinline__ Lanes<kWidth, float> operator*(float a, const Lanes<kWidth, float>& b) {
  return fill_lanes<kWidth>(a) * b;
}
template <int kWidth>
__device__ __forceinline__ Lanes<kWidth, float> operator/(const Lanes<kWidth, float>& a, float b) {
  return a / fill_lanes<kWidth>(b);
}
template <int kWidth, class T>
__device__ __forceinline__ Mask<kWidth> operator<(const Lanes<kWidth, T>& a, T b) {
  return a < fill_lanes<kWidth>(b);
}
template <int kWidth, class T>
__device__ __forceinline__ Mask<kWidth> operator>(const Lanes<kWidth, T>& a, T b) {
  return fill_lanes<kWidth>(b) < a;
}
template <int kWidth, class T>
__device__ __forceinline__ Mask<kWidth> operator==(const Lanes<kWidth, T>& a, T b) {
  return a == fill_lanes<kWidth>(b);
}

/// A tensor as the choice of lanes sees it: base, pixel stride and size of an element.
struct LaneOperand {
  template <class T>
  LaneOperand(const T* base_, std::int64_t ld_)
      : base(base_), ld(ld_), bytes(static_cast<unsigned>(kWideLanes * sizeof(T))) {}
  const void* base;
  std::int64_t ld;
  unsigned bytes;
};

/// Whether kWideLanes of `channels` can be accessed at once in all `operands` (nullptr: absent).
inline bool wide_lanes(std::int64_t channels, std::initializer_list<LaneOperand> operands) {
  if (!kStagedOperands) return true;
  bool wide = channels % kWideLanes == 0;
  for (const LaneOperand& operand : operands)
    if (operand.base)
      wide = wide && operand.ld % kWideLanes == 0 && is_aligned(operand.base, operand.bytes);
  return wide;
}

}  // namespace curvseg::CURVSEG_TARGET
