// The losses' Hessians with respect to the logits, times a vector, against the double reference, on
// every target.
#include <cmath>
#include <limits>
#include <string>

#include "curvseg/labels.hpp"
#include "reference/loss.hpp"
#include "support/pixels.hpp"
#include "support/random_data.hpp"
#include "support/rounding.hpp"
#include "support/schedules.hpp"
#include "support/sparse_memory.hpp"

namespace curvseg::testing {
namespace {

using Labels = std::vector<std::int32_t>;

TEST(HessianReference, IsTheDerivativeOfTheGradient) {
  const reference::CrossEntropy f{5, {0.5, 2.0, 0.0, 1.0, 3.0}, 0.15};
  const auto x = as_double(uniform_floats(20, 1)), u = as_double(uniform_floats(20, 2));
  const Labels labels{4, -1, 2, 1};
  constexpr double kStep = 1e-5;
  auto above = x, below = x;
  for (std::size_t i = 0; i < x.size(); ++i) above[i] += kStep * u[i], below[i] -= kStep * u[i];
  const auto high = reference::cross_entropy(f, above, labels, 3.5).gradient;
  const auto low = reference::cross_entropy(f, below, labels, 3.5).gradient;
  const auto product = reference::cross_entropy_hessian(f, x, labels, u, 3.5);
  for (std::size_t i = 0; i < x.size(); ++i)
    EXPECT_NEAR(product.value[i], (high[i] - low[i]) / (2.0 * kStep), 1e-9) << i;
}

struct HessianProblem {
  int pixels = 0, classes = 2;
  std::vector<float> x, u;  // dense
  Labels labels;
  std::vector<float> weights;  // empty: none
  float smoothing = 0.0f;
  float denominator = 1.0f;
  PixelLayout layout;
  bool in_place = false;  // hu is u
};

HessianProblem random_hessian_problem(int pixels, int classes, unsigned seed) {
  HessianProblem p;
  p.pixels = pixels;
  p.classes = classes;
  const auto size = static_cast<std::size_t>(pixels) * static_cast<std::size_t>(classes);
  p.x = uniform_floats(size, seed);
  for (float& value : p.x) value *= 8.0f;
  p.u = uniform_floats(size, seed + 1);
  std::mt19937 engine(seed + 2);
  for (int i = 0; i < pixels; ++i) {
    const unsigned kind = engine() % 20;
    const auto any = static_cast<std::int32_t>(engine() % static_cast<unsigned>(classes));
    p.labels.push_back(kind == 0 ? kIgnoreLabel : kind == 1 ? classes : any);
  }
  p.denominator = 0.7f * static_cast<float>(pixels);
  return p;
}

class LossHessianKernels : public PixelTest {
 protected:
  std::vector<float> run(const HessianProblem& problem) const {
    const auto x = upload_pixels(problem.x, problem.classes, problem.layout);
    const auto u = upload_pixels(problem.u, problem.classes, problem.layout);
    const auto hu = output_pixels(problem.u.size(), problem.classes, problem.layout);
    auto labels = upload(problem.labels);
    auto weights = upload(problem.weights);
    auto denominator = upload(std::vector<float>{problem.denominator});
    SoftmaxCrossEntropyHessian p;
    p.at.pixels = problem.pixels;
    p.at.classes = problem.classes;
    p.at.x = x.get();
    p.at.labels = labels.get();
    p.at.class_weights = problem.weights.empty() ? nullptr : weights.get();
    p.at.label_smoothing = problem.smoothing;
    p.at.denominator = denominator.get();
    p.u = u.get();
    p.hu = problem.in_place ? u.get() : hu.get();
    p.at.ldx = p.ldu = p.ld_hu = x.ld();
    kernels().softmax_cross_entropy_hessian(stream(), p);
    return download_pixels(problem.in_place ? u : hu);
  }

  void expect_reference(const HessianProblem& p) const {
    const auto expected =
        reference::cross_entropy_hessian({p.classes, as_double(p.weights), p.smoothing},
                                         as_double(p.x), p.labels, as_double(p.u), p.denominator);
    std::vector<double> bound = expected.uncertainty;
    for (double& b : bound) b = 2.0 * kEpsilon * b + std::numeric_limits<float>::denorm_min();
    expect_within(run(p), expected.value, bound);
  }

