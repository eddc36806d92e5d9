// Bilinear resizing against the double reference, on every target.
#include <cmath>
#include <string>
#include <vector>

#include "reference/resize.hpp"
#include "support/pixels.hpp"
#include "support/random_data.hpp"
#include "support/schedules.hpp"

namespace curvseg::testing {
namespace {

using reference::Resize;

std::vector<float> integers(std::size_t n, unsigned seed) { return small_integers(n, seed, 3); }

struct Case {
  std::string name;
  Resize g;
};

/// Sizes that double, that grow and shrink by odd ratios, that stay, and 1; channel counts on both
/// sides of a vector.
std::vector<Case> small_cases() {
  return {
      {"one_element", {1, 1, 1, 1, 1, 1}},
      {"from_one_element", {2, 1, 1, 5, 3, 4}},
      {"to_one_element", {1, 5, 4, 3, 1, 1}},
      {"doubled", {2, 4, 5, 16, 8, 10}},
      {"same", {1, 5, 3, 12, 5, 3}},
      {"odd_ratio", {1, 5, 7, 3, 13, 9}},
      {"odd_channels", {1, 3, 4, 67, 6, 7}},
      {"times_eight", {1, 2, 3, 2, 16, 24}},
      {"halved", {1, 8, 10, 4, 4, 5}},
      {"shrunk_oddly", {1, 13, 17, 6, 5, 3}},
      {"grows_and_shrinks", {1, 3, 11, 20, 7, 4}},
      {"times_fifty", {1, 2, 3, 2, 100, 24}},
      {"wider_than_a_strip", {2, 2, 301, 4, 3, 602}},
  };
}

std::vector<Case> large_cases() {
  return {
      {"odd_image", {1, 149, 11, 3, 597, 43}},    {"class_scores", {1, 23, 30, 12, 180, 240}},
      {"wide_channels", {1, 14, 9, 515, 28, 18}}, {"shrunk_image", {1, 201, 303, 5, 67, 100}},
      {"long_lines", {2, 3, 1100, 1, 5, 4500}},   {"long_lines_shrunk", {1, 5, 4500, 3, 3, 1100}},
  };
}

ResizeProblem problem_of(const Resize& g) { return {g.n, g.h, g.w, g.c, g.p, g.q}; }

class BilinearKernels : public PixelTest {
 protected:
  std::vector<Case> all_cases() const {
    std::vector<Case> result = small_cases();
    if (!emulated())
      for (Case& c : large_cases()) result.push_back(c);
    return result;
  }

  std::vector<float> forward(const Resize& g, const std::vector<float>& x,
                             PixelLayout layout = {}) const {
    const auto in = upload_pixels(x, g.c, layout);
    const auto y = output_pixels(g.y_size(), g.c, layout);
    kernels().bilinear_forward(stream(), {problem_of(g), in.get(), in.ld(), y.get(), y.ld()});
    return download_pixels(y);
  }

