// A few adjacent channels that a thread takes at a time.
//
// A GPU thread takes 4 (one 16-byte access) where every address allows it, else 1; neighbouring
// threads take neighbouring channels. A host thread takes 16, whose loops the compiler unrolls into
// vector instructions; the last lanes of a pixel may be fewer, `count` of them.
//
//   const auto v = load_lanes<kWidth>(x, count);
//   for (int j = 0; j < kWidth; ++j) v.at[j] ...     all lanes: those beyond count are zeros
//   store_lanes(y, v, count);
#pragma once

#include <initializer_list>

#include "exec/exec.hpp"

namespace curvseg::CURVSEG_TARGET {

/// Lanes of a thread where addresses allow wide accesses, and where they do not.
inline constexpr int kWideLanes = kStagedOperands ? 4 : 16;
inline constexpr int kNarrowLanes = kStagedOperands ? 1 : 16;

template <int kWidth, class T>
struct alignas(kStagedOperands ? kWidth * sizeof(T) : alignof(T)) Lanes {
  T at[kWidth];
};

template <int kWidth, class T>
__device__ __forceinline__ Lanes<kWidth, T> load_lanes(const T* from, [[maybe_unused]] int count) {
  if constexpr (kStagedOperands) {
    return *reinterpret_cast<const Lanes<kWidth, T>*>(from);
  } else {
    Lanes<kWidth, T> lanes;
    if (count == kWidth) {
      for (int j = 0; j < kWidth; ++j) lanes.at[j] = from[j];
    } else {
      for (int j = 0; j < kWidth; ++j) lanes.at[j] = T(0);
      for (int j = 0; j < count; ++j) lanes.at[j] = from[j];
    }
    return lanes;
  }
}

template <int kWidth, class T>
__device__ __forceinline__ void store_lanes(T* to, const Lanes<kWidth, T>& lanes,
                                            [[maybe_unused]] int count) {
  if constexpr (kStagedOperands) {
    *reinterpret_cast<Lanes<kWidth, T>*>(to) = lanes;
  } else if (count == kWidth) {
    for (int j = 0; j < kWidth; ++j) to[j] = lanes.at[j];
  } else {
    for (int j = 0; j < count; ++j) to[j] = lanes.at[j];
  }
}

template <int kWidth, class T>
__device__ __forceinline__ Lanes<kWidth, T> fill_lanes(T value) {
  Lanes<kWidth, T> lanes;
  for (int j = 0; j < kWidth; ++j) lanes.at[j] = value;
  return lanes;
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
