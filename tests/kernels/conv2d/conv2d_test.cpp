// The three directions of a convolution against the double reference, on every target.
#include <functional>
#include <string>

#include "kernels/conv2d/conv2d_run.hpp"
#include "support/schedules.hpp"

namespace curvseg::testing {
namespace {

using Case = Conv2dCase;

/// Tiny, odd, strided, dilated, 1x1, even filters, tails on both channel sides, a filter larger
/// than the image, channel counts on both sides of every tile.
std::vector<Case> cases() {
  return {
      {"one_element", {1, 1, 1, 1, 1, 1, 1}},
      {"tiny", {1, 3, 3, 1, 1, 3, 3, 1, 1, 1, 1}},
      {"first_layer_grey", {2, 9, 11, 1, 16, 3, 3, 1, 1, 1, 1}},
      {"first_layer_rgb", {1, 8, 17, 3, 17, 3, 3, 1, 1, 1, 1}},
      {"twelve_channels", {2, 7, 13, 12, 12, 3, 3, 1, 1, 1, 1}},
      {"odd_channels", {1, 6, 7, 35, 19, 3, 3, 1, 1, 1, 1}},
      {"wide", {1, 5, 19, 16, 70, 3, 3, 1, 1, 1, 1}},
      {"deep", {1, 4, 4, 72, 66, 3, 3, 1, 1, 1, 1}},
      {"pointwise", {2, 5, 7, 33, 11, 1, 1}},
      {"class_head", {1, 9, 9, 16, 2, 1, 1}},
      {"stride_two", {2, 9, 10, 5, 8, 3, 3, 2, 2, 1, 1}},
      {"stride_two_by_three", {1, 11, 13, 4, 9, 3, 3, 2, 3, 1, 0}},
      {"transposed_two_by_two", {1, 9, 8, 6, 7, 2, 2, 2, 2}},
      {"stride_beyond_image", {1, 5, 4, 3, 4, 1, 1, 300, 256}},
      {"stride_beyond_filter", {1, 10, 10, 3, 4, 2, 2, 3, 3}},
      {"dilated", {1, 12, 11, 8, 8, 3, 3, 1, 1, 2, 2, 2, 2}},
      {"dilated_and_strided", {1, 13, 12, 3, 5, 3, 3, 2, 2, 3, 2, 3, 2}},
      {"even_filter", {1, 7, 8, 4, 4, 4, 2, 1, 1, 2, 1}},
      {"tall_filter", {1, 12, 5, 2, 3, 7, 1, 1, 1, 3, 0}},
      {"filter_beyond_image", {1, 2, 2, 3, 3, 5, 5, 1, 1, 2, 2}},
      {"no_padding", {2, 8, 8, 16, 16, 3, 3}},
      {"lines_of_two", {3, 2, 2, 24, 20, 3, 3, 1, 1, 1, 1}},
      // Short sums (host): lines of several microtiles, with a rest, strided, in phases.
      {"line_of_grey", {1, 2, 61, 1, 18, 3, 3, 1, 1, 1, 1}},
      {"line_strided", {1, 5, 47, 3, 16, 3, 3, 2, 2, 1, 1}},
      {"line_transposed", {1, 4, 46, 5, 7, 2, 2, 2, 2}},
  };
}

/// Cases that only targets faster than the emulated one run.
std::vector<Case> large_cases() {
  return {
      {"odd_image", {1, 597, 43, 3, 8, 3, 3, 1, 1, 1, 1}},
      {"unet_level", {2, 48, 48, 32, 64, 3, 3, 1, 1, 1, 1}},
      {"many_channels", {1, 6, 6, 300, 130, 3, 3, 1, 1, 1, 1}},
      {"long_lines", {1, 3, 700, 20, 24, 3, 3, 1, 1, 1, 1}},
      {"dense_512", {5, 1, 1, 2048, 512, 1, 1}},
      // Windows of three pixels (host): several steps of channels and of rows of taps, lines that
      // end within a microtile, phases of rows, and windows that are wholly outside.
      {"windows_long_reduction", {1, 5, 47, 150, 140, 3, 3, 1, 1, 1, 1}},
      {"windows_of_five_rows", {2, 9, 33, 6, 16, 5, 3, 1, 1, 2, 1}},
      {"windows_of_two_rows", {1, 6, 24, 7, 18, 2, 3, 1, 1, 0, 1}},
      {"windows_without_padding", {3, 6, 50, 8, 40, 3, 3}},
      {"windows_beyond_the_padding", {1, 4, 20, 3, 5, 3, 3, 1, 1, 0, 4}},
      {"windows_strided_rows", {1, 11, 31, 5, 12, 3, 3, 2, 1, 1, 1}},
      {"windows_dilated_rows", {1, 12, 29, 4, 9, 3, 3, 1, 1, 3, 1, 3, 1}},
      {"line_of_rgb", {2, 5, 230, 3, 40, 3, 3, 1, 1, 1, 1}},
      {"line_pointwise", {2, 9, 31, 64, 72, 1, 1}},
      {"line_pointwise_padded", {1, 5, 46, 20, 24, 1, 1, 1, 1, 1, 1}},
      {"line_pointwise_strided", {1, 6, 93, 70, 9, 1, 1, 2, 2}},
      {"windows_many_lines", {2, 20, 17, 11, 16, 3, 3, 1, 1, 1, 1}},
  };
}

class Conv2dKernels : public Conv2dTest {
 protected:
  std::vector<Case> all_cases() const {
    std::vector<Case> result = cases();
    if (!emulated())
      for (Case& c : large_cases()) result.push_back(c);
    return result;
  }
};

TEST_P(Conv2dKernels, ForwardIsExactOnIntegers) {
  for (const Case& c : all_cases()) {
    SCOPED_TRACE(c.name);
    const auto x = integers(c.g.x_size(), 1), w = integers(c.g.w_size(), 2);
    reference::Sums y(c.g.y_size());
    reference::forward(c.g, x, w, y);
    expect_equal(run_gather(c.g, Conv2dDirection::kForward, {x}, {w}, {}), y.value);
    expect_equal(run_gather(c.g, Conv2dDirection::kForward, {x}, {w}, {.layout = {3, 1}}), y.value);
  }
}

TEST_P(Conv2dKernels, BackwardDataIsExactOnIntegers) {
  for (const Case& c : all_cases()) {
    SCOPED_TRACE(c.name);
    const auto dy = integers(c.g.y_size(), 3), w = integers(c.g.w_size(), 4);
    reference::Sums dx(c.g.x_size());
    reference::backward_data(c.g, dy, w, dx);
    const auto actual = run_gather(c.g, Conv2dDirection::kData, {dy}, {w}, {});
    // Strides leave inputs that nothing reads: their gradient is zero, and there may be many.
    ASSERT_EQ(actual.size(), dx.value.size());
    for (std::size_t i = 0; i < actual.size(); ++i) ASSERT_EQ(actual[i], dx.value[i]) << i;
    const auto gapped = run_gather(c.g, Conv2dDirection::kData, {dy}, {w}, {.layout = {4, 0}});
    EXPECT_EQ(actual, gapped);
  }
}

TEST_P(Conv2dKernels, BackwardWeightsIsExactOnIntegers) {
  for (const Case& c : all_cases()) {
    SCOPED_TRACE(c.name);
    const auto x = integers(c.g.x_size(), 5), dy = integers(c.g.y_size(), 6);
    reference::Sums dw(c.g.w_size());
    reference::backward_weights(c.g, x, dy, dw);
    expect_equal(run_weights(c.g, {x}, {dy}, {}, nullptr), dw.value);
    expect_equal(run_weights(c.g, {x}, {dy}, {5, 2}, nullptr), dw.value);
  }
}

TEST_P(Conv2dKernels, TwoTermsShareOneAccumulator) {
  for (const Case& c : cases()) {
    SCOPED_TRACE(c.name);
    const std::vector<std::vector<float>> x{integers(c.g.x_size(), 7), integers(c.g.x_size(), 8)};
    const std::vector<std::vector<float>> w{integers(c.g.w_size(), 9), integers(c.g.w_size(), 10)};
    const std::vector<std::vector<float>> dy{integers(c.g.y_size(), 11),
                                             integers(c.g.y_size(), 12)};
    reference::Sums y(c.g.y_size()), dx(c.g.x_size()), dw(c.g.w_size());
    for (std::size_t t = 0; t < 2; ++t) {
      reference::forward(c.g, x[t], w[t], y);
      reference::backward_data(c.g, dy[t], w[t], dx);
      reference::backward_weights(c.g, x[t], dy[t], dw);
    }
    const auto as_double = [](const std::vector<float>& v) {
      return std::vector<double>(v.begin(), v.end());
    };
    EXPECT_EQ(as_double(run_gather(c.g, Conv2dDirection::kForward, x, w, {.terms = 2})), y.value);
    EXPECT_EQ(as_double(run_gather(c.g, Conv2dDirection::kData, dy, w, {.terms = 2})), dx.value);
    EXPECT_EQ(as_double(run_weights(c.g, x, dy, {}, nullptr)), dw.value);
  }
}

TEST_P(Conv2dKernels, RoundingStaysWithinItsElementwiseBound) {
  for (const Case& c : all_cases()) {
    SCOPED_TRACE(c.name);
    const auto x = uniform_floats(c.g.x_size(), 13), w = uniform_floats(c.g.w_size(), 14);
    const auto dy = uniform_floats(c.g.y_size(), 15);
    reference::Sums y(c.g.y_size()), dx(c.g.x_size()), dw(c.g.w_size());
    reference::forward(c.g, x, w, y);
    reference::backward_data(c.g, dy, w, dx);
    reference::backward_weights(c.g, x, dy, dw);
    expect_within(run_gather(c.g, Conv2dDirection::kForward, {x}, {w}, {}), y.value, y.bound());
    expect_within(run_gather(c.g, Conv2dDirection::kData, {dy}, {w}, {}), dx.value, dx.bound());
    expect_within(run_weights(c.g, {x}, {dy}, {}, nullptr), dw.value, dw.bound());
  }
}

TEST_P(Conv2dKernels, EpilogueAddsBiasAppliesReluAndMask) {
  for (const Case& c : cases()) {
    SCOPED_TRACE(c.name);
    const auto x = integers(c.g.x_size(), 16), w = integers(c.g.w_size(), 17);
    const auto bias = integers(static_cast<std::size_t>(c.g.k), 18);
    const auto old = integers(c.g.y_size(), 19), mask = integers(c.g.y_size(), 20);
    const std::size_t k = static_cast<std::size_t>(c.g.k);
    reference::Sums y(c.g.y_size());
    reference::forward(c.g, x, w, y);
    auto device_bias = upload(bias), device_mask = upload(mask);
    const int mask_channels = (c.g.k + 1) / 2;
    Extra extra;
    extra.initial = &old;
    extra.epilogue = {device_bias.get(), device_mask.get(), c.g.k, mask_channels, true, true};
    const auto actual = run_gather(c.g, Conv2dDirection::kForward, {x}, {w}, extra);
    for (std::size_t i = 0; i < actual.size(); ++i) {
      double expected = std::max(0.0, y.value[i] + old[i] + bias[i % k]);
      if (i % k < static_cast<std::size_t>(mask_channels) && !(mask[i] > 0)) expected = 0.0;
      ASSERT_EQ(actual[i], expected) << i;
    }
  }
}

TEST_P(Conv2dKernels, ReluKeepsNan) {
  const Conv2d g{1, 4, 4, 4, 4, 1, 1};
  auto x = integers(g.x_size(), 21);
  x[5] = NAN;
  const auto w = integers(g.w_size(), 22);
  Extra extra;
  extra.epilogue.relu = true;
  const auto y = run_gather(g, Conv2dDirection::kForward, {x}, {w}, extra);
  for (std::size_t i = 0; i < y.size(); ++i) EXPECT_EQ(std::isnan(y[i]), i / 4 == 1) << i;
}

TEST_P(Conv2dKernels, WeightGradientAccumulates) {
  for (const Case& c : cases()) {
    SCOPED_TRACE(c.name);
    const auto x = integers(c.g.x_size(), 23), dy = integers(c.g.y_size(), 24);
    const auto old = integers(c.g.w_size(), 25);
    reference::Sums dw(c.g.w_size());
    reference::backward_weights(c.g, x, dy, dw);
    for (std::size_t i = 0; i < old.size(); ++i) dw.value[i] += old[i];
    const auto actual = run_weights(c.g, {x}, {dy}, {}, &old);
    EXPECT_EQ(std::vector<double>(actual.begin(), actual.end()), dw.value);
  }
}

TEST_P(Conv2dKernels, BackwardIsTheAdjointOfForward) {
  for (const Case& c : cases()) {
    SCOPED_TRACE(c.name);
    const auto x = integers(c.g.x_size(), 26), w = integers(c.g.w_size(), 27);
    const auto u = integers(c.g.y_size(), 28);
    const auto dot = [](const std::vector<float>& a, const std::vector<float>& b) {
      double sum = 0;
      for (std::size_t i = 0; i < a.size(); ++i) sum += static_cast<double>(a[i]) * b[i];
      return sum;
    };
    const auto y = run_gather(c.g, Conv2dDirection::kForward, {x}, {w}, {});
    EXPECT_EQ(dot(y, u), dot(x, run_gather(c.g, Conv2dDirection::kData, {u}, {w}, {})));
    EXPECT_EQ(dot(y, u), dot(w, run_weights(c.g, {x}, {u}, {}, nullptr)));
  }
}

TEST_P(Conv2dKernels, EveryScheduleGivesTheSameBits) {
  const Conv2d g = emulated() ? Conv2d{2, 9, 11, 19, 37, 3, 3, 1, 1, 1, 1}
                              : Conv2d{2, 21, 37, 19, 37, 3, 3, 1, 1, 1, 1};
  const auto x = uniform_floats(g.x_size(), 29), w = uniform_floats(g.w_size(), 30);
  const auto dy = uniform_floats(g.y_size(), 31);
  expect_same_on_every_schedule(GetParam(), [&] {
    auto result = run_gather(g, Conv2dDirection::kForward, {x}, {w}, {});
    for (const auto& part : {run_gather(g, Conv2dDirection::kData, {dy}, {w}, {}),
                             run_weights(g, {x}, {dy}, {}, nullptr)})
      result.insert(result.end(), part.begin(), part.end());
    return result;
  });
}

TEST_P(Conv2dKernels, EmptyTensorsLaunchNothing) {
  const Conv2d empty_batch{0, 4, 4, 3, 5, 3, 3, 1, 1, 1, 1};
  EXPECT_TRUE(run_gather(empty_batch, Conv2dDirection::kForward, {{}},
                         {integers(empty_batch.w_size(), 1)}, {})
                  .empty());
  // No pixels: the sum over nothing is zero, and it must be written.
  const auto dw = run_weights(empty_batch, {{}}, {{}}, {}, nullptr);
  EXPECT_EQ(dw, std::vector<float>(empty_batch.w_size(), 0.0f));
  for (const Conv2d& too_small : {Conv2d{1, 4, 2, 3, 5, 3, 3}, Conv2d{1, 2, 4, 3, 5, 3, 3}}) {
    EXPECT_EQ(run_weights(too_small, {{}}, {{}}, {}, nullptr),
              std::vector<float>(too_small.w_size(), 0.0f));
    EXPECT_EQ(
        run_gather(too_small, Conv2dDirection::kData, {{}}, {integers(too_small.w_size(), 2)}, {}),
        std::vector<float>(too_small.x_size(), 0.0f));
  }
  // No input channels: y is the bias.
  const Conv2d no_channels{1, 3, 3, 0, 2, 1, 1};
  auto bias = upload(std::vector<float>{4, -5});
  Conv2dGather p;
  p.problem = problem_of(no_channels);
  auto y = output<float>(no_channels.y_size());
  p.out = y.get();
  p.ld_out = 2;
  p.epilogue.bias = bias.get();
  kernels().conv2d_gather(stream(), p);
  const auto values = download(y);
  for (std::size_t i = 0; i < values.size(); ++i) EXPECT_EQ(values[i], i % 2 ? -5 : 4);
}

TEST_P(Conv2dKernels, OffsetsBeyondTwoToTheThirtyOneElements) {
  CURVSEG_SKIP_WITHOUT_FAR_MEMORY();
  // 15 pixels of x and of y; 8 channels as well, which the host's lanes take at once.
  for (const int channels : {2, 8}) {
    const Conv2d g{1, 3, 5, channels, channels + 1, 3, 3, 1, 1, 1, 1};
    const auto x = integers(g.x_size(), 32), w = integers(g.w_size(), 33);
    const auto dy = integers(g.y_size(), 34);
    reference::Sums y(g.y_size()), dx(g.x_size()), dw(g.w_size());
    reference::forward(g, x, w, y);
    reference::backward_data(g, dy, w, dx);
    reference::backward_weights(g, x, dy, dw);
    const Extra far{.layout = kFarPixels};
    expect_equal(run_gather(g, Conv2dDirection::kForward, {x}, {w}, far), y.value);
    expect_equal(run_gather(g, Conv2dDirection::kData, {dy}, {w}, far), dx.value);
    expect_equal(run_weights(g, {x}, {dy}, kFarPixels, nullptr), dw.value);
  }
}

CURVSEG_INSTANTIATE_TARGETS(Conv2dKernels);

}  // namespace
}  // namespace curvseg::testing
