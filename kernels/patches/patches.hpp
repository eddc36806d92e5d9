// The input patches of a convolution at random output positions, and which positions those are.
// Plain C++, brute-force tested in tests/kernels/patches.
#pragma once

#include <cstdint>

#include "conv2d/conv2d.hpp"

namespace curvseg {

/// rows[t, (r·S + s)·C + c] = f · x[n, p·stride_h − pad_h + r·dilation_h, q·stride_w − …, c]
/// rows[t, R·S·C] = f   (only if `append_one`)
/// with (n, p, q) the output position π_t, x zero outside its bounds, and
/// f = scale[0] / √min(positions, M): rowsᵀ·rows is then scale[0]² times the mean of the outer
/// products over the positions. The order of a row is that of the filter's memory [R,S,C].
///
/// Of M = N·P·Q positions in memory order, π_t = ⌊(t + u_t)·M / positions⌋: one uniformly random
/// position in each of `positions` strata. u_t depends on (seed, step, stream, t) alone. If
/// positions ≥ M, all M positions in order, and then rows of zeros.
///
/// `problem` as in Conv2dProblem, its k and groups unused. Overwrites the columns named above and
/// touches no other.
struct GatherPatches {
  Conv2dProblem problem;
  const float* x = nullptr;
  std::int64_t ldx = 0;
  int positions = 0;
  bool append_one = false;
  const std::uint64_t* seed_and_step = nullptr;  // device: {seed, step}
  std::uint32_t stream = 0;                      // of one seed: a layer's number
  const float* scale = nullptr;                  // device; nullptr: 1
  float* rows = nullptr;
  std::int64_t ld = 0;
};

constexpr CURVSEG_HOST_DEVICE int patch_width(const GatherPatches& p) {
  return p.problem.r * p.problem.s * p.problem.c + (p.append_one ? 1 : 0);
}

/// ⌊(t + bits / 2^32)·count / strata⌋, exactly; strata·count is below 2^62.
constexpr CURVSEG_HOST_DEVICE std::int64_t stratified_position(std::int64_t t, std::uint32_t bits,
                                                               std::int64_t count,
                                                               std::int64_t strata) {
  // ⌊bits·count / 2^32⌋ from the halves of count; what it drops is less than the division sees.
  const auto whole = static_cast<std::uint64_t>(count);
  const std::uint64_t part = bits * (whole >> 32) + (bits * (whole & 0xFFFFFFFFu) >> 32);
  return (t * count + static_cast<std::int64_t>(part)) / strata;
}

}  // namespace curvseg
