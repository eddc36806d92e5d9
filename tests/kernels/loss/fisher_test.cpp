// The losses' Fisher matrices with respect to the logits, times a vector, against the double
// reference, on every target.
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

enum class Target { kOfTheLoss, kSampled };

struct FisherProblem {
  int pixels = 0, classes = 2;
  std::vector<float> x, u;  // dense
  Labels labels, sampled;
  std::vector<float> weights;  // empty: none
  float smoothing = 0.0f;
  float denominator = 1.0f;
  PixelLayout layout;
  Target target = Target::kOfTheLoss;
  bool root = false;      // without u
  bool in_place = false;  // fu is u
};

FisherProblem random_fisher_problem(int pixels, int classes, unsigned seed) {
  FisherProblem p;
  p.pixels = pixels;
  p.classes = classes;
  const auto size = static_cast<std::size_t>(pixels) * static_cast<std::size_t>(classes);
  p.x = uniform_floats(size, seed);
  for (float& value : p.x) value *= 6.0f;
  p.u = uniform_floats(size, seed + 1);
  std::mt19937 engine(seed + 2);
  for (int i = 0; i < pixels; ++i) {
    const unsigned kind = engine() % 20;
    const auto any = static_cast<std::int32_t>(engine() % static_cast<unsigned>(classes));
    p.labels.push_back(kind == 0 ? kIgnoreLabel : kind == 1 ? classes : any);
    p.sampled.push_back(static_cast<std::int32_t>(engine() % static_cast<unsigned>(classes)));
  }
  p.denominator = 0.7f * static_cast<float>(pixels);
  return p;
}

class LossFisherKernels : public PixelTest {
 protected:
  std::vector<float> run(const FisherProblem& problem) const {
    const auto x = upload_pixels(problem.x, problem.classes, problem.layout);
    const auto u = upload_pixels(problem.u, problem.classes, problem.layout);
    const auto fu = output_pixels(problem.u.size(), problem.classes, problem.layout);
    auto labels = upload(problem.labels), sampled = upload(problem.sampled);
    auto weights = upload(problem.weights);
    auto denominator = upload(std::vector<float>{problem.denominator});
    SoftmaxCrossEntropyFisher p;
    p.at.pixels = problem.pixels;
    p.at.classes = problem.classes;
    p.at.x = x.get();
    p.at.labels = labels.get();
    p.at.class_weights = problem.weights.empty() ? nullptr : weights.get();
    p.at.label_smoothing = problem.smoothing;
    p.at.denominator = denominator.get();
    p.sampled = problem.target == Target::kSampled ? sampled.get() : nullptr;
    p.u = problem.root ? nullptr : u.get();
    p.fu = problem.in_place ? u.get() : fu.get();
    p.at.ldx = p.ldu = p.ld_fu = x.ld();
    kernels().softmax_cross_entropy_fisher(stream(), p);
    return download_pixels(problem.in_place ? u : fu);
  }

  void expect_reference(const FisherProblem& p) const {
    const std::vector<double> u = as_double(p.u);
    const auto expected = reference::cross_entropy_fisher(
        {p.classes, as_double(p.weights), p.smoothing}, as_double(p.x), p.labels,
        p.target == Target::kSampled ? &p.sampled : nullptr, p.root ? nullptr : &u, p.denominator);
    std::vector<double> bound = expected.uncertainty;
    for (double& b : bound) b = 2.0 * kEpsilon * b + std::numeric_limits<float>::denorm_min();
    expect_within(run(p), expected.value, bound);
  }

  void expect_mean_squared_error(PixelLayout layout) const {
    const std::vector<float> x = {1, -2, 0.5f, 3, 8, -4}, dense = {1, 2, -1, 1, 5, 5};
    for (const float denominator : {4.0f, 0.0f}) {
      const auto device_x = upload_pixels(x, 2, layout), u = upload_pixels(dense, 2, layout);
      const auto fu = output_pixels(dense.size(), 2, layout);
      auto d = upload(std::vector<float>{denominator});
      auto labels = upload(std::vector<std::int32_t>{1, 0, 2});  // the last has no class
      kernels().mean_squared_error_fisher(
          stream(), {3, 2, device_x.get(), device_x.ld(), labels.get(), d.get(), u.get(), u.ld(),
                     fu.get(), fu.ld()});
      // x − t = (1, −3), (−½, 3); products with u are −5 and 3½.
      std::vector<float> expected = {-5, 15, -1.75f, 10.5f, 0, 0};
      for (float& value : expected) value *= denominator == 0.0f ? 0.0f : 1.0f;
      EXPECT_EQ(download_pixels(fu), expected);
    }
  }