  void expect_mean_squared_error(PixelLayout layout) const {
    const std::vector<float> dense = {1, -2, 3, 0.5f, 8, -4};
    for (const float denominator : {4.0f, 0.0f}) {
      const auto u = upload_pixels(dense, 2, layout);
      const auto hu = output_pixels(dense.size(), 2, layout);
      auto d = upload(std::vector<float>{denominator});
      kernels().mean_squared_error_hessian(stream(),
                                           {3, 2, u.get(), u.ld(), d.get(), hu.get(), hu.ld()});
      std::vector<float> expected = dense;
      for (float& value : expected) value *= denominator == 0.0f ? 0.0f : 0.5f;
      EXPECT_EQ(download_pixels(hu), expected);

      auto labels = upload(std::vector<std::int32_t>{1, -1, 2});  // two pixels without a class
      const auto gated = output_pixels(dense.size(), 2, layout);
      kernels().mean_squared_error_hessian(
          stream(), {3, 2, u.get(), u.ld(), d.get(), gated.get(), gated.ld(), labels.get()});
      std::fill(expected.begin() + 2, expected.end(), 0.0f);
      EXPECT_EQ(download_pixels(gated), expected);
    }
  }

  /// `labels` may be empty.
  std::vector<float> squares(int channels, const std::vector<float>& dense, const Labels& labels,
                             float denominator, PixelLayout layout, bool in_place) const {
    const auto u = upload_pixels(dense, channels, layout);
    const auto hu = output_pixels(dense.size(), channels, layout);
    const auto device_labels = upload(labels);
    const auto d = upload(std::vector<float>{denominator});
    const PixelBuffer& to = in_place ? u : hu;
    kernels().mean_squared_error_hessian(
        stream(), {.pixels = static_cast<std::int64_t>(dense.size()) / channels,
                   .channels = channels,
                   .u = u.get(),
                   .ldu = u.ld(),
                   .denominator = d.get(),
                   .hu = to.get(),
                   .ld_hu = to.ld(),
                   .labels = labels.empty() ? nullptr : device_labels.get()});
    return download_pixels(to);
  }
};

TEST_P(LossHessianKernels, HandWorkedPixels) {
  // p = (½, ½): H = ¼·[[1, −1], [−1, 1]] over 2; the third pixel has no label.
  HessianProblem p;
  p.pixels = 3;
  p.x = {0, 0, 1, 1, -5, NAN};
  p.u = {1, 0, 2, 3, 1, 1};
  p.labels = {0, 1, kIgnoreLabel};
  p.denominator = 2.0f;
  EXPECT_EQ(run(p), (std::vector<float>{0.125f, -0.125f, -0.125f, 0.125f, 0, 0}));
  p.weights = {1, 3};
  EXPECT_EQ(run(p), (std::vector<float>{0.125f, -0.125f, -0.375f, 0.375f, 0, 0}));
  p.smoothing = 0.5f;  // s = ½·1 + ¼·4 and ½·3 + ¼·4
  EXPECT_EQ(run(p), (std::vector<float>{0.1875f, -0.1875f, -0.3125f, 0.3125f, 0, 0}));
  p.denominator = 0.0f;
  EXPECT_EQ(run(p), std::vector<float>(6, 0.0f));
}

TEST_P(LossHessianKernels, AgreeWithTheReferenceAtEveryShape) {
  std::vector<std::pair<int, int>> shapes{{1, 1},  {1, 2},  {3, 2},   {64, 2},  {65, 3}, {129, 12},
                                          {7, 32}, {5, 33}, {3, 150}, {19, 64}, {3, 300}};
  if (!emulated()) shapes.insert(shapes.end(), {{597 * 43, 3}, {4099, 21}, {1000, 151}});
  unsigned seed = 10;
  for (const auto& [pixels, classes] : shapes)
    for (const bool weighted : {false, true})
      for (const float smoothing : {0.0f, 0.1f}) {
        SCOPED_TRACE(std::to_string(pixels) + " pixels, " + std::to_string(classes) + " classes" +
                     (weighted ? ", weighted" : "") + (smoothing > 0.0f ? ", smoothed" : ""));
        HessianProblem p = random_hessian_problem(pixels, classes, seed += 5);
        if (weighted) {
          p.weights = uniform_floats(static_cast<std::size_t>(classes), seed);
          for (float& weight : p.weights) weight = 1.0f + 0.9f * weight;
        }
        p.smoothing = smoothing;
        p.layout = pixel_layouts()[seed % 3];
        p.in_place = seed % 2 == 0;
        expect_reference(p);
      }
}

TEST_P(LossHessianKernels, ExtremeLogitsGiveNoCurvature) {
  for (const int classes : {3, 40, 300}) {
    HessianProblem p = random_hessian_problem(1, classes, 3);
    p.labels = {1};
    p.x.assign(p.x.size(), 0.0f);
    p.x[0] = 1e4f;
    EXPECT_EQ(run(p), std::vector<float>(p.x.size(), 0.0f)) << classes;
  }
}

TEST_P(LossHessianKernels, NothingToDo) {
  HessianProblem p;
  p.classes = 3;
  EXPECT_TRUE(run(p).empty());
}

TEST_P(LossHessianKernels, EveryScheduleGivesTheSameBits) {
  for (const int classes : {3, 70, 300}) {
    SCOPED_TRACE(classes);
    HessianProblem p = random_hessian_problem(emulated() ? 300 : 20'011, classes, 40);
    p.smoothing = 0.1f;
    expect_same_on_every_schedule(GetParam(), [&] { return run(p); });
  }
}

TEST_P(LossHessianKernels, OffsetsBeyondTwoToTheThirtyOneElements) {
  CURVSEG_SKIP_WITHOUT_FAR_MEMORY();
  for (const int classes : {3, 50, 300}) {
    HessianProblem p = random_hessian_problem(5, classes, 41);
    const std::vector<float> expected = run(p);
    p.layout = kFarPixels;
    EXPECT_EQ(run(p), expected);
  }
}

TEST_P(LossHessianKernels, MeanSquaredErrorOnEverySchedule) {
  const int pixels = emulated() ? 3'001 : 30'011;
  const auto dense = uniform_floats(static_cast<std::size_t>(3 * pixels), 42);
  expect_same_on_every_schedule(GetParam(), [&] {
    const auto u = upload_pixels(dense, 3), hu = output_pixels(dense.size(), 3);
    auto d = upload(std::vector<float>{4.0f});
    kernels().mean_squared_error_hessian(stream(), {pixels, 3, u.get(), 3, d.get(), hu.get(), 3});
    return download_pixels(hu);
  });
}

TEST_P(LossHessianKernels, MeanSquaredError) {
  for (const PixelLayout& layout : pixel_layouts()) expect_mean_squared_error(layout);
}

TEST_P(LossHessianKernels, MeanSquaredErrorAtEveryShape) {
  std::vector<std::pair<int, int>> shapes{{0, 3}, {1, 1}, {31, 1}, {7, 3}, {33, 33}, {2, 1000}};
  if (!emulated()) shapes.insert(shapes.end(), {{597 * 43, 3}, {100'003, 1}});
  unsigned seed = 60;
  for (const auto& [pixels, channels] : shapes)
    for (const bool labelled : {false, true}) {
      SCOPED_TRACE(std::to_string(pixels) + " pixels, " + std::to_string(channels) + " channels" +
                   (labelled ? ", labelled" : ""));
      const PixelLayout layout = pixel_layouts()[++seed % 3];
      const auto c = static_cast<std::size_t>(channels);
      const auto n = static_cast<std::size_t>(pixels) * c;
      Labels labels;
      for (int i = 0; i < pixels && labelled; ++i) labels.push_back(i % (channels + 2) - 1);
      const auto whole = small_integers(n, seed), random = uniform_floats(n, seed);
      std::vector<double> exact, value, bound;
      for (std::size_t i = 0; i < n; ++i) {
        const int label = labelled ? labels[i / c] : 0;
        const double factor = label >= 0 && label < channels ? 2.0 : 0.0;
        exact.push_back(factor * whole[i] / 64.0);
        value.push_back(factor * random[i] / double(0.7f));
        bound.push_back(0.5 * kEpsilon * std::fabs(value.back()));
      }
      for (const bool in_place : {false, true}) {
        EXPECT_EQ(as_double(squares(channels, whole, labels, 64.0f, layout, in_place)), exact);
        expect_within(squares(channels, random, labels, 0.7f, layout, in_place), value, bound);
      }
    }
}

TEST_P(LossHessianKernels, MeanSquaredErrorBeyondTwoToTheThirtyOneElements) {
  CURVSEG_SKIP_WITHOUT_FAR_MEMORY();
  expect_mean_squared_error(kFarPixels);
}

TEST_P(LossHessianKernels, MeanSquaredErrorOfMoreThanTwoToTheThirtyOneElements) {
  if (GetParam() != "host")
    GTEST_SKIP() << "walks 8 GiB that the test maps itself: only where that is quick";
  const std::int64_t n = kBeyondTwoToTheThirtyOne;
  const SparseMemory u(static_cast<std::size_t>(n) * sizeof(float));
  const RepeatingMemory hu(n);
  if (!u.get() || !hu.get()) GTEST_SKIP() << "16 GiB of address space are not to be had here";
  for (const std::int64_t i : {n - 6, n - 1}) u.get()[i] = 6.0f;
  const auto d = upload(std::vector<float>{4.0f});
  kernels().mean_squared_error_hessian(stream(), {n, 1, u.get(), 1, d.get(), hu.get(), 1});
  for (const std::int64_t i : {n - 6, n - 1}) EXPECT_EQ(hu.get()[i], 3.0f) << i;
  for (const std::int64_t i : {n - 7, n - 5, n - 2}) EXPECT_EQ(hu.get()[i], 0.0f) << i;
}

CURVSEG_INSTANTIATE_TARGETS(LossHessianKernels);

}  // namespace
}  // namespace curvseg::testing