  std::vector<float> backward(const Resize& g, const std::vector<float>& dy,
                              PixelLayout layout = {}, const std::vector<float>* old = nullptr,
                              const std::vector<float>* mask = nullptr) const {
    const auto in = upload_pixels(dy, g.c, layout);
    const auto dx = old ? upload_pixels(*old, g.c, layout) : output_pixels(g.x_size(), g.c, layout);
    const auto kept = upload_pixels(mask ? *mask : std::vector<float>(), g.c, layout);
    GradientEpilogue epilogue;
    if (mask) epilogue.mask = kept.get();
    epilogue.ld_mask = kept.ld();
    epilogue.accumulate = old != nullptr;
    kernels().bilinear_backward(stream(),
                                {problem_of(g), in.get(), in.ld(), dx.get(), dx.ld(), epilogue});
    return download_pixels(dx);
  }
};

TEST_P(BilinearKernels, TinyExample) {
  const Resize g{1, 1, 2, 1, 2, 4};
  EXPECT_EQ(forward(g, {0, 8}), (std::vector<float>{0, 2, 6, 8, 0, 2, 6, 8}));
  EXPECT_EQ(backward(g, {4, 8, 16, 32, 0, 0, 0, 4}), (std::vector<float>{14, 50}));
}

TEST_P(BilinearKernels, ForwardStaysWithinItsElementwiseBound) {
  for (const Case& c : all_cases())
    for (const PixelLayout& layout : pixel_layouts()) {
      SCOPED_TRACE(c.name + ", " + name_of(layout));
      const auto x = uniform_floats(c.g.x_size(), 1);
      const auto y = reference::bilinear_forward(c.g, x);
      expect_within(forward(c.g, x, layout), y.value, y.bound());
    }
}

TEST_P(BilinearKernels, BackwardStaysWithinItsElementwiseBound) {
  for (const Case& c : all_cases())
    for (const PixelLayout& layout : pixel_layouts()) {
      SCOPED_TRACE(c.name + ", " + name_of(layout));
      const auto dy = uniform_floats(c.g.y_size(), 2);
      const auto dx = reference::bilinear_backward(c.g, dy);
      expect_within(backward(c.g, dy, layout), dx.value, dx.bound());
    }
}

TEST_P(BilinearKernels, ExactOnIntegersWhereWeightsArePowersOfTwo) {
  for (const Resize& g :
       {Resize{2, 4, 5, 16, 8, 10}, Resize{1, 3, 4, 67, 6, 8}, Resize{1, 2, 3, 3, 8, 12},
        Resize{1, 8, 6, 5, 4, 3}, Resize{1, 5, 3, 12, 5, 3}}) {
    const auto x = integers(g.x_size(), 3), dy = integers(g.y_size(), 4);
    EXPECT_TRUE(as_double(forward(g, x)) == reference::bilinear_forward(g, x).value);
    EXPECT_TRUE(as_double(backward(g, dy)) == reference::bilinear_backward(g, dy).value);
  }
}

TEST_P(BilinearKernels, BackwardAccumulatesThenMasks) {
  const Resize g{2, 4, 5, 20, 8, 10};
  const auto dy = integers(g.y_size(), 5), old = integers(g.x_size(), 6);
  auto mask = integers(g.x_size(), 7);
  mask[0] = NAN;  // not positive
  const auto gradient = reference::bilinear_backward(g, dy).value;
  for (const PixelLayout& layout : pixel_layouts())
    for (const auto* o : {static_cast<const std::vector<float>*>(nullptr), &old})
      for (const auto* m : {static_cast<const std::vector<float>*>(nullptr),
                            static_cast<const std::vector<float>*>(&mask)})
        EXPECT_EQ(as_double(backward(g, dy, layout, o, m)), accumulated_and_masked(gradient, o, m));
}

TEST_P(BilinearKernels, NanReachesItsReadersAndNoOther) {
  const Resize g{1, 4, 4, 18, 8, 8};
  auto x = integers(g.x_size(), 8);
  x[static_cast<std::size_t>((1 * 4 + 2) * 18 + 17)] = NAN;
  const auto y = forward(g, x);
  for (int p = 0; p < 8; ++p)
    for (int q = 0; q < 8; ++q)
      for (int c = 0; c < 18; ++c) {
        const bool reads = p >= 1 && p <= 4 && q >= 3 && q <= 6 && c == 17;
        EXPECT_EQ(std::isnan(y[static_cast<std::size_t>((p * 8 + q) * 18 + c)]), reads)
            << p << ", " << q << ", " << c;
      }
}

TEST_P(BilinearKernels, ConstantsStayConstant) {
  // Weights add up to 1, to a rounding.
  for (const Case& c : small_cases()) {
    SCOPED_TRACE(c.name);
    for (const float value : forward(c.g, std::vector<float>(c.g.x_size(), 3.0f)))
      ASSERT_NEAR(value, 3.0f, 1e-6f);
  }
}

TEST_P(BilinearKernels, BackwardIsTheAdjointOfForward) {
  for (const Case& c : all_cases()) {
    SCOPED_TRACE(c.name);
    const auto v = uniform_floats(c.g.x_size(), 9), u = uniform_floats(c.g.y_size(), 10);
    const double bound = 16 * 6e-8 * std::sqrt(4.0 * static_cast<double>(v.size() + u.size()));
    EXPECT_NEAR(dot(forward(c.g, v), u), dot(v, backward(c.g, u)), bound);
  }
}

TEST_P(BilinearKernels, EveryScheduleGivesTheSameBits) {
  const Resize g = emulated() ? Resize{2, 9, 11, 21, 23, 17} : Resize{5, 29, 31, 21, 43, 47};
  const auto x = uniform_floats(g.x_size(), 11), dy = uniform_floats(g.y_size(), 12);
  expect_same_on_every_schedule(GetParam(), [&] {
    auto y = forward(g, x);
    const auto dx = backward(g, dy);
    y.insert(y.end(), dx.begin(), dx.end());
    return y;
  });
}

TEST_P(BilinearKernels, EmptyTensorsLaunchNothing) {
  for (const Resize& g :
       {Resize{0, 4, 4, 3, 8, 8}, Resize{2, 4, 4, 0, 8, 8}, Resize{0, 0, 0, 3, 8, 8}}) {
    EXPECT_TRUE(forward(g, {}).empty());
    EXPECT_TRUE(backward(g, {}).empty());
  }
  // No outputs, though there are inputs: their gradient is zero, and it is written.
  EXPECT_EQ(backward({1, 1, 3, 2, 0, 1}, {}), std::vector<float>(6, 0.0f));
}

TEST_P(BilinearKernels, OffsetsBeyondTwoToTheThirtyOneElements) {
  CURVSEG_SKIP_WITHOUT_FAR_MEMORY();
  const Resize g{1, 2, 3, 2, 4, 6};
  const auto x = integers(g.x_size(), 13);
  const auto y = forward(g, x);
  EXPECT_EQ(forward(g, x, kFarPixels), y);
  EXPECT_EQ(backward(g, y, kFarPixels), backward(g, y));
  EXPECT_EQ(backward(g, y, kFarPixels, &x, &x), backward(g, y, {}, &x, &x));
}

CURVSEG_INSTANTIATE_TARGETS(BilinearKernels);

}  // namespace
}  // namespace curvseg::testing
