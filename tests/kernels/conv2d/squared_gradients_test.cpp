// The squared weight gradients of single images against the double reference, on every target.
#include <omp.h>

#include <cmath>
#include <string>

#include "reference/conv2d.hpp"
#include "support/pixels.hpp"
#include "support/random_data.hpp"
#include "support/schedules.hpp"

namespace curvseg::testing {
namespace {

using reference::Conv2d;

struct SquaresCase {
  std::string name;
  Conv2d g;
};

/// One image and many; images that are a split each, that share one, and that are cut into several;
/// filters that are strided, dilated, larger than the image; dense layers.
std::vector<SquaresCase> squares_cases() {
  return {
      {"one_element", {1, 1, 1, 1, 1, 1, 1}},
      {"tiny_images", {5, 3, 3, 1, 2, 3, 3, 1, 1, 1, 1}},
      {"one_large_image", {1, 34, 35, 2, 3, 3, 3, 1, 1, 1, 1}},
      {"two_large_images", {2, 33, 36, 3, 5, 1, 1}},
      {"several_images_a_split", {7, 16, 11, 5, 6, 3, 3, 1, 1, 1, 1}},
      {"an_image_a_split", {3, 23, 25, 3, 4, 3, 3, 1, 1, 1, 1}},
      {"odd_channels", {2, 6, 7, 35, 19, 3, 3, 1, 1, 1, 1}},
      {"deep", {2, 4, 4, 72, 66, 3, 3, 1, 1, 1, 1}},
      {"stride_two", {3, 9, 10, 5, 8, 3, 3, 2, 2, 1, 1}},
      {"transposed_two_by_two", {2, 9, 8, 6, 7, 2, 2, 2, 2}},
      {"dilated_and_strided", {2, 13, 12, 3, 5, 3, 3, 2, 2, 3, 2, 3, 2}},
      {"filter_beyond_image", {3, 2, 2, 3, 3, 5, 5, 1, 1, 2, 2}},
      {"dense", {9, 1, 1, 70, 21, 1, 1}},
  };
}

/// Cases that only targets faster than the emulated one run.
std::vector<SquaresCase> large_squares_cases() {
  return {
      {"odd_image", {2, 97, 143, 3, 8, 3, 3, 1, 1, 1, 1}},
      {"unet_level", {3, 48, 48, 32, 64, 3, 3, 1, 1, 1, 1}},
      {"many_channels", {4, 6, 6, 300, 130, 3, 3, 1, 1, 1, 1}},
      {"many_images", {60, 14, 14, 9, 17, 3, 3, 1, 1, 1, 1}},
      {"dense_512", {5, 1, 1, 2048, 512, 1, 1}},
  };
}

class SquaredGradientKernels : public PixelTest {
 protected:
  std::vector<SquaresCase> all_cases() const {
    std::vector<SquaresCase> result = squares_cases();
    if (!emulated())
      for (SquaresCase& c : large_squares_cases()) result.push_back(c);
    return result;
  }