  std::vector<float> squares(int channels, const std::vector<float>& x, const Labels& labels,
                             const std::vector<float>& dense, float denominator, PixelLayout layout,
                             bool own_place) const {
    const auto device_x = upload_pixels(x, channels, layout);
    const auto u = upload_pixels(dense, channels, layout);
    const auto fu = output_pixels(dense.size(), channels, layout);
    const auto device_labels = upload(labels);
    const auto d = upload(std::vector<float>{denominator});
    const PixelBuffer& to = own_place ? u : fu;
    kernels().mean_squared_error_fisher(stream(),
                                        {.pixels = static_cast<std::int64_t>(labels.size()),
                                         .channels = channels,
                                         .x = device_x.get(),
                                         .ldx = device_x.ld(),
                                         .labels = device_labels.get(),
                                         .denominator = d.get(),
                                         .u = u.get(),
                                         .ldu = u.ld(),
                                         .fu = to.get(),
                                         .ld_fu = to.ld()});
    return download_pixels(to);
  }
};

struct SquaresFisher {
  std::vector<double> value, bound;
};
/// g (gᵀu) / D pixel by pixel, g = 2 (x − t); every term of gᵀu may be rounded as often as there
/// are channels, in either direction.
SquaresFisher squares_fisher(int channels, const std::vector<float>& x, const Labels& labels,
                             const std::vector<float>& u, double denominator) {
  SquaresFisher result;
  const auto c = static_cast<std::size_t>(channels);
  for (std::size_t pixel = 0; pixel < labels.size(); ++pixel) {
    const std::int32_t label = labels[pixel];
    const bool counts = label >= 0 && label < channels;
    const auto error = [&](std::size_t i) {
      return double(x[pixel * c + i]) - (static_cast<int>(i) == label ? 1.0 : 0.0);
    };
    double product = 0.0, size = 0.0;
    for (std::size_t i = 0; i < c && counts; ++i) {
      product += error(i) * u[pixel * c + i];
      size += std::fabs(error(i) * u[pixel * c + i]);
    }
    for (std::size_t i = 0; i < c; ++i) {
      const double factor = counts ? 4.0 * error(i) / denominator : 0.0;
      result.value.push_back(factor * product);
      result.bound.push_back((2.0 + std::sqrt(channels)) * kEpsilon * std::fabs(factor) * size);
    }
  }
  return result;
}

TEST_P(LossFisherKernels, HandWorkedPixels) {
  // p = (½, ½), r = ±(½, −½); the third pixel has no label.
  FisherProblem p;
  p.pixels = 3;
  p.x = {0, 0, 1, 1, -5, NAN};
  p.u = {1, 0, 2, 3, 1, 1};
  p.labels = {0, 1, kIgnoreLabel};
  p.sampled = {1, 1, kIgnoreLabel};
  p.denominator = 2.0f;
  EXPECT_EQ(run(p), (std::vector<float>{0.125f, -0.125f, -0.125f, 0.125f, 0, 0}));
  p.root = true;
  EXPECT_EQ(run(p), (std::vector<float>{-0.25f, 0.25f, 0.25f, -0.25f, 0, 0}));
  p.target = Target::kSampled;
  EXPECT_EQ(run(p), (std::vector<float>{0.25f, -0.25f, 0.25f, -0.25f, 0, 0}));
  p.weights = {1, 4};
  EXPECT_EQ(run(p), (std::vector<float>{0.25f, -0.25f, 0.5f, -0.5f, 0, 0}));
  p.root = false;
  EXPECT_EQ(run(p), (std::vector<float>{0.125f, -0.125f, -0.5f, 0.5f, 0, 0}));
  p.weights = {1, 0};  // a pixel without weight
  EXPECT_EQ(run(p), (std::vector<float>{0.125f, -0.125f, 0, 0, 0, 0}));
  p.denominator = 0.0f;
  EXPECT_EQ(run(p), std::vector<float>(6, 0.0f));
}

