// The index arithmetic of the gathers against the definition, by brute force.
#include "conv2d/conv2d.hpp"

#include <gtest/gtest.h>

#include <map>
#include <tuple>
#include <vector>

namespace curvseg {
namespace {

struct Geometry {
  int in, filter, stride, pad, dilation;
  int out() const {
    const int reach = in + 2 * pad - dilation * (filter - 1) - 1;
    return reach < 0 ? 0 : reach / stride + 1;
  }
};

std::vector<Geometry> geometries() {
  std::vector<Geometry> result;
  for (int in : {1, 2, 5, 8, 13})
    for (int filter : {1, 2, 3, 4, 7})
      for (int stride : {1, 2, 3, 4})
        for (int pad : {0, 1, 3})
          for (int dilation : {1, 2, 3}) result.push_back({in, filter, stride, pad, dilation});
  return result;
}

/// (output, tap) -> source of all products that a gather visits.
std::map<std::pair<int, int>, int> visits(Conv2dDirection direction, const Geometry& g) {
  std::map<std::pair<int, int>, int> result;
  for (int phase = 0; phase < gather_phases(direction, g.stride, g.in); ++phase) {
    const GatherAxis axis =
        gather_axis(direction, phase, g.in, g.out(), g.filter, g.stride, g.pad, g.dilation);
    for (int i = 0; i < axis.outputs; ++i)
      for (int j = 0; j < axis.taps; ++j) {
        const int source = i * axis.source_step + axis.source_offset + j * axis.source_tap_step;
        if (source < 0 || source >= axis.source_extent) continue;
        const auto key =
            std::pair(axis.out_start + i * axis.out_step, axis.tap_start + j * axis.tap_step);
        EXPECT_TRUE(result.emplace(key, source).second) << "visited twice";
      }
  }
  return result;
}

TEST(GatherAxis, ForwardVisitsEveryProductOnce) {
  for (const Geometry& g : geometries()) {
    std::map<std::pair<int, int>, int> expected;
    for (int p = 0; p < g.out(); ++p)
      for (int r = 0; r < g.filter; ++r) {
        const int h = p * g.stride - g.pad + r * g.dilation;
        if (h >= 0 && h < g.in) expected[{p, r}] = h;
      }
    EXPECT_EQ(visits(Conv2dDirection::kForward, g), expected);
  }
}

TEST(GatherAxis, DataGradientVisitsTheSameProductsFromTheOtherSide) {
  for (const Geometry& g : geometries()) {
    std::map<std::pair<int, int>, int> expected;
    for (int p = 0; p < g.out(); ++p)
      for (int r = 0; r < g.filter; ++r) {
        const int h = p * g.stride - g.pad + r * g.dilation;
        if (h >= 0 && h < g.in) expected[{h, r}] = p;
      }
    EXPECT_EQ(visits(Conv2dDirection::kData, g), expected)
        << g.in << " " << g.filter << " " << g.stride << " " << g.pad << " " << g.dilation;
  }
}

TEST(GatherAxis, PhasesCoverEveryOutputOnce) {
  for (const Geometry& g : geometries()) {
    std::vector<int> count(static_cast<std::size_t>(g.in));
    for (int phase = 0; phase < gather_phases(Conv2dDirection::kData, g.stride, g.in); ++phase) {
      const GatherAxis axis = gather_axis(Conv2dDirection::kData, phase, g.in, g.out(), g.filter,
                                          g.stride, g.pad, g.dilation);
      for (int i = 0; i < axis.outputs; ++i)
        ++count[static_cast<std::size_t>(axis.out_start + i * axis.out_step)];
    }
    EXPECT_EQ(count, std::vector<int>(count.size(), 1));
  }
}

TEST(GatherAxis, SourcesAscendWithTaps) {
  for (const Geometry& g : geometries())
    for (int phase = 0; phase < g.stride; ++phase)
      EXPECT_GT(gather_axis(Conv2dDirection::kData, phase, g.in, g.out(), g.filter, g.stride, g.pad,
                            g.dilation)
                    .source_tap_step,
                0);
}

TEST(FloorDivide, RoundsTowardsMinusInfinity) {
  EXPECT_EQ(floor_divide(7, 2), 3);
  EXPECT_EQ(floor_divide(-7, 2), -4);
  EXPECT_EQ(floor_divide(-8, 2), -4);
  EXPECT_EQ(floor_divide(0, 5), 0);
}

}  // namespace
}  // namespace curvseg
