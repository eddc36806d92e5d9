// The index arithmetic of bilinear resizing against the definition, by brute force.
#include "resize/resize_axis.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <vector>

namespace curvseg {
namespace {

/// Where output `o` samples, in doubles: exact enough for the sizes below.
double coordinate(int o, int in, int out) {
  return std::clamp((o + 0.5) * in / out - 0.5, 0.0, in - 1.0);
}

/// Sizes with and without common factors, up and down, and 1.
std::vector<std::pair<int, int>> sizes() {
  std::vector<std::pair<int, int>> result;
  for (int in = 1; in <= 14; ++in)
    for (int out = 1; out <= 30; ++out) result.emplace_back(in, out);
  result.emplace_back(597, 43);
  result.emplace_back(43, 597);
  result.emplace_back(360, 720);
  return result;
}

TEST(ResizeAxis, SamplesWhereTheDefinitionSays) {
  for (const auto& [in, out] : sizes()) {
    const ResizeAxis axis(in, out);
    for (int o = 0; o < out; ++o) {
      const ResizeSample sample = axis.sample(o);
      ASSERT_GE(sample.index, 0);
      ASSERT_LT(sample.index, in);
      ASSERT_GE(sample.fraction, 0.0f);
      ASSERT_LT(sample.fraction, 1.0f);
      ASSERT_TRUE(sample.index < in - 1 || sample.fraction == 0.0f);
      const double at = sample.index + static_cast<double>(sample.fraction);
      ASSERT_NEAR(at, coordinate(o, in, out), 2e-7) << o << " of " << out << " from " << in;
    }
  }
}

TEST(ResizeAxis, ReadersAreThoseThatTakeAWeight) {
  for (const auto& [in, out] : sizes()) {
    const ResizeAxis axis(in, out);
    for (int i = 0; i < in; ++i) {
      const ResizeReaders readers = axis.readers(i);
      std::vector<float> weights(static_cast<std::size_t>(out), 0.0f);
      ResizeWeights weight(axis, readers, i);
      for (int k = 0; k < readers.count; ++k, weight.advance())
        weights[static_cast<std::size_t>(readers.first + k)] = weight.value();
      for (int o = 0; o < out; ++o) {
        // In bits: backward is the transpose of forward, not of something close to it.
        const ResizeSample sample = axis.sample(o);
        const float expected = sample.index == i       ? 1.0f - sample.fraction
                               : sample.index + 1 == i ? sample.fraction
                                                       : 0.0f;
        ASSERT_EQ(weights[static_cast<std::size_t>(o)], expected)
            << "input " << i << " of " << in << ", output " << o << " of " << out;
      }
    }
  }
}

TEST(ResizeAxis, PowersOfTwoHaveExactWeights) {
  const ResizeAxis axis(100, 200);
  for (int o = 1; o < 199; ++o) ASSERT_EQ(axis.sample(o).fraction, o % 2 ? 0.25f : 0.75f) << o;
  const ResizeAxis same(77, 77);
  for (int o = 0; o < 77; ++o) {
    ASSERT_EQ(same.sample(o).index, o);
    ASSERT_EQ(same.sample(o).fraction, 0.0f);
  }
}

TEST(ResizeAxis, ProductsOfExtentsBeyondTwoToTheThirtyOne) {
  const int in = 100003, out = 200003;  // both prime
  const ResizeAxis axis(in, out);
  for (const int o : {0, 1, 77777, 100001, 200001, 200002}) {
    const ResizeSample sample = axis.sample(o);
    ASSERT_NEAR(sample.index + static_cast<double>(sample.fraction), coordinate(o, in, out), 2e-7);
  }
}

}  // namespace
}  // namespace curvseg