TEST_P(LossFisherKernels, AgreeWithTheReferenceAtEveryShape) {
  std::vector<std::pair<int, int>> shapes{{1, 1},  {1, 2},  {3, 2},   {64, 2},  {65, 3}, {129, 12},
                                          {7, 32}, {5, 33}, {3, 150}, {19, 64}, {3, 300}};
  if (!emulated()) shapes.insert(shapes.end(), {{97 * 143, 3}, {4099, 21}, {1000, 151}});
  unsigned seed = 10;
  for (const auto& [pixels, classes] : shapes)
    for (const Target target : {Target::kOfTheLoss, Target::kSampled})
      for (const bool weighted : {false, true})
        for (const float smoothing : {0.0f, 0.1f}) {
          SCOPED_TRACE(std::to_string(pixels) + " pixels, " + std::to_string(classes) + " classes" +
                       (weighted ? ", weighted" : "") + (smoothing > 0.0f ? ", smoothed" : "") +
                       (target == Target::kSampled ? ", sampled" : ""));
          FisherProblem p = random_fisher_problem(pixels, classes, seed += 5);
          if (weighted) {
            p.weights = uniform_floats(static_cast<std::size_t>(classes), seed);
            for (float& weight : p.weights) weight = 1.0f + 0.9f * weight;
          }
          p.smoothing = smoothing;
          p.target = target;
          p.layout = pixel_layouts()[seed % 3];
          p.in_place = seed % 2 == 0;
          expect_reference(p);
          p.root = true;
          p.in_place = false;
          expect_reference(p);
        }
}

TEST_P(LossFisherKernels, TheirMeanOverSampledLabelsIsTheHessian) {
  for (const int classes : {3, 40, 300}) {
    FisherProblem p = random_fisher_problem(31, classes, 900);
    p.target = Target::kSampled;
    p.weights = uniform_floats(static_cast<std::size_t>(classes), 901);
    for (float& weight : p.weights) weight = 1.0f + 0.9f * weight;
    p.smoothing = 0.1f;
    const std::vector<double> x = as_double(p.x), u = as_double(p.u);
    const auto expected = reference::cross_entropy_hessian(
        {classes, as_double(p.weights), p.smoothing}, x, p.labels, u, p.denominator);
    std::vector<double> mean(x.size());
    for (int sampled = 0; sampled < classes; ++sampled) {
      p.sampled.assign(p.sampled.size(), sampled);
      const std::vector<float> product = run(p);
      for (std::size_t i = 0; i < x.size(); ++i) {
        const std::size_t first = i - i % static_cast<std::size_t>(classes);
        double sum = 0.0;
        for (int c = 0; c < classes; ++c) sum += std::exp(x[first + static_cast<std::size_t>(c)]);
        mean[i] += std::exp(x[first + static_cast<std::size_t>(sampled)]) / sum *
                   static_cast<double>(product[i]);
      }
    }
    double size = 0.0;
    for (const double value : expected.value) size = std::max(size, std::fabs(value));
    ASSERT_GT(size, 0.0);
    for (std::size_t i = 0; i < mean.size(); ++i)
      EXPECT_TRUE(std::fabs(mean[i] - expected.value[i]) <= 20 * kEpsilon * size) << i;
  }
}

TEST_P(LossFisherKernels, NothingToDo) {
  FisherProblem p;
  p.classes = 3;
  EXPECT_TRUE(run(p).empty());
}

