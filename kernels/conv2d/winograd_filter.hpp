// Transformed filters as panels: what both directions of conv2d_winograd.hpp read.
//
//   panel[o / width][4·i + j][c][o % width] = (G g Gᵀ)[i][j],  g the 3x3 taps from channel c to o
//
// zero beyond the last output, overwritten; o and c as in pack_filter.hpp, for the data gradient
// with the taps backwards.
#pragma once

#include "conv2d/pack_filter.hpp"
#include "conv2d/winograd_tiles.hpp"

namespace curvseg::CURVSEG_TARGET {

/// Rows of a panel that a block transforms.
inline constexpr int kWinogradFilterRows = 16;

/// A block transforms kWinogradFilterRows rows of one panel, a group of adjacent columns at a time.
template <int kWidth>
static __global__ void transform_filter_kernel(PackFilter p) {
  constexpr int kGroup = kStagedOperands ? kWideLanes : kRegisterLanes;
  constexpr int kGroups = kWidth / kGroup;
  static_assert(kWidth % kGroup == 0, "a row of a panel is made of whole groups");
  const unsigned row_blocks = static_cast<unsigned>(divide_up(p.reduction, kWinogradFilterRows));
  const int panel = static_cast<int>(blockIdx.x / row_blocks);
  const int first_row = static_cast<int>(blockIdx.x % row_blocks) * kWinogradFilterRows;
  const int rows = min_of(p.reduction - first_row, kWinogradFilterRows);
  const std::int64_t tap = static_cast<std::int64_t>(p.reduction) * p.outputs;
  const std::int64_t plane = static_cast<std::int64_t>(p.reduction) * kWidth;
  for (int e = block_begin(); e < rows * kGroups; e += block_step()) {
    const int row = first_row + e / kGroups;
    const int column = panel * kWidth + e % kGroups * kGroup;
    const int valid = min_of(p.outputs - column, kGroup);
    const float* w = p.w + row * p.reduction_stride + column * p.output_stride;
    float* to = p.panels + panel * kWinogradPlanes * plane +
                static_cast<std::int64_t>(row) * kWidth + e % kGroups * kGroup;
    transform_filter<kGroup>(
        [&](int r, int s) __attribute__((always_inline)) {
          const float* from = w + (p.backwards ? 8 - 3 * r - s : 3 * r + s) * tap;
          if (valid <= 0) return fill_lanes<kGroup>(0.0f);
          return p.output_stride == 1 ? load_group<kGroup>(from, valid)
                                      : load_strided<kGroup>(from, p.output_stride, valid);
        },
        [&](int i, int j, const Lanes<kGroup, float>& value) __attribute__((always_inline)) {
          store_group(to + (4 * i + j) * plane, value, kGroup);
        });
  }
}

}  // namespace curvseg::CURVSEG_TARGET
