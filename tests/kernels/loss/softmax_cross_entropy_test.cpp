// Softmax cross-entropy and its denominator against the double reference, on every target.
#include <algorithm>
#include <cmath>
#include <limits>
#include <string>

#include "reference/loss.hpp"
#include "support/checksum.hpp"
#include "support/pixels.hpp"
#include "support/random_data.hpp"
#include "support/rounding.hpp"
#include "support/schedules.hpp"
#include "support/sparse_memory.hpp"

namespace curvseg::testing {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

using Labels = std::vector<std::int32_t>;

std::vector<double> widened(const std::vector<float>& values) {
  return {values.begin(), values.end()};
}

// ---- the reference itself ----------------------------------------------------------------------

TEST(CrossEntropyReference, AgreesWithHandWorkedPixels) {
  const double log2 = std::log(2.0), log3 = std::log(3.0);
  // Two equal logits: log 2, and half a pixel's pull each way.
  const auto even = reference::cross_entropy({2, {}, 0.0}, {0.0, 0.0}, {0}, 1.0);
  EXPECT_DOUBLE_EQ(even.value, log2);
  EXPECT_EQ(even.gradient, (std::vector<double>{-0.5, 0.5}));
  // p = (3/4, 1/4) and (1/2, 1/2); weights 1 and 3 over their sum 4.
  const reference::CrossEntropy weighted{2, {1.0, 3.0}, 0.0};
  EXPECT_EQ(reference::label_weight(weighted, {0, 1, -1, 2}), 4.0);
  const auto two = reference::cross_entropy(weighted, {log3, 0.0, 0.0, 0.0}, {0, 1}, 4.0);
  EXPECT_DOUBLE_EQ(two.value, (std::log(4.0 / 3.0) + 3.0 * log2) / 4.0);
  EXPECT_DOUBLE_EQ(two.gradient[0], -0.25 / 4.0);
  EXPECT_DOUBLE_EQ(two.gradient[3], -1.5 / 4.0);
  // Smoothing 0.2 makes q = (0.9, 0.1).
  const auto smooth = reference::cross_entropy({2, {}, 0.2}, {log3, 0.0}, {0}, 1.0);
  EXPECT_DOUBLE_EQ(smooth.value, 0.9 * std::log(4.0 / 3.0) + 0.1 * std::log(4.0));
  EXPECT_NEAR(smooth.gradient[0], 0.75 - 0.9, 1e-15);
  // Smoothing and weights: q = (0.8·1 + 0.1·1, 0.1·3), s = 1.2.
  const auto both = reference::cross_entropy({2, {1.0, 3.0}, 0.2}, {0.0, 0.0}, {0}, 1.0);
  EXPECT_DOUBLE_EQ(both.value, 1.2 * log2);
  EXPECT_NEAR(both.gradient[0], 0.6 - 0.9, 1e-15);
  EXPECT_NEAR(both.gradient[1], 0.6 - 0.3, 1e-15);
}

TEST(CrossEntropyReference, GradientIsTheDerivativeOfTheLoss) {
  const reference::CrossEntropy f{5, {0.5, 2.0, 0.0, 1.0, 3.0}, 0.15};
  const auto x = widened(uniform_floats(20, 1));
  const Labels labels{4, -1, 2, 1};
  const auto loss = reference::cross_entropy(f, x, labels, 3.5);
  for (std::size_t i = 0; i < x.size(); ++i) {
    constexpr double kStep = 1e-5;
    auto above = x, below = x;
    above[i] += kStep;
    below[i] -= kStep;
    const double slope = (reference::cross_entropy(f, above, labels, 3.5).value -
                          reference::cross_entropy(f, below, labels, 3.5).value) /
                         (2.0 * kStep);
    EXPECT_NEAR(loss.gradient[i], slope, 1e-9) << i;
  }
}

// ---- the kernels -------------------------------------------------------------------------------

struct Problem {
  int pixels = 0, classes = 2;
  std::vector<float> x;  // dense
  Labels labels;
  std::vector<float> weights;  // empty: none
  float smoothing = 0.0f;
  PixelLayout x_layout, dx_layout;

