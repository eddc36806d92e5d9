// Minimal filtering F(2x2, 3x3), forward and data gradient, against the double reference and its
// own error bound, on every target.
#include <algorithm>
#include <cmath>

#include "kernels/conv2d/winograd_cases.hpp"
#include "support/schedules.hpp"

namespace curvseg::testing {
namespace {

/// x or dy, w, and what either direction gives.
struct Data {
  Data(const Conv2d& g, Conv2dDirection direction, std::vector<float> s, std::vector<float> f)
      : forward(direction == Conv2dDirection::kForward),
        source(std::move(s)),
        w(std::move(f)),
        sums(forward ? g.y_size() : g.x_size()) {
    if (forward)
      reference::forward(g, source, w, sums);
    else
      reference::backward_data(g, source, w, sums);
  }
  std::vector<double> magnitudes(const Conv2d& g) const {
    return forward ? reference::winograd_forward(g).of(source, w)
                   : reference::winograd_backward_data(g).of(source, reference::turned_taps(g, w));
  }
  int channels(const Conv2d& g) const { return forward ? g.c : g.k; }

  bool forward;
  std::vector<float> source, w;
  reference::Sums sums;
};

std::size_t source_size(const Conv2d& g, Conv2dDirection direction) {
  return direction == Conv2dDirection::kForward ? g.x_size() : g.y_size();
}

class Winograd : public WinogradTest {
 protected:
  static constexpr Conv2dDirection kDirections[] = {Conv2dDirection::kForward,
                                                    Conv2dDirection::kData};

