// The shapes that both kinds of pooling are tested on.
#pragma once

#include <string>
#include <vector>

#include "pool/pool.hpp"
#include "reference/pool.hpp"

namespace curvseg::testing {

struct PoolCase {
  std::string name;
  reference::Pool g;
};

/// Channel counts on both sides of a vector, outputs that leave a rest, windows that overlap, that
/// leave gaps, that hang over an edge, that hold nothing.
inline std::vector<PoolCase> small_pool_cases() {
  return {
      {"one_element", {1, 1, 1, 1, 1, 1, 1, 1, 1, 1}},
      {"one_window", {1, 2, 2, 1, 1, 1}},
      {"unet", {2, 8, 12, 16, 4, 6}},
      {"rgb", {1, 6, 8, 3, 3, 4}},
      {"twelve_channels", {2, 4, 10, 12, 2, 5}},
      {"odd_channels", {1, 6, 4, 67, 3, 2}},
      {"leaves_a_rest", {1, 9, 7, 5, 4, 3}},
      {"fewer_outputs_than_fit", {1, 9, 9, 4, 2, 3}},
      {"hangs_over", {1, 9, 7, 16, 5, 4}},
      {"overlapping", {1, 9, 11, 8, 4, 5, 3, 3, 2, 2}},
      {"overlapping_padded", {2, 8, 10, 4, 4, 5, 3, 3, 2, 2, 1, 1}},
      {"stride_one", {1, 7, 6, 6, 7, 6, 3, 3, 1, 1, 1, 1}},
      {"stride_beyond_window", {1, 11, 13, 4, 4, 4, 2, 2, 3, 3}},
      {"asymmetric", {1, 9, 10, 7, 4, 9, 3, 2, 2, 1, 1, 0}},
      {"window_beyond_image", {1, 3, 3, 4, 1, 1, 5, 5, 1, 1, 1, 1}},
      {"windows_wholly_outside", {1, 3, 4, 5, 4, 5, 2, 2, 2, 2}},
      {"padding_beyond_window", {1, 4, 4, 3, 5, 5, 2, 2, 2, 2, 3, 3}},
      {"global", {2, 5, 6, 20, 1, 1, 5, 6, 5, 6}},
      {"one_column", {2, 9, 1, 16, 4, 1, 2, 1, 2, 1}},
  };
}

/// Shapes that only targets faster than the emulated one run.
inline std::vector<PoolCase> large_pool_cases() {
  return {
      {"odd_image", {1, 597, 43, 12, 298, 21}},
      {"unet_level", {2, 96, 96, 32, 48, 48}},
      {"many_channels", {1, 14, 10, 515, 7, 5}},
      {"overlapping_image", {1, 131, 67, 24, 66, 34, 3, 3, 2, 2, 1, 1}},
      {"large_window", {1, 260, 257, 3, 1, 1, 255, 257, 255, 257}},  // r·s just below 2^16
  };
}

/// Several blocks each; windows that overlap, and that do not.
inline std::vector<reference::Pool> schedule_cases(bool emulated) {
  if (emulated) return {{2, 19, 23, 21, 10, 12, 3, 3, 2, 2, 1, 1}, {2, 18, 22, 21, 9, 11}};
  return {{4, 39, 47, 21, 20, 24, 3, 3, 2, 2, 1, 1}, {4, 38, 46, 21, 19, 23}};
}

inline PoolProblem pool_problem(const reference::Pool& g) {
  return {g.n, g.h, g.w, g.c, g.p, g.q, g.r, g.s, g.stride_h, g.stride_w, g.pad_h, g.pad_w};
}

}  // namespace curvseg::testing