  reference::CrossEntropy formula() const { return {classes, widened(weights), smoothing}; }
};

/// Logits in [−8, 8), a tenth of the labels out of range on either side.
Problem random_problem(int pixels, int classes, unsigned seed) {
  Problem p;
  p.pixels = pixels;
  p.classes = classes;
  p.x = uniform_floats(static_cast<std::size_t>(pixels) * static_cast<std::size_t>(classes), seed);
  for (float& value : p.x) value *= 8.0f;
  std::mt19937 engine(seed + 1);
  for (int i = 0; i < pixels; ++i) {
    const unsigned kind = engine() % 20;
    const auto any = static_cast<std::int32_t>(engine() % static_cast<unsigned>(classes));
    p.labels.push_back(kind == 0 ? kIgnoreLabel : kind == 1 ? classes : any);
  }
  return p;
}

std::vector<float> random_weights(int classes, unsigned seed) {
  std::vector<float> weights = uniform_floats(static_cast<std::size_t>(classes), seed);
  for (float& weight : weights) weight = 1.0f + 0.9f * weight;
  weights[0] = classes > 1 ? 0.0f : 1.0f;
  return weights;
}

struct Result {
  float loss = 0.0f;
  std::vector<float> dx;  // dense
};

class CrossEntropyKernels : public PixelTest {
 protected:
  /// `old`: nullptr to overwrite, else the value to accumulate on.
  float label_weight(const Problem& problem, const float* old = nullptr) const {
    auto labels = upload(problem.labels);
    auto weights = upload(problem.weights);
    auto total = old ? upload(std::vector<float>{*old}) : output<float>(1);
    LabelWeight p;
    p.pixels = problem.pixels;
    p.classes = problem.classes;
    p.labels = labels.get();
    p.class_weights = problem.weights.empty() ? nullptr : weights.get();
    p.total = total.get();
    p.accumulate = old != nullptr;
    auto scratch = workspace(kernels().label_weight_workspace(p));
    p.workspace = scratch.get();
    kernels().label_weight(stream(), p);
    return download(total)[0];
  }

  Result run(const Problem& problem, float denominator, const float* old = nullptr,
             bool gradient = true) const {
    const auto x = upload_pixels(problem.x, problem.classes, problem.x_layout);
    auto labels = upload(problem.labels);
    auto weights = upload(problem.weights);
    auto device_denominator = upload(std::vector<float>{denominator});
    auto loss = old ? upload(std::vector<float>{*old}) : output<float>(1);
    const auto dx = output_pixels(problem.x.size(), problem.classes, problem.dx_layout);
    SoftmaxCrossEntropy p;
    p.pixels = problem.pixels;
    p.classes = problem.classes;
    p.x = x.get();
    p.ldx = x.ld();
    p.labels = labels.get();
    p.class_weights = problem.weights.empty() ? nullptr : weights.get();
    p.label_smoothing = problem.smoothing;
    p.denominator = device_denominator.get();
    p.loss = loss.get();
    p.dx = gradient ? dx.get() : nullptr;
    p.ld_dx = dx.ld();
    p.accumulate = old != nullptr;
    auto scratch = workspace(kernels().softmax_cross_entropy_workspace(p));
    p.workspace = scratch.get();
    kernels().softmax_cross_entropy(stream(), p);
    Result result;
    result.loss = download(loss)[0];
    if (gradient) result.dx = download_pixels(dx);
    return result;
  }

