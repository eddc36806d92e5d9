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
};

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

TEST_P(LossFisherKernels, MeanSquaredErrorBeyondTwoToTheThirtyOneElements) {
  CURVSEG_SKIP_WITHOUT_FAR_MEMORY();
  expect_mean_squared_error(kFarPixels);
}

CURVSEG_INSTANTIATE_TARGETS(LossFisherKernels);

}  // namespace
}  // namespace curvseg::testing
