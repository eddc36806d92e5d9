// Average pooling against the double reference, on every target.
#include <cmath>

#include "pool_cases.hpp"
#include "support/pixels.hpp"
#include "support/random_data.hpp"
#include "support/schedules.hpp"

namespace curvseg::testing {
namespace {

using reference::Pool;

class AveragePoolKernels : public PixelTest {
 protected:
  std::vector<PoolCase> all_cases() const {
    std::vector<PoolCase> result = small_pool_cases();
    if (!emulated())
      for (PoolCase& c : large_pool_cases()) result.push_back(c);
    return result;
  }

  std::vector<float> forward(const Pool& g, bool include_pad, const std::vector<float>& x,
                             PixelLayout layout = {}) const {
    const auto in = upload_pixels(x, g.c, layout);
    const auto y = output_pixels(g.y_size(), g.c, layout);
    kernels().average_pool_forward(
        stream(), {pool_problem(g), include_pad, in.get(), in.ld(), y.get(), y.ld()});
    return download_pixels(y);
  }

  std::vector<float> backward(const Pool& g, bool include_pad, const std::vector<float>& dy,
                              PixelLayout layout = {}, const std::vector<float>* old = nullptr,
                              const std::vector<float>* mask = nullptr) const {
    const auto in = upload_pixels(dy, g.c, layout);
    const auto dx = old ? upload_pixels(*old, g.c, layout) : output_pixels(g.x_size(), g.c, layout);
    const auto kept = upload_pixels(mask ? *mask : std::vector<float>(), g.c, layout);
    GradientEpilogue epilogue;
    if (mask) epilogue.mask = kept.get();
    epilogue.ld_mask = kept.ld();
    epilogue.accumulate = old != nullptr;
    kernels().average_pool_backward(
        stream(), {pool_problem(g), include_pad, in.get(), in.ld(), dx.get(), dx.ld(), epilogue});
    return download_pixels(dx);
  }
};

TEST_P(AveragePoolKernels, TinyExample) {
  // One channel, 3x3, windows 2x2 with padding 1: the corner windows hold one element each.
  const Pool g{1, 3, 3, 1, 2, 2, 2, 2, 2, 2, 1, 1};
  const std::vector<float> x{1, 2, 4, 8, 16, 32, 64, 128, 256};
  EXPECT_EQ(forward(g, false, x), (std::vector<float>{1, 3, 36, 108}));
  EXPECT_EQ(forward(g, true, x), (std::vector<float>{0.25f, 1.5f, 18, 108}));
  const std::vector<float> dy{4, 8, 16, 32};
  EXPECT_EQ(backward(g, false, dy), (std::vector<float>{4, 4, 4, 8, 8, 8, 8, 8, 8}));
  EXPECT_EQ(backward(g, true, dy), (std::vector<float>{1, 2, 2, 4, 8, 8, 4, 8, 8}));
}

TEST_P(AveragePoolKernels, ForwardIsTheCorrectlyRoundedMean) {
  for (const PoolCase& c : all_cases())
    for (const PixelLayout& layout : pixel_layouts())
      for (const bool include_pad : {false, true}) {
        SCOPED_TRACE(c.name + ", " + name_of(layout) + (include_pad ? ", with padding" : ""));
        const auto x = small_integers(c.g.x_size(), 1, 3);
        EXPECT_TRUE(as_double(forward(c.g, include_pad, x, layout)) ==
                    rounded(reference::average_pool_forward(c.g, include_pad, x)));
      }
}

TEST_P(AveragePoolKernels, BackwardStaysWithinItsElementwiseBound) {
  for (const PoolCase& c : all_cases())
    for (const PixelLayout& layout : pixel_layouts())
      for (const bool include_pad : {false, true}) {
        SCOPED_TRACE(c.name + ", " + name_of(layout) + (include_pad ? ", with padding" : ""));
        const auto dy = uniform_floats(c.g.y_size(), 2);
        const auto expected = reference::average_pool_backward(c.g, include_pad, dy);
        // Windows that share an input are few: a fixed number of roundings.
        auto bound = expected.magnitude;
        for (double& b : bound) b *= 5 * 6e-8;
        expect_within(backward(c.g, include_pad, dy, layout), expected.dx, bound);
      }
}

TEST_P(AveragePoolKernels, BackwardIsExactWhereCountsArePowersOfTwo) {
  for (const PoolCase& c : all_cases()) {
    bool exact = true;
    for (const int count : reference::average_pool_counts(c.g, false))
      exact = exact && (count & (count - 1)) == 0;
    if (!exact) continue;
    SCOPED_TRACE(c.name);
    const auto dy = small_integers(c.g.y_size(), 3, 3);
    EXPECT_TRUE(as_double(backward(c.g, false, dy)) ==
                reference::average_pool_backward(c.g, false, dy).dx);
  }
}

TEST_P(AveragePoolKernels, BackwardAccumulatesThenMasks) {
  const Pool g{2, 7, 9, 20, 4, 5};  // 2x2, hanging over: counts of 4, 2 and 1
  const auto dy = small_integers(g.y_size(), 4, 3), old = small_integers(g.x_size(), 5, 3);
  auto mask = small_integers(g.x_size(), 6, 3);
  mask[0] = NAN;  // not positive
  const auto gradient = reference::average_pool_backward(g, false, dy).dx;
  for (const PixelLayout& layout : pixel_layouts())
    for (const auto* o : {static_cast<const std::vector<float>*>(nullptr), &old})
      for (const auto* m : {static_cast<const std::vector<float>*>(nullptr),
                            static_cast<const std::vector<float>*>(&mask)})
        EXPECT_EQ(as_double(backward(g, false, dy, layout, o, m)),
                  accumulated_and_masked(gradient, o, m));
}

TEST_P(AveragePoolKernels, NanReachesItsWindowAndNoOther) {
  const Pool g{1, 4, 6, 18, 2, 3};
  auto x = small_integers(g.x_size(), 7, 3);
  x[g.x_at(0, 1, 3, 17)] = NAN;
  const auto y = forward(g, false, x);
  for (std::size_t i = 0; i < y.size(); ++i) EXPECT_EQ(std::isnan(y[i]), i == 18 + 17) << i;
}

TEST_P(AveragePoolKernels, BackwardIsTheAdjointOfForward) {
  for (const PoolCase& c : all_cases())
    for (const bool include_pad : {false, true}) {
      SCOPED_TRACE(c.name + (include_pad ? ", with padding" : ""));
      const auto v = uniform_floats(c.g.x_size(), 8), u = uniform_floats(c.g.y_size(), 9);
      // Each of the sum's terms has a relative error of a few ε, of independent sign.
      const double bound = 16 * 6e-8 * std::sqrt(static_cast<double>(v.size() + u.size()));
      EXPECT_NEAR(dot(forward(c.g, include_pad, v), u), dot(v, backward(c.g, include_pad, u)),
                  bound);
    }
}

TEST_P(AveragePoolKernels, EveryScheduleGivesTheSameBits) {
  for (const Pool& g : schedule_cases(emulated())) {
    const auto x = uniform_floats(g.x_size(), 10), dy = uniform_floats(g.y_size(), 11);
    expect_same_on_every_schedule(GetParam(), [&] {
      auto y = forward(g, false, x);
      const auto dx = backward(g, false, dy);
      y.insert(y.end(), dx.begin(), dx.end());
      return y;
    });
  }
}

TEST_P(AveragePoolKernels, EmptyTensorsLaunchNothing) {
  for (const Pool& g : {Pool{0, 4, 4, 3, 2, 2}, Pool{2, 4, 4, 0, 2, 2}, Pool{2, 0, 0, 3, 0, 0}}) {
    EXPECT_TRUE(forward(g, false, {}).empty());
    EXPECT_TRUE(backward(g, true, {}).empty());
  }
  EXPECT_EQ(backward({1, 1, 3, 2, 0, 1}, false, {}), std::vector<float>(6, 0.0f));
  // Windows over nothing at all.
  EXPECT_EQ(forward({1, 0, 3, 2, 1, 1}, false, {}), std::vector<float>(2, 0.0f));
}

TEST_P(AveragePoolKernels, OffsetsBeyondTwoToTheThirtyOneElements) {
  CURVSEG_SKIP_WITHOUT_FAR_MEMORY();
  const Pool g{1, 4, 6, 2, 2, 3};
  const auto x = small_integers(g.x_size(), 12, 3), old = small_integers(g.x_size(), 13, 3);
  const auto mask = small_integers(g.x_size(), 14, 3);
  const auto y = forward(g, false, x);
  EXPECT_EQ(forward(g, false, x, kFarPixels), y);
  EXPECT_EQ(backward(g, false, y, kFarPixels), backward(g, false, y));
  EXPECT_EQ(backward(g, false, y, kFarPixels, &old, &mask), backward(g, false, y, {}, &old, &mask));
}

CURVSEG_INSTANTIATE_TARGETS(AveragePoolKernels);

}  // namespace
}  // namespace curvseg::testing
