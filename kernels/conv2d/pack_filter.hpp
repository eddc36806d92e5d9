// Filters as panels: what both gather directions read as their second operand.
//
//   forward: panel[k / width][r, s][c][k % width] = w[r, s, c, k]
//   data:    panel[c / width][r, s backwards][k][c % width] = w[r, s, c, k]
//
// zero beyond the last channel, overwritten. The last index is contiguous, so a step of the main
// loop walks one straight run of memory whatever the direction and whatever the channel count.
#pragma once

#include "conv2d/conv2d.hpp"
#include "exec/exec.hpp"

namespace curvseg::CURVSEG_TARGET {

struct PackFilter {
  const float* w;
  float* panels;
  int taps;                       // R·S
  int reduction;                  // channels summed over: C forward, K for the data gradient
  int outputs;                    // channels written: K forward, C for the data gradient
  std::int64_t reduction_stride;  // of w, in floats
  std::int64_t output_stride;
  int width;
  bool backwards;  // taps from last to first, see panel_tap()
};

inline __host__ __device__ std::int64_t panel_floats(int taps, int reduction, int outputs,
                                                     int width) {
  return divide_up(outputs, width) * width * taps * reduction;
}

/// A block packs one (panel, tap): `reduction` rows of `width` floats.
static __global__ void pack_filter_kernel(PackFilter p) {
  const int tap = static_cast<int>(blockIdx.x % static_cast<unsigned>(p.taps));
  const int panel = static_cast<int>(blockIdx.x / static_cast<unsigned>(p.taps));
  const int first = panel * p.width;
  const int valid = p.outputs - first < p.width ? p.outputs - first : p.width;
  const float* w =
      p.w + static_cast<std::int64_t>(tap) * p.reduction * p.outputs + first * p.output_stride;
  const int to_tap = p.backwards ? p.taps - 1 - tap : tap;
  float* to =
      p.panels + (static_cast<std::int64_t>(panel) * p.taps + to_tap) * p.reduction * p.width;
  const std::int64_t floats = static_cast<std::int64_t>(p.reduction) * p.width;
  if (p.output_stride == 1) {
    for (std::int64_t i = block_begin(); i < p.reduction; i += block_step())
      for (int j = 0; j < p.width; ++j)
        to[i * p.width + j] = j < valid ? w[i * p.reduction_stride + j] : 0.0f;
  } else {
    for (std::int64_t e = block_begin(); e < floats; e += block_step()) {
      const int j = static_cast<int>(e % p.width);
      to[e] = j < valid ? w[(e / p.width) * p.reduction_stride + j * p.output_stride] : 0.0f;
    }
  }
}

}  // namespace curvseg::CURVSEG_TARGET
