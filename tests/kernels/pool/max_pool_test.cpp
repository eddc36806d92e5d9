// Max pooling against the double reference, on every target.
#include <cmath>
#include <limits>

#include "pool_cases.hpp"
#include "support/pixels.hpp"
#include "support/random_data.hpp"
#include "support/schedules.hpp"

namespace curvseg::testing {
namespace {

using reference::Pool;
constexpr float kInfinity = std::numeric_limits<float>::infinity();

/// Few values, so that most windows have ties.
class MaxPoolKernels : public PixelTest {
 protected:
  struct Pooled {
    std::vector<float> y;
    std::vector<std::uint16_t> index;
  };

  std::vector<PoolCase> all_cases() const {
    std::vector<PoolCase> result = small_pool_cases();
    if (!emulated())
      for (PoolCase& c : large_pool_cases()) result.push_back(c);
    return result;
  }

  Pooled forward(const Pool& g, const std::vector<float>& x, PixelLayout layout = {}) const {
    const auto in = upload_pixels(x, g.c, layout);
    const auto y = output_pixels(g.y_size(), g.c, layout);
    const auto index = output<std::uint16_t>(g.y_size());
    kernels().max_pool_forward(stream(),
                               {pool_problem(g), in.get(), in.ld(), y.get(), y.ld(), index.get()});
    return {download_pixels(y), download(index)};
  }

  std::vector<float> select(const Pool& g, const std::vector<std::uint16_t>& index,
                            const std::vector<float>& x, PixelLayout layout = {}) const {
    const auto in = upload_pixels(x, g.c, layout);
    const auto taps = upload(index);
    const auto y = output_pixels(g.y_size(), g.c, layout);
    kernels().max_pool_select(stream(),
                              {pool_problem(g), taps.get(), in.get(), in.ld(), y.get(), y.ld()});
    return download_pixels(y);
  }

