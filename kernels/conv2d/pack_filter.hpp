// Filters as panels: what both gather directions read as their second operand.
//
//   forward: panel[k / width][r, s][c][k % width] = w[r, s, c, k]
//   data:    panel[c / width][r, s backwards][k][c % width] = w[r, s, c, k]
//
// zero beyond the last channel, overwritten. The last index is contiguous, so a step of the main
// loop walks one straight run of memory whatever the direction and whatever the channel count.
#pragma once

#include "conv2d/conv2d.hpp"
#include "exec/lanes.hpp"

namespace curvseg::CURVSEG_TARGET {

struct PackFilter {
  const float* w;
  float* panels;
  int taps;                       // R·S
  int reduction;                  // channels summed over: C forward, K for the data gradient
  int outputs;                    // channels written: K forward, C for the data gradient
  std::int64_t reduction_stride;  // of w, in floats
  std::int64_t output_stride;
  bool backwards;  // taps from last to first, see panel_tap()
};

inline __host__ __device__ std::int64_t panel_floats(int taps, int reduction, int outputs,
                                                     int width) {
  return divide_up(outputs, width) * width * taps * reduction;
}

/// A block packs one (panel, tap): `reduction` rows of kWidth floats, a group of adjacent columns
/// at a time, so that neighbouring threads write neighbouring 16 bytes.
template <int kWidth>
static __global__ void pack_filter_kernel(PackFilter p) {
  constexpr int kGroup = min_of(kWidth, kWideLanes);
  constexpr int kGroups = kWidth / kGroup;
  static_assert(kWidth % kGroup == 0, "a row of a panel is made of whole groups");
  const int tap = static_cast<int>(blockIdx.x % static_cast<unsigned>(p.taps));
  const int panel = static_cast<int>(blockIdx.x / static_cast<unsigned>(p.taps));
  const int first = panel * kWidth;
  const float* w =
      p.w + static_cast<std::int64_t>(tap) * p.reduction * p.outputs + first * p.output_stride;
  const int to_tap = p.backwards ? p.taps - 1 - tap : tap;
  float* panels =
      p.panels + (static_cast<std::int64_t>(panel) * p.taps + to_tap) * p.reduction * kWidth;
  const std::int64_t groups = static_cast<std::int64_t>(p.reduction) * kGroups;
  for (std::int64_t e = block_begin(); e < groups; e += block_step()) {
    const int column = static_cast<int>(e % kGroups) * kGroup;
    const int valid = min_of(p.outputs - first - column, kGroup);
    const float* from = w + e / kGroups * p.reduction_stride + column * p.output_stride;
    float* to = panels + e * kGroup;
    if (p.output_stride == 1)
      store_group(to, load_group<kGroup>(from, valid), kGroup);
    else
      copy_strided<kGroup>(to, from, p.output_stride, valid);
  }
}

}  // namespace curvseg::CURVSEG_TARGET