  std::vector<float> run(const Conv2d& g, const std::vector<float>& x, const std::vector<float>& dy,
                         PixelLayout layout = {},
                         const std::vector<float>* initial = nullptr) const {
    const auto device_x = upload_pixels(x, g.c, layout), device_dy = upload_pixels(dy, g.k, layout);
    const auto dw = initial ? upload(*initial) : output<float>(g.w_size());
    Conv2dWeightGradient p;
    p.problem = {.n = g.n, .h = g.h, .w = g.w, .c = g.c, .p = g.p(), .q = g.q(), .k = g.k};
    p.problem.r = g.r, p.problem.s = g.s;
    p.problem.stride_h = g.stride_h, p.problem.stride_w = g.stride_w;
    p.problem.pad_h = g.pad_h, p.problem.pad_w = g.pad_w;
    p.problem.dilation_h = g.dilation_h, p.problem.dilation_w = g.dilation_w;
    p.term[0] = {device_x.get(), device_x.ld(), device_dy.get(), device_dy.ld()};
    p.squares = true;
    p.accumulate = initial != nullptr;
    p.dw = dw.get();
    const auto scratch = workspace(kernels().conv2d_weight_workspace(p));
    p.workspace = scratch.get();
    kernels().conv2d_weight_gradient(stream(), p);
    return download(dw);
  }
};

TEST_P(SquaredGradientKernels, AreExactOnIntegers) {
  for (const SquaresCase& c : all_cases()) {
    SCOPED_TRACE(c.name);
    const auto x = small_integers(c.g.x_size(), 1, 2), dy = small_integers(c.g.y_size(), 2, 2);
    std::vector<double> expected = reference::squared_weight_gradients(c.g, x, dy).value;
    for (const double value : expected) ASSERT_LT(value, 1 << 24) << "not exact in float32";
    expect_equal(run(c.g, x, dy), expected);
    expect_equal(run(c.g, x, dy, {3, 1}), expected);
    const auto old = small_integers(c.g.w_size(), 3);
    for (std::size_t i = 0; i < old.size(); ++i) expected[i] += static_cast<double>(old[i]);
    const auto added = run(c.g, x, dy, {}, &old);
    EXPECT_EQ(std::vector<double>(added.begin(), added.end()), expected) << "accumulated";
  }
}

TEST_P(SquaredGradientKernels, RoundingStaysWithinItsElementwiseBound) {
  for (const SquaresCase& c : all_cases()) {
    SCOPED_TRACE(c.name);
    const auto x = uniform_floats(c.g.x_size(), 4), dy = uniform_floats(c.g.y_size(), 5);
    const auto expected = reference::squared_weight_gradients(c.g, x, dy);
    expect_within(run(c.g, x, dy), expected.value, expected.bound);
  }
}

TEST_P(SquaredGradientKernels, TheSameBitsOnEverySchedule) {
  for (const Conv2d& g :
       {Conv2d{3, 21, 27, 9, 17, 3, 3, 1, 1, 1, 1}, Conv2d{1, 34, 35, 2, 3, 3, 3, 1, 1, 1, 1}}) {
    const auto x = uniform_floats(g.x_size(), 6), dy = uniform_floats(g.y_size(), 7);
    expect_same_on_every_schedule(GetParam(), [&] { return run(g, x, dy); });
  }
}

TEST_P(SquaredGradientKernels, OffsetsBeyondTwoToTheThirtyOneElements) {
  CURVSEG_SKIP_WITHOUT_FAR_MEMORY();
  const Conv2d g{2, 3, 5, 8, 9, 3, 3, 1, 1, 1, 1};
  const auto x = small_integers(g.x_size(), 8), dy = small_integers(g.y_size(), 9);
  EXPECT_EQ(run(g, x, dy, kFarPixels), run(g, x, dy));
}

TEST_P(SquaredGradientKernels, NoImagesGiveZero) {
  const Conv2d g{0, 4, 4, 3, 5, 3, 3, 1, 1, 1, 1};
  EXPECT_EQ(run(g, {}, {}), std::vector<float>(g.w_size(), 0.0f));
}

TEST_P(SquaredGradientKernels, NeedNoMoreMemoryForFewerImages) {
  Conv2dWeightGradient p;
  p.squares = true;
  p.problem = {.h = 20, .w = 20, .c = 8, .p = 20, .q = 20, .k = 8, .r = 3, .s = 3};
  p.problem.pad_h = p.problem.pad_w = 1;
  std::int64_t least = 0;
  for (p.problem.n = 0; p.problem.n < 40; ++p.problem.n) {
    const std::int64_t floats = kernels().conv2d_weight_workspace(p);
    EXPECT_GE(floats, least) << p.problem.n << " images";
    least = floats;
  }
  EXPECT_GT(least, 0);
}

CURVSEG_INSTANTIATE_TARGETS(SquaredGradientKernels);

}  // namespace
}  // namespace curvseg::testing