  std::vector<float> backward(const Pool& g, const std::vector<std::uint16_t>& index,
                              const std::vector<float>& dy, PixelLayout layout = {},
                              const std::vector<float>* old = nullptr,
                              const std::vector<float>* mask = nullptr) const {
    const auto in = upload_pixels(dy, g.c, layout);
    const auto taps = upload(index);
    const auto dx = old ? upload_pixels(*old, g.c, layout) : output_pixels(g.x_size(), g.c, layout);
    const auto kept = upload_pixels(mask ? *mask : std::vector<float>(), g.c, layout);
    GradientEpilogue epilogue;
    if (mask) epilogue.mask = kept.get();
    epilogue.ld_mask = kept.ld();
    epilogue.accumulate = old != nullptr;
    kernels().max_pool_backward(
        stream(), {pool_problem(g), taps.get(), in.get(), in.ld(), dx.get(), dx.ld(), epilogue});
    return download_pixels(dx);
  }
};

TEST_P(MaxPoolKernels, TinyExample) {
  // One channel, 4x4:      3 1 | 0 0
  //                        3 2 | 0 5
  //                        ---------
  //                       -1 -2| 7 7
  //                       -4 -1| 7 7
  const Pool g{1, 4, 4, 1, 2, 2};
  const std::vector<float> x{3, 1, 0, 0, 3, 2, 0, 5, -1, -2, 7, 7, -4, -1, 7, 7};
  const Pooled pooled = forward(g, x);
  EXPECT_EQ(pooled.y, (std::vector<float>{3, 5, -1, 7}));
  EXPECT_EQ(pooled.index, (std::vector<std::uint16_t>{0, 3, 0, 0}));
  EXPECT_EQ(backward(g, pooled.index, {10, 20, 30, 40}),
            (std::vector<float>{10, 0, 0, 0, 0, 0, 0, 20, 30, 0, 40, 0, 0, 0, 0, 0}));
  EXPECT_EQ(select(g, pooled.index, {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}),
            (std::vector<float>{0, 7, 8, 10}));
}

TEST_P(MaxPoolKernels, ForwardIsExact) {
  for (const PoolCase& c : all_cases())
    for (const PixelLayout& layout : pixel_layouts()) {
      SCOPED_TRACE(c.name + ", " + name_of(layout));
      const auto x = small_integers(c.g.x_size(), 1, 3);
      const reference::MaxPool expected = reference::max_pool_forward(c.g, x);
      const Pooled actual = forward(c.g, x, layout);
      EXPECT_TRUE(as_double(actual.y) == expected.y);
      EXPECT_TRUE(actual.index == expected.index);
    }
}

TEST_P(MaxPoolKernels, SelectIsExact) {
  for (const PoolCase& c : all_cases())
    for (const PixelLayout& layout : pixel_layouts()) {
      SCOPED_TRACE(c.name + ", " + name_of(layout));
      const auto index = reference::max_pool_forward(c.g, small_integers(c.g.x_size(), 2, 3)).index;
      const auto v = small_integers(c.g.x_size(), 3, 3);
      EXPECT_TRUE(as_double(select(c.g, index, v, layout)) ==
                  reference::max_pool_select(c.g, index, v));
    }
}

TEST_P(MaxPoolKernels, BackwardIsExact) {
  for (const PoolCase& c : all_cases())
    for (const PixelLayout& layout : pixel_layouts()) {
      SCOPED_TRACE(c.name + ", " + name_of(layout));
      const auto index = reference::max_pool_forward(c.g, small_integers(c.g.x_size(), 4, 3)).index;
      const auto dy = small_integers(c.g.y_size(), 5, 3);
      EXPECT_TRUE(as_double(backward(c.g, index, dy, layout)) ==
                  reference::max_pool_backward(c.g, index, dy));
    }
}

TEST_P(MaxPoolKernels, BackwardAccumulatesThenMasks) {
  for (const PoolCase& c : small_pool_cases())
    for (const PixelLayout& layout : pixel_layouts()) {
      SCOPED_TRACE(c.name + ", " + name_of(layout));
      const auto index = reference::max_pool_forward(c.g, small_integers(c.g.x_size(), 6, 3)).index;
      const auto dy = small_integers(c.g.y_size(), 7, 3), old = small_integers(c.g.x_size(), 8, 3);
      auto mask = small_integers(c.g.x_size(), 9, 3);
      mask[0] = NAN;  // not positive
      const auto gradient = reference::max_pool_backward(c.g, index, dy);
      for (const auto* o : {static_cast<const std::vector<float>*>(nullptr), &old})
        for (const auto* m : {static_cast<const std::vector<float>*>(nullptr),
                              static_cast<const std::vector<float>*>(&mask)})
          EXPECT_TRUE(as_double(backward(c.g, index, dy, layout, o, m)) ==
                      accumulated_and_masked(gradient, o, m));
    }
}

TEST_P(MaxPoolKernels, InferenceKeepsNoIndex) {
  const Pool g{1, 6, 8, 12, 3, 4};
  const auto x = small_integers(g.x_size(), 10, 3);
  const auto in = upload_pixels(x, g.c);
  const auto y = output_pixels(g.y_size(), g.c);
  kernels().max_pool_forward(stream(),
                             {pool_problem(g), in.get(), in.ld(), y.get(), y.ld(), nullptr});
  EXPECT_EQ(as_double(download_pixels(y)), reference::max_pool_forward(g, x).y);
}

TEST_P(MaxPoolKernels, TheFirstNanWins) {
  // 20 channels: whole vectors and a tail. Channel c holds NaN where bit t of c is set.
  const Pool g{1, 2, 2, 20, 1, 1};
  std::vector<float> x(g.x_size());
  for (std::size_t i = 0; i < x.size(); ++i)
    x[i] = i % 20 >> (i / 20) & 1 ? NAN : std::floor(static_cast<float>(i) / 20.0f);
  const Pooled pooled = forward(g, x);
  for (unsigned c = 0; c < 20; ++c) {
    SCOPED_TRACE(c);
    const unsigned bits = c & 15;
    EXPECT_EQ(std::isnan(pooled.y[c]), bits != 0);
    unsigned first = 0;
    while (bits != 0 && !(bits >> first & 1)) ++first;
    EXPECT_EQ(pooled.index[c], bits == 0 ? 3 : first);
  }
  // Its gradient, finite, goes to the NaN.
  const auto dx = backward(g, pooled.index, std::vector<float>(20, 1.0f));
  for (unsigned c = 0; c < 20; ++c) EXPECT_EQ(dx[pooled.index[c] * 20 + c], 1.0f) << c;
}

TEST_P(MaxPoolKernels, PaddingNeverWins) {
  // A window of −inf in a corner: padding equals it, comes first, and does not win.
  const Pool g{1, 2, 2, 5, 1, 1, 3, 3, 2, 2, 1, 1};
  const std::vector<float> x(g.x_size(), -kInfinity);
  const Pooled pooled = forward(g, x);
  EXPECT_EQ(pooled.y, std::vector<float>(5, -kInfinity));
  EXPECT_EQ(pooled.index, std::vector<std::uint16_t>(5, 4));
  // A window with nothing inside.
  const Pool outside{1, 1, 1, 5, 2, 1};
  const Pooled nothing = forward(outside, std::vector<float>(5, 1.0f));
  EXPECT_EQ(nothing.y, (std::vector<float>{1, 1, 1, 1, 1, -kInfinity, -kInfinity, -kInfinity,
                                           -kInfinity, -kInfinity}));
  EXPECT_EQ(backward(outside, nothing.index, std::vector<float>(10, 3.0f)),
            std::vector<float>(5, 3.0f));
}

TEST_P(MaxPoolKernels, BackwardIsTheAdjointOfSelect) {
  for (const PoolCase& c : all_cases()) {
    SCOPED_TRACE(c.name);
    const auto index = reference::max_pool_forward(c.g, small_integers(c.g.x_size(), 11, 3)).index;
    const auto v = small_integers(c.g.x_size(), 12, 3), u = small_integers(c.g.y_size(), 13, 3);
    EXPECT_EQ(dot(select(c.g, index, v), u), dot(v, backward(c.g, index, u)));
  }
}

TEST_P(MaxPoolKernels, EveryScheduleGivesTheSameBits) {
  for (const Pool& g : schedule_cases(emulated())) {
    const auto x = uniform_floats(g.x_size(), 14), dy = uniform_floats(g.y_size(), 15);
    expect_same_on_every_schedule(GetParam(), [&] {
      Pooled pooled = forward(g, x);
      for (const auto& part : {backward(g, pooled.index, dy), select(g, pooled.index, x)})
        pooled.y.insert(pooled.y.end(), part.begin(), part.end());
      pooled.y.insert(pooled.y.end(), pooled.index.begin(), pooled.index.end());
      return pooled.y;
    });
  }
}

TEST_P(MaxPoolKernels, EmptyTensorsLaunchNothing) {
  for (const Pool& g : {Pool{0, 4, 4, 3, 2, 2}, Pool{2, 4, 4, 0, 2, 2}, Pool{2, 0, 0, 3, 0, 0}}) {
    EXPECT_TRUE(forward(g, {}).y.empty());
    EXPECT_TRUE(select(g, {}, {}).empty());
    EXPECT_TRUE(backward(g, {}, {}).empty());
  }
  // No windows, though there are inputs: their gradient is zero, and it is written.
  EXPECT_EQ(backward({1, 1, 3, 2, 0, 1}, {}, {}), std::vector<float>(6, 0.0f));
}

TEST_P(MaxPoolKernels, OffsetsBeyondTwoToTheThirtyOneElements) {
  CURVSEG_SKIP_WITHOUT_FAR_MEMORY();
  const Pool g{1, 4, 6, 2, 2, 3};
  const auto x = small_integers(g.x_size(), 16, 3), old = small_integers(g.x_size(), 17, 3);
  const auto mask = small_integers(g.x_size(), 18, 3);
  const auto [y, index] = forward(g, x);
  const Pooled far = forward(g, x, kFarPixels);
  EXPECT_EQ(far.y, y);
  EXPECT_EQ(far.index, index);
  EXPECT_EQ(select(g, index, old, kFarPixels), select(g, index, old));
  EXPECT_EQ(backward(g, index, y, kFarPixels), backward(g, index, y));
  EXPECT_EQ(backward(g, index, y, kFarPixels, &old, &mask), backward(g, index, y, {}, &old, &mask));
}

CURVSEG_INSTANTIATE_TARGETS(MaxPoolKernels);

}  // namespace
}  // namespace curvseg::testing
