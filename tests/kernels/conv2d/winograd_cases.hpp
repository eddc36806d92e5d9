// What the tests of minimal filtering share.
#pragma once

#include "kernels/conv2d/conv2d_run.hpp"
#include "reference/winograd.hpp"
#include "support/schedules.hpp"

namespace curvseg::testing {

inline constexpr ConvAlgorithm kWinograd = ConvAlgorithm::kWinograd;

/// Whole tiles and ends of them, fewer rows of them than an image has pixels, every padding, one to
/// many channels on both sides of every tile.
inline std::vector<Conv2dCase> winograd_cases() {
  return {
      {"one_pixel", {1, 1, 1, 4, 3, 3, 3, 1, 1, 1, 1}},
      {"one_tile", {1, 2, 2, 8, 8, 3, 3, 1, 1, 1, 1}},
      {"one_output", {1, 3, 3, 5, 5, 3, 3}},
      {"odd_lines", {2, 5, 7, 1, 2, 3, 3, 1, 1, 1, 1}},
      {"line_of_two_rows", {1, 2, 9, 3, 33, 3, 3, 1, 1, 1, 1}},
      {"column", {3, 11, 1, 9, 12, 3, 3, 1, 1, 1, 1}},
      {"no_padding", {2, 6, 9, 20, 19, 3, 3}},
      {"padding_of_rows", {1, 4, 8, 16, 16, 3, 3, 1, 1, 1, 0}},
      {"padding_of_two", {1, 5, 4, 7, 17, 3, 3, 1, 1, 2, 2}},
      {"padding_beyond_the_filter", {1, 3, 4, 6, 5, 3, 3, 1, 1, 4, 3}},
      {"several_blocks_of_tiles", {1, 13, 14, 10, 9, 3, 3, 1, 1, 1, 1}},
      {"several_steps", {1, 4, 5, 70, 4, 3, 3, 1, 1, 1, 1}},
      {"several_blocks_of_channels", {1, 3, 4, 4, 75, 3, 3, 1, 1, 1, 1}},
  };
}

/// Cases that only targets faster than the emulated one run.
inline std::vector<Conv2dCase> large_winograd_cases() {
  return {
      {"unet_level", {1, 14, 25, 32, 64, 3, 3, 1, 1, 1, 1}},
      {"many_steps_and_passes", {1, 5, 7, 150, 140, 3, 3, 1, 1, 1, 1}},
      {"long_lines", {1, 3, 203, 20, 24, 3, 3, 1, 1, 1, 1}},
  };
}

class WinogradTest : public Conv2dTest {
 protected:
  /// Of one product of a sum: a multiply-add is not fused everywhere.
  int roundings() const { return GetParam() == "host_baseline" ? 2 : 1; }
  std::vector<Conv2dCase> all_cases() const {
    std::vector<Conv2dCase> result = winograd_cases();
    if (!emulated())
      for (Conv2dCase& c : large_winograd_cases()) result.push_back(c);
    return result;
  }
};

}  // namespace curvseg::testing