  std::vector<float> run(const Conv2d& g, Conv2dDirection direction, const Data& data,
                         PixelLayout layout = {}) const {
    return run_gather(g, direction, {data.source}, {data.w},
                      {.layout = layout, .algorithm = kWinograd});
  }
};

TEST_P(Winograd, IsExactOnIntegers) {
  for (const Conv2dCase& c : all_cases())
    for (const Conv2dDirection direction : kDirections) {
      SCOPED_TRACE(c.name);
      const Data data(c.g, direction, integers(source_size(c.g, direction), 1),
                      integers(c.g.w_size(), 2));
      const auto expected = data.sums.value;
      EXPECT_EQ(as_double(run(c.g, direction, data)), expected);
      EXPECT_EQ(as_double(run(c.g, direction, data, {3, 1})), expected);
    }
}

TEST_P(Winograd, TwoTermsAreOneSum) {
  for (const Conv2dCase& c : winograd_cases())
    for (const Conv2dDirection direction : kDirections) {
      SCOPED_TRACE(c.name);
      const std::size_t size = source_size(c.g, direction);
      const Data a(c.g, direction, integers(size, 3), integers(c.g.w_size(), 4));
      const Data b(c.g, direction, integers(size, 5), integers(c.g.w_size(), 6));
      std::vector<double> expected = a.sums.value;
      for (std::size_t i = 0; i < expected.size(); ++i) expected[i] += b.sums.value[i];
      EXPECT_EQ(as_double(run_gather(c.g, direction, {a.source, b.source}, {a.w, b.w},
                                     {.terms = 2, .algorithm = kWinograd})),
                expected);
    }
}

TEST_P(Winograd, EpilogueAddsBiasAppliesReluAndMask) {
  for (const Conv2dCase& c : winograd_cases()) {
    SCOPED_TRACE(c.name);
    const Data data(c.g, Conv2dDirection::kForward, integers(c.g.x_size(), 7),
                    integers(c.g.w_size(), 8));
    const std::size_t k = static_cast<std::size_t>(c.g.k);
    const auto bias = integers(k, 9), old = integers(c.g.y_size(), 10);
    const auto mask = integers(c.g.y_size(), 11);
    auto device_bias = upload(bias), device_mask = upload(mask);
    const int mask_channels = (c.g.k + 1) / 2;
    const auto actual = run_gather(
        c.g, Conv2dDirection::kForward, {data.source}, {data.w},
        {.epilogue = {device_bias.get(), device_mask.get(), c.g.k, mask_channels, true, true},
         .algorithm = kWinograd,
         .initial = &old});
    for (std::size_t i = 0; i < actual.size(); ++i) {
      double expected = std::max(0.0, data.sums.value[i] + old[i] + bias[i % k]);
      if (i % k < static_cast<std::size_t>(mask_channels) && !(mask[i] > 0)) expected = 0.0;
      ASSERT_EQ(actual[i], expected) << i;
    }
  }
}

TEST_P(Winograd, RoundingStaysWithinItsElementwiseBound) {
  for (const Conv2dCase& c : all_cases())
    for (const Conv2dDirection direction : kDirections) {
      SCOPED_TRACE(c.name);
      const Data data(c.g, direction, uniform_floats(source_size(c.g, direction), 12),
                      uniform_floats(c.g.w_size(), 13));
      expect_within(run(c.g, direction, data), data.sums.value,
                    reference::winograd_bound(data.magnitudes(c.g), data.channels(c.g)));
    }
}

TEST_P(Winograd, WorstCaseBoundHoldsForLargeAndConstantData) {
  const Conv2d g{1, 5, 7, emulated() ? 9 : 66, 6, 3, 3, 1, 1, 1, 1};
  using Numbers = float (*)(std::size_t);
  const Numbers kinds[] = {
      [](std::size_t) { return 0.1f; },                          // rounds the same way every time
      [](std::size_t i) { return i % 2 ? 1e15f : -1e15f; },      // sums that cancel
      [](std::size_t i) { return i % 7 == 3 ? 3e12f : 1e-3f; },  // one swamps the others
      [](std::size_t i) { return 1e17f + 3e10f * static_cast<float>(i % 5); },
  };
  for (const Numbers source : kinds)
    for (const Numbers filter : kinds)
      for (const Conv2dDirection direction : kDirections) {
        std::vector<float> x(source_size(g, direction)), w(g.w_size());
        for (std::size_t i = 0; i < x.size(); ++i) x[i] = source(i);
        for (std::size_t i = 0; i < w.size(); ++i) w[i] = filter(i);
        const Data data(g, direction, x, w);
        const double largest =
            std::fabs(*std::max_element(
                x.begin(), x.end(), [](float a, float b) { return std::fabs(a) < std::fabs(b); })) *
            std::fabs(*std::max_element(
                w.begin(), w.end(), [](float a, float b) { return std::fabs(a) < std::fabs(b); }));
        // (C + 10) roundings of 2^-24 each, and their products, which are far below 1 % of it.
        std::vector<double> bound = data.magnitudes(g);
        for (double& m : bound) {
          EXPECT_LE(m, 64.0001 * data.channels(g) * largest);
          m *= 1.01 * (data.channels(g) + 10) * 0x1p-24;
        }
        expect_within(run(g, direction, data), data.sums.value, bound);
      }
}

TEST_P(Winograd, WhatIsNotANumberStaysInTheTilesThatSeeIt) {
  const Conv2d g{1, 9, 12, 3, 4, 3, 3, 1, 1, 1, 1};
  auto x = integers(g.x_size(), 14);
  const auto w = integers(g.w_size(), 15);
  const std::size_t c = static_cast<std::size_t>(g.c), k = static_cast<std::size_t>(g.k);
  const std::size_t q = static_cast<std::size_t>(g.q());
  const std::size_t row = 4, column = 6;
  x[(row * q + column) * c] = NAN;
  const auto finite = [&] {
    auto zero = x;
    zero[(row * q + column) * c] = 0.0f;
    return Data(g, Conv2dDirection::kForward, zero, w);
  }();
  const auto y = run_gather(g, Conv2dDirection::kForward, {x}, {w},
                            {.epilogue = {.relu = true}, .algorithm = kWinograd});
  for (std::size_t i = 0; i < y.size(); ++i) {
    const std::size_t p = i / k / q, o = i / k % q;
    const bool sees = p + 1 >= row && p <= row + 1 && o + 1 >= column && o <= column + 1;
    const bool shares_a_tile = p / 2 >= 1 && p / 2 <= 2 && o / 2 >= 2 && o / 2 <= 3;
    if (sees) {
      EXPECT_TRUE(std::isnan(y[i])) << i;
    } else if (!shares_a_tile) {
      EXPECT_EQ(y[i], std::max(0.0, finite.sums.value[i])) << i;
    }
  }
}

TEST_P(Winograd, OtherFiltersAreDirect) {
  const Conv2d others[] = {{1, 6, 7, 33, 35, 3, 3, 2, 2, 1, 1},
                           {1, 6, 7, 33, 35, 3, 3, 1, 2, 1, 1},
                           {1, 7, 8, 33, 35, 3, 3, 1, 1, 2, 2, 2, 1},
                           {1, 6, 7, 33, 35, 1, 3, 1, 1, 0, 1},
                           {1, 6, 7, 33, 35, 3, 2, 1, 1, 1, 1}};
  for (const Conv2d& g : others)
    for (const Conv2dDirection direction : kDirections) {
      const Data data(g, direction, uniform_floats(source_size(g, direction), 16),
                      uniform_floats(g.w_size(), 17));
      EXPECT_EQ(run(g, direction, data), run_gather(g, direction, {data.source}, {data.w}, {}));
    }
}

TEST_P(Winograd, AutomaticTakesItOnTheHostWhereItIsFaster) {
  struct Choice {
    int h, w, c, k;
    bool faster;
  };
  const Choice cases[] = {{12, 12, 32, 32, true},  {9, 16, 33, 35, true},  {11, 13, 32, 32, false},
                          {12, 12, 16, 31, false}, {12, 12, 64, 9, false}, {12, 12, 9, 64, false}};
  const bool host = GetParam().rfind("host", 0) == 0;
  for (const Choice& c : cases) {
    if (emulated() && !c.faster) continue;  // never, and dear
    SCOPED_TRACE(std::to_string(c.h) + "x" + std::to_string(c.w) + ", " + std::to_string(c.c) +
                 " to " + std::to_string(c.k));
    const Conv2d g{1, c.h, c.w, c.c, c.k, 3, 3, 1, 1, 1, 1};
    const auto x = uniform_floats(g.x_size(), 18), w = uniform_floats(g.w_size(), 19);
    const auto by = [&](ConvAlgorithm algorithm) {
      return run_gather(g, Conv2dDirection::kForward, {x}, {w}, {.algorithm = algorithm});
    };
    const auto direct = by(ConvAlgorithm::kDirect), filtered = by(kWinograd);
    EXPECT_NE(filtered, direct);
    EXPECT_EQ(by(ConvAlgorithm::kAutomatic), host && c.faster ? filtered : direct);
  }
}

TEST_P(Winograd, EveryScheduleGivesTheSameBits) {
  const Conv2d g = emulated() ? Conv2d{1, 5, 7, 10, 33, 3, 3, 1, 1, 1, 1}
                              : Conv2d{2, 21, 37, 70, 37, 3, 3, 1, 1, 1, 1};
  for (const Conv2dDirection direction : kDirections) {
    const auto source = uniform_floats(source_size(g, direction), 20);
    const auto w = uniform_floats(g.w_size(), 21);
    expect_same_on_every_schedule(GetParam(), [&] {
      return run_gather(g, direction, {source}, {w}, {.algorithm = kWinograd});
    });
  }
}

TEST_P(Winograd, EmptyTensorsAndNoChannels) {
  const Conv2d empty{0, 4, 4, 3, 5, 3, 3, 1, 1, 1, 1};
  EXPECT_TRUE(run_gather(empty, Conv2dDirection::kForward, {{}}, {integers(empty.w_size(), 22)},
                         {.algorithm = kWinograd})
                  .empty());
  const Conv2d no_channels{1, 3, 3, 0, 2, 3, 3, 1, 1, 1, 1};  // the sum over nothing
  EXPECT_EQ(
      run_gather(no_channels, Conv2dDirection::kForward, {{}}, {{}}, {.algorithm = kWinograd}),
      std::vector<float>(no_channels.y_size(), 0.0f));
  const Conv2d no_outputs{1, 2, 2, 3, 4, 3, 3};  // the filter fits nowhere: dx is zero
  EXPECT_EQ(run_gather(no_outputs, Conv2dDirection::kData, {{}},
                       {integers(no_outputs.w_size(), 23)}, {.algorithm = kWinograd}),
            std::vector<float>(no_outputs.x_size(), 0.0f));
}

TEST_P(Winograd, OffsetsBeyondTwoToTheThirtyOneElements) {
  CURVSEG_SKIP_WITHOUT_FAR_MEMORY();
  const Conv2d g{1, 3, 5, 8, 9, 3, 3, 1, 1, 1, 1};
  for (const Conv2dDirection direction : kDirections) {
    const Data data(g, direction, integers(source_size(g, direction), 24),
                    integers(g.w_size(), 25));
    expect_equal(run(g, direction, data, kFarPixels), data.sums.value);
  }
}

CURVSEG_INSTANTIATE_TARGETS(Winograd);

}  // namespace
}  // namespace curvseg::testing