  void expect_reference(const Problem& problem) const {
    const auto weight = reference::label_weight(problem.formula(), problem.labels);
    const float denominator = label_weight(problem);
    EXPECT_NEAR(denominator, weight, 2.0 * kEpsilon * weight);
    const auto expected = reference::cross_entropy(problem.formula(), widened(problem.x),
                                                   problem.labels, denominator);
    const Result actual = run(problem, denominator);
    EXPECT_TRUE(std::fabs(actual.loss - expected.value) <= 2.0 * kEpsilon * expected.uncertainty)
        << actual.loss << ", expected " << expected.value << " within "
        << 2.0 * kEpsilon * expected.uncertainty;
    std::vector<double> bound = expected.gradient_uncertainty;
    for (double& b : bound) b = 2.0 * kEpsilon * b + std::numeric_limits<float>::denorm_min();
    expect_within(actual.dx, expected.gradient, bound);
    EXPECT_EQ(run(problem, denominator, nullptr, false).loss, actual.loss) << "without a gradient";
  }
};

TEST_P(CrossEntropyKernels, HandWorkedPixels) {
  Problem p;
  p.pixels = 3;
  p.x = {0.0f, 0.0f, 1.0f, 1.0f, -5.0f, 7.0f};
  p.labels = {0, 1, kIgnoreLabel};
  const Result even = run(p, 2.0f);
  EXPECT_FLOAT_EQ(even.loss, 0.69314718f);
  EXPECT_EQ(even.dx, (std::vector<float>{-0.25f, 0.25f, 0.25f, -0.25f, 0.0f, 0.0f}));

  p.weights = {1.0f, 3.0f};
  EXPECT_EQ(label_weight(p), 4.0f);
  const Result weighted = run(p, 4.0f);
  EXPECT_FLOAT_EQ(weighted.loss, 0.69314718f);
  EXPECT_EQ(weighted.dx, (std::vector<float>{-0.125f, 0.125f, 0.375f, -0.375f, 0.0f, 0.0f}));

  // s·p = 1.5·½ for label 0 and 2.5·½ for label 1; q = (½ + ¼·1, ¼·3) and (¼·1, 1.5 + ¼·3).
  p.smoothing = 0.5f;
  const Result smooth = run(p, 1.0f);
  EXPECT_FLOAT_EQ(smooth.loss, 4.0f * 0.69314718f);
  EXPECT_NEAR(smooth.dx[0], 0.0f, 1e-6f);
  EXPECT_NEAR(smooth.dx[2], 1.0f, 1e-6f);
  EXPECT_NEAR(smooth.dx[3], -1.0f, 1e-6f);
}

TEST_P(CrossEntropyKernels, AgreeWithTheReferenceAtEveryShape) {
  std::vector<std::pair<int, int>> shapes{{1, 1},    {1, 2},    {3, 2},    {64, 2},  {65, 3},
                                          {129, 12}, {7, 32},   {5, 33},   {3, 150}, {2, 999},
                                          {19, 64},  {1, 2049}, {33, 256}, {3, 257}};
  for (int classes = 1; classes <= 17; ++classes) shapes.emplace_back(27 + classes, classes);
  if (!emulated())
    shapes.insert(shapes.end(), {{597 * 43, 3}, {4099, 21}, {1000, 151}, {128, 1000}});
  unsigned seed = 10;
  for (const auto& [pixels, classes] : shapes)
    for (const bool weighted : {false, true})
      for (const float smoothing : {0.0f, 0.1f}) {
        SCOPED_TRACE(std::to_string(pixels) + " pixels, " + std::to_string(classes) + " classes" +
                     (weighted ? ", weighted" : "") + (smoothing > 0.0f ? ", smoothed" : ""));
        Problem p = random_problem(pixels, classes, ++seed);
        if (weighted) p.weights = random_weights(classes, seed);
        p.smoothing = smoothing;
        p.x_layout = pixel_layouts()[seed % 3];
        p.dx_layout = pixel_layouts()[seed / 3 % 3];
        expect_reference(p);
      }
}

TEST_P(CrossEntropyKernels, FullSmoothingForgetsTheLabel) {
  Problem p = random_problem(9, 4, 3);
  p.smoothing = 1.0f;
  expect_reference(p);
}

TEST_P(CrossEntropyKernels, ExtremeLogitsStayFinite) {
  for (const int classes : {3, 40, 300}) {
    SCOPED_TRACE(classes);
    Problem p;
    p.pixels = 4;
    p.classes = classes;
    p.x.assign(static_cast<std::size_t>(4 * classes), 0.0f);
    const auto c = static_cast<std::size_t>(classes);
    p.x[0] = 1e4f;           // right and certain
    p.x[c] = 1e4f;           // wrong and certain: loss 1e4
    p.x[2 * c + 1] = -1e4f;  // wrong: the label's own logit is far below
    p.x[3 * c + 2] = 3e38f;  // differences beyond the range of float are zero probabilities
    p.labels = {0, 1, 1, 2};
    const Result result = run(p, 1.0f);
    EXPECT_NEAR(result.loss, 2e4 + std::log(classes - 1.0), 1e-2);
    EXPECT_EQ(result.dx[0], 0.0f);
    EXPECT_EQ(result.dx[1], 0.0f);
    EXPECT_EQ(result.dx[c], 1.0f);
    EXPECT_EQ(result.dx[c + 1], -1.0f);
    EXPECT_EQ(result.dx[2 * c + 1], -1.0f);
    EXPECT_EQ(result.dx[3 * c + 2], 0.0f);
    for (const float value : result.dx) EXPECT_TRUE(std::isfinite(value));
  }
}

TEST_P(CrossEntropyKernels, NotFiniteLogitsShow) {
  for (const int classes : {4, 35, 300}) {
    SCOPED_TRACE(classes);
    Problem p = random_problem(5, classes, 7);
    p.labels = {0, 1, 2, 3, 0};
    for (const std::size_t at : {0, 1, 3}) {
      Problem broken = p;
      broken.x[at] = NAN;
      EXPECT_TRUE(std::isnan(run(broken, 5.0f).loss)) << at;
      broken.x[at] = kInfinity;
      EXPECT_TRUE(std::isnan(run(broken, 5.0f).loss)) << at;
      // −inf says that a class is impossible: harmless, unless the pixel asks for it.
      broken.x[at] = -kInfinity;
      const Result result = run(broken, 5.0f);
      EXPECT_EQ(result.loss == kInfinity, at == 0) << result.loss;
      EXPECT_EQ(result.dx[at], at == 0 ? -0.2f : 0.0f);
      broken.smoothing = 0.1f;  // now every class is asked for
      EXPECT_EQ(run(broken, 5.0f).loss, kInfinity);
    }
    // Where there is no label, nothing shows.
    p.labels[0] = kIgnoreLabel;
    const Result clean = run(p, 4.0f);
    p.x[1] = NAN;
    EXPECT_EQ(run(p, 4.0f).loss, clean.loss);
    EXPECT_EQ(run(p, 4.0f).dx, clean.dx);
  }
}

// A pixel of −inf alone has no largest logit to subtract: its differences are not numbers.
TEST_P(CrossEntropyKernels, APixelOfImpossibleClassesShows) {
  for (const int classes : {1, 2, 5, 35, 300}) {
    SCOPED_TRACE(classes);
    Problem p = random_problem(37, classes, 8);
    std::fill(p.labels.begin(), p.labels.end(), 0);
    const auto c = static_cast<std::size_t>(classes);
    std::fill_n(p.x.begin() + 3 * classes, c, -kInfinity);
    const Result result = run(p, 37.0f);
    EXPECT_TRUE(std::isnan(result.loss));
    for (std::size_t i = 0; i < p.x.size(); ++i)
      EXPECT_EQ(std::isnan(result.dx[i]), i / c == 3) << i;
  }
}

TEST_P(CrossEntropyKernels, WithoutAValidPixelLossAndGradientAreZero) {
  for (const int classes : {3, 50, 300}) {
    Problem p = random_problem(70, classes, 8);
    std::fill(p.labels.begin(), p.labels.end(), kIgnoreLabel);
    std::fill(p.labels.begin() + 35, p.labels.end(), classes + 200);
    p.smoothing = 0.1f;
    EXPECT_EQ(label_weight(p), 0.0f);
    const Result result = run(p, 0.0f);
    EXPECT_EQ(result.loss, 0.0f);
    EXPECT_EQ(result.dx, std::vector<float>(p.x.size(), 0.0f));
    // The same where all labels are valid and their weights are zero.
    p = random_problem(70, classes, 9);
    p.weights.assign(static_cast<std::size_t>(classes), 0.0f);
    EXPECT_EQ(label_weight(p), 0.0f);
    const Result weightless = run(p, 0.0f);
    EXPECT_EQ(weightless.loss, 0.0f);
    EXPECT_EQ(weightless.dx, std::vector<float>(p.x.size(), 0.0f));
  }
}

TEST_P(CrossEntropyKernels, NoPixels) {
  for (const int classes : {3, 50, 300}) {
    Problem p;
    p.classes = classes;
    const float old = 2.5f;
    EXPECT_EQ(label_weight(p), 0.0f);
    EXPECT_EQ(label_weight(p, &old), 2.5f);
    EXPECT_EQ(run(p, 0.0f).loss, 0.0f);
    EXPECT_EQ(run(p, 3.0f).loss, 0.0f);
    EXPECT_EQ(run(p, 3.0f, &old).loss, 2.5f);
  }
}

TEST_P(CrossEntropyKernels, MiniBatchesAddUpToTheBatch) {
  for (const int classes : {5, 40, 300}) {
    SCOPED_TRACE(classes);
    Problem whole = random_problem(150, classes, 11);
    whole.weights = random_weights(classes, 12);
    whole.smoothing = 0.05f;
    const float denominator = label_weight(whole);
    const Result expected = run(whole, denominator);
    float weight = 0.0f, loss = 0.0f;
    std::vector<float> dx;
    for (const auto& [first, last] : {std::pair{0, 64}, std::pair{64, 65}, std::pair{65, 150}}) {
      Problem part = whole;
      part.pixels = last - first;
      part.labels.assign(whole.labels.begin() + first, whole.labels.begin() + last);
      part.x.assign(whole.x.begin() + first * classes, whole.x.begin() + last * classes);
      weight = label_weight(part, &weight);
      const Result result = run(part, denominator, &loss);
      loss = result.loss;
      dx.insert(dx.end(), result.dx.begin(), result.dx.end());
    }
    EXPECT_NEAR(weight, denominator, 4.0 * kEpsilon * denominator);
    EXPECT_NEAR(loss, expected.loss, 4.0 * kEpsilon * expected.loss);
    EXPECT_EQ(dx, expected.dx);
  }
}

TEST_P(CrossEntropyKernels, AMillionPixelsLoseNoAccuracy) {
  if (emulated()) GTEST_SKIP() << "a million pixels take the emulated target minutes";
  const Problem p = random_problem(1'000'003, 3, 13);
  const float denominator = label_weight(p);
  EXPECT_EQ(denominator, reference::label_weight(p.formula(), p.labels));
  const auto expected =
      reference::cross_entropy(p.formula(), widened(p.x), p.labels, denominator).value;
  EXPECT_NEAR(run(p, denominator).loss, expected, 2e-7 * expected);
}

TEST_P(CrossEntropyKernels, EveryScheduleGivesTheSameBits) {
  for (const int classes : {3, 70, 300}) {
    SCOPED_TRACE(classes);
    Problem p = random_problem(emulated() ? 300 : 20'011, classes, 14);
    p.weights = random_weights(classes, 15);
    p.smoothing = 0.1f;
    expect_same_on_every_schedule(GetParam(), [&] {
      const float weight = label_weight(p);
      Result result = run(p, weight);
      result.dx.insert(result.dx.end(), {weight, result.loss});
      return result.dx;
    });
  }
}

// Up to 32 classes a pixel's sums run in the order of classes everywhere.
TEST_P(CrossEntropyKernels, GradientHasTheSameBitsOnEveryTarget) {
  Problem p = random_problem(200, 21, 16);
  p.weights = random_weights(21, 17);
  p.smoothing = 0.1f;
  EXPECT_EQ(checksum(run(p, 177.0f).dx), 2686819794578034720ull);
}

TEST_P(CrossEntropyKernels, OffsetsBeyondTwoToTheThirtyOneElements) {
  CURVSEG_SKIP_WITHOUT_FAR_MEMORY();
  for (const int classes : {3, 50, 300}) {
    Problem p = random_problem(5, classes, 18);
    const Result expected = run(p, 5.0f);
    p.x_layout = p.dx_layout = kFarPixels;
    const Result actual = run(p, 5.0f);
    EXPECT_EQ(actual.loss, expected.loss);
    EXPECT_EQ(actual.dx, expected.dx);
  }
}

TEST_P(CrossEntropyKernels, LabelWeightOfMoreThanTwoToTheThirtyOnePixels) {
  if (GetParam() != "host")
    GTEST_SKIP() << "walks 8 GiB that the test maps itself: only where that is quick";
  const std::int64_t n = kBeyondTwoToTheThirtyOne;
  const SparseMemory memory(static_cast<std::size_t>(n) * sizeof(std::int32_t));
  if (!memory.get()) GTEST_SKIP() << "8 GiB of address space are not to be had here";
  auto* labels = reinterpret_cast<std::int32_t*>(memory.get());
  labels[n - 6] = labels[n - 1] = 1;
  auto weights = upload(std::vector<float>{0.0f, 2.5f});
  auto total = output<float>(1);
  LabelWeight p;
  p.pixels = n;
  p.classes = 2;
  p.labels = labels;
  p.class_weights = weights.get();
  p.total = total.get();
  auto scratch = workspace(kernels().label_weight_workspace(p));
  p.workspace = scratch.get();
  kernels().label_weight(stream(), p);
  EXPECT_EQ(download(total)[0], 5.0f);
}

CURVSEG_INSTANTIATE_TARGETS(CrossEntropyKernels);

}  // namespace
}  // namespace curvseg::testing