TEST_P(LossFisherKernels, EveryScheduleGivesTheSameBits) {
  for (const int classes : {3, 70, 300})
    for (const Target target : {Target::kOfTheLoss, Target::kSampled}) {
      SCOPED_TRACE(classes);
      FisherProblem p = random_fisher_problem(emulated() ? 300 : 20'011, classes, 50);
      p.target = target;
      expect_same_on_every_schedule(GetParam(), [&] { return run(p); });
    }
}

TEST_P(LossFisherKernels, OffsetsBeyondTwoToTheThirtyOneElements) {
  CURVSEG_SKIP_WITHOUT_FAR_MEMORY();
  for (const int classes : {3, 50, 300}) {
    FisherProblem p = random_fisher_problem(5, classes, 51);
    const std::vector<float> expected = run(p);
    p.layout = kFarPixels;
    EXPECT_EQ(run(p), expected);
  }
}

TEST_P(LossFisherKernels, MeanSquaredErrorOnEverySchedule) {
  const int pixels = emulated() ? 3'001 : 30'011;
  const auto x = uniform_floats(static_cast<std::size_t>(3 * pixels), 52);
  expect_same_on_every_schedule(GetParam(), [&] {
    const auto u = upload_pixels(x, 3), fu = output_pixels(x.size(), 3);
    auto d = upload(std::vector<float>{4.0f});
    auto labels = upload(Labels(static_cast<std::size_t>(pixels), 1));
    kernels().mean_squared_error_fisher(
        stream(), {pixels, 3, u.get(), 3, labels.get(), d.get(), u.get(), 3, fu.get(), 3});
    return download_pixels(fu);
  });
}

TEST_P(LossFisherKernels, MeanSquaredError) {
  for (const PixelLayout& layout : pixel_layouts()) expect_mean_squared_error(layout);
}

TEST_P(LossFisherKernels, MeanSquaredErrorAtEveryShape) {
  std::vector<std::pair<int, int>> shapes{{0, 3}, {1, 1}, {31, 1}, {7, 3}, {33, 33}, {2, 1000}};
  if (!emulated()) shapes.insert(shapes.end(), {{597 * 43, 3}, {100'003, 1}});
  unsigned seed = 70;
  for (const auto& [pixels, channels] : shapes) {
    SCOPED_TRACE(std::to_string(pixels) + " pixels, " + std::to_string(channels) + " channels");
    const auto n = static_cast<std::size_t>(pixels) * static_cast<std::size_t>(channels);
    Labels labels;
    for (int i = 0; i < pixels; ++i) labels.push_back(i % (channels + 2) - 1);
    for (const PixelLayout& layout : pixel_layouts())
      for (const bool in_place : {false, true}) {
        auto x = small_integers(n, ++seed), u = small_integers(n, ++seed);
        EXPECT_EQ(as_double(squares(channels, x, labels, u, 64.0f, layout, in_place)),
                  squares_fisher(channels, x, labels, u, 64.0).value);
        x = uniform_floats(n, ++seed), u = uniform_floats(n, ++seed);
        const SquaresFisher expected = squares_fisher(channels, x, labels, u, 0.7f);
        expect_within(squares(channels, x, labels, u, 0.7f, layout, in_place), expected.value,
                      expected.bound);
      }
  }
}

TEST_P(LossFisherKernels, MeanSquaredErrorBeyondTwoToTheThirtyOneElements) {
  CURVSEG_SKIP_WITHOUT_FAR_MEMORY();
  expect_mean_squared_error(kFarPixels);
}

TEST_P(LossFisherKernels, MeanSquaredErrorOfMoreThanTwoToTheThirtyOnePixels) {
  if (GetParam() != "host")
    GTEST_SKIP() << "walks 8 GiB that the test maps itself: only where that is quick";
  const std::int64_t n = kBeyondTwoToTheThirtyOne;
  // Labels of 0 stand for a target of 1.
  const SparseMemory x(static_cast<std::size_t>(n) * sizeof(float));
  const SparseMemory labels(static_cast<std::size_t>(n) * sizeof(std::int32_t));
  const RepeatingMemory fu(n);
  if (!x.get() || !labels.get() || !fu.get())
    GTEST_SKIP() << "24 GiB of address space are not to be had here";
  auto* label = reinterpret_cast<std::int32_t*>(labels.get());
  for (const std::int64_t i : {n - 6, n - 2, n - 1}) x.get()[i] = 3.0f;
  label[n - 2] = 1;  // no class
  const auto d = upload(std::vector<float>{2.0f});
  kernels().mean_squared_error_fisher(stream(),
                                      {n, 1, x.get(), 1, label, d.get(), x.get(), 1, fu.get(), 1});
  for (const std::int64_t i : {n - 6, n - 1}) EXPECT_EQ(fu.get()[i], 4 * 2 * 2 * 3 / 2.0f) << i;
  for (const std::int64_t i : {n - 7, n - 5, n - 2}) EXPECT_EQ(fu.get()[i], 0.0f) << i;
}

CURVSEG_INSTANTIATE_TARGETS(LossFisherKernels);

}  // namespace
}  // namespace curvseg::testing
