// Labels drawn from a softmax: against their definition, by their frequencies, and the same on
// every target.
#include <cmath>
#include <limits>
#include <string>

#include "curvseg/labels.hpp"
#include "reference/philox.hpp"
#include "support/pixels.hpp"
#include "support/random_data.hpp"
#include "support/schedules.hpp"

namespace curvseg::testing {
namespace {

using Labels = std::vector<std::int32_t>;

struct SampleProblem {
  int classes = 2;
  std::vector<float> x;  // dense
  Labels labels;
  unsigned long long seed = 1;
  std::uint64_t stream = 0;
  PixelLayout layout;
};

SampleProblem random_sample_problem(int pixels, int classes, unsigned seed) {
  SampleProblem p;
  p.classes = classes;
  p.x = uniform_floats(static_cast<std::size_t>(pixels) * static_cast<std::size_t>(classes), seed);
  for (float& value : p.x) value *= 4.0f;
  std::mt19937 engine(seed + 2);
  for (int i = 0; i < pixels; ++i) {
    const unsigned kind = engine() % 20;
    const auto any = static_cast<std::int32_t>(engine() % static_cast<unsigned>(classes));
    p.labels.push_back(kind == 0 ? kIgnoreLabel : kind == 1 ? classes : any);
  }
  p.seed = 0x123456789ABCDEFull + seed;
  p.stream = (std::uint64_t{1} << 63) + seed;
  return p;
}

/// The same logits and the label 0 at every pixel.
SampleProblem repeated(const std::vector<float>& logits, int pixels) {
  SampleProblem p;
  p.classes = static_cast<int>(logits.size());
  p.labels.assign(static_cast<std::size_t>(pixels), 0);
  for (int i = 0; i < pixels; ++i) p.x.insert(p.x.end(), logits.begin(), logits.end());
  return p;
}

class SampleLabelsKernels : public PixelTest {
 protected:
  Labels run(const SampleProblem& problem) const {
    const auto x = upload_pixels(problem.x, problem.classes, problem.layout);
    auto labels = upload(problem.labels);
    auto seed = upload(std::vector<unsigned long long>{problem.seed});
    auto sampled = output<std::int32_t>(problem.labels.size());
    SampleLabels p;
    p.at.pixels = static_cast<std::int64_t>(problem.labels.size());
    p.at.classes = problem.classes;
    p.at.x = x.get();
    p.at.ldx = x.ld();
    p.at.labels = labels.get();
    p.seed = seed.get();
    p.stream = problem.stream;
    p.sampled = sampled.get();
    kernels().sample_labels(stream(), p);
    return download(sampled);
  }

  std::vector<int> counts(const SampleProblem& p) const {
    std::vector<int> result(static_cast<std::size_t>(p.classes));
    for (const std::int32_t label : run(p)) ++result.at(static_cast<std::size_t>(label));
    return result;
  }
};

/// Σ_{k<c} p_k ≤ u ≤ Σ_{k≤c} p_k, up to the rounding of float32.
void expect_is_the_class_of_u(const SampleProblem& p, const Labels& sampled) {
  const auto classes = static_cast<std::size_t>(p.classes);
  for (std::size_t pixel = 0; pixel < sampled.size(); ++pixel) {
    const std::int32_t label = p.labels[pixel], drawn = sampled[pixel];
    if (label < 0 || label >= p.classes) {
      EXPECT_EQ(drawn, kIgnoreLabel) << pixel;
      continue;
    }
    ASSERT_TRUE(drawn >= 0 && drawn < p.classes) << pixel << ": " << drawn;
    const std::uint32_t word = reference::random_word(p.seed, p.stream, 4 * pixel);
    const double u = (word >> 9) / 8388608.0;
    double all = 0.0, below = 0.0, upto = 0.0;
    for (std::size_t c = 0; c < classes; ++c) {
      const double e = std::exp(static_cast<double>(p.x[pixel * classes + c]));
      all += e;
      if (c < static_cast<std::size_t>(drawn)) below += e;
      if (c <= static_cast<std::size_t>(drawn)) upto += e;
    }
    const double error = 1e-6 * std::sqrt(static_cast<double>(p.classes));
    EXPECT_TRUE(below / all - error <= u && u <= upto / all + error)
        << "pixel " << pixel << ": class " << drawn << " of " << below / all << " to " << upto / all
        << ", u is " << u;
  }
}

TEST_P(SampleLabelsKernels, DrawTheClassOfTheirRandomNumber) {
  std::vector<std::pair<int, int>> shapes{{1, 1},  {1, 2},  {3, 2},   {64, 2},  {65, 3}, {129, 12},
                                          {7, 32}, {5, 33}, {3, 150}, {19, 64}, {3, 300}};
  if (!emulated()) shapes.insert(shapes.end(), {{97 * 143, 3}, {4099, 21}, {1000, 151}});
  unsigned seed = 10;
  for (const auto& [pixels, classes] : shapes)
    for (const PixelLayout& layout : pixel_layouts()) {
      SCOPED_TRACE(std::to_string(pixels) + " pixels, " + std::to_string(classes) + " classes, " +
                   name_of(layout));
      SampleProblem p = random_sample_problem(pixels, classes, seed += 5);
      p.layout = layout;
      expect_is_the_class_of_u(p, run(p));
    }
}

TEST_P(SampleLabelsKernels, OffsetsBeyondTwoToTheThirtyOneElements) {
  CURVSEG_SKIP_WITHOUT_FAR_MEMORY();
  for (const int classes : {3, 50, 300}) {
    SampleProblem p = random_sample_problem(5, classes, 9);
    const Labels expected = run(p);
    p.layout = kFarPixels;
    EXPECT_EQ(run(p), expected);
  }
}

TEST_P(SampleLabelsKernels, HaveTheFrequenciesOfTheSoftmax) {
  const int n = emulated() ? 2000 : 40000;
  const std::vector<float> logits = {0.0f, 1.0f, -1.5f, 0.25f};
  std::vector<float> many(40, -2.0f);
  many[7] = 2.0f, many[33] = 2.5f;
  for (const std::vector<float>& x : {logits, many}) {
    const std::vector<int> count = counts(repeated(x, n));
    double all = 0.0;
    for (const float value : x) all += std::exp(static_cast<double>(value));
    for (std::size_t c = 0; c < x.size(); ++c) {
      const double p = std::exp(static_cast<double>(x[c])) / all;
      // Five standard deviations: the seed is fixed, so this passes always or never.
      EXPECT_TRUE(std::fabs(count[c] - n * p) <= 5.0 * std::sqrt(n * p * (1.0 - p)))
          << "class " << c << ": " << count[c] << " of " << n << ", p = " << p;
    }
  }
}

TEST_P(SampleLabelsKernels, NeverDrawAClassOfProbabilityZero) {
  const float minus = -std::numeric_limits<float>::infinity();
  std::vector<float> few = {minus, -3.0f, minus, 2.0f, -200.0f, minus};
  std::vector<float> many(50, minus);
  many[3] = 1.0f, many[44] = 1.0f;
  for (const std::vector<float>& x : {few, many}) {
    const std::vector<int> count = counts(repeated(x, emulated() ? 500 : 20000));
    for (std::size_t c = 0; c < x.size(); ++c)
      EXPECT_EQ(count[c] > 0, x[c] > -100.0f) << "class " << c << ": " << count[c];
  }
}

TEST_P(SampleLabelsKernels, SeedsAndStreamsAreIndependent) {
  const int n = emulated() ? 1000 : 20000;
  SampleProblem p = repeated({0.0f, 0.0f}, n);
  const Labels first = run(p);
  EXPECT_EQ(run(p), first);
  const auto agree = [&](const Labels& other) {
    int equal = 0;
    for (std::size_t i = 0; i < first.size(); ++i) equal += first[i] == other[i];
    EXPECT_TRUE(std::fabs(equal - 0.5 * n) <= 2.5 * std::sqrt(n)) << equal << " of " << n;
  };
  p.seed = 2;
  agree(run(p));
  p.seed = 1ull << 32;
  agree(run(p));
  p.seed = 1;
  for (const std::uint64_t other : {std::uint64_t{1}, std::uint64_t{1} << 63}) {
    p.stream = other;
    agree(run(p));
  }
}

TEST_P(SampleLabelsKernels, TheSameOnEveryTargetAndSchedule) {
  for (const int classes : {5, 37, 300}) {
    // Several blocks, where that is not dear.
    const int pixels = emulated() || classes == 300 ? 300 : 3'001;
    SampleProblem p = random_sample_problem(pixels, classes, 77);
    const Labels labels = run(p);
    const Kernels& host = *testing::target("host").kernels;
    Labels expected(labels.size());
    SampleLabels f;
    f.at.pixels = pixels;
    f.at.classes = classes;
    f.at.x = p.x.data();
    f.at.ldx = classes;
    f.at.labels = p.labels.data();
    f.seed = &p.seed;
    f.stream = p.stream;
    f.sampled = expected.data();
    host.sample_labels(nullptr, f);
    EXPECT_EQ(labels, expected);
    expect_same_on_every_schedule(GetParam(), [&] { return run(p); });
  }
}

TEST_P(SampleLabelsKernels, LogitsThatAreNotFiniteGiveSomeClass) {
  for (const int classes : {3, 40, 300}) {
    SampleProblem p = random_sample_problem(20, classes, 5);
    for (std::size_t i = 0; i < p.x.size(); i += 7) p.x[i] = NAN;
    p.x[1] = std::numeric_limits<float>::infinity();
    for (std::int32_t& label : p.labels) label = 0;
    for (const std::int32_t label : run(p)) EXPECT_TRUE(label >= 0 && label < classes);
  }
}

TEST_P(SampleLabelsKernels, NothingToDo) {
  SampleProblem p;
  EXPECT_TRUE(run(p).empty());
}

CURVSEG_INSTANTIATE_TARGETS(SampleLabelsKernels);

}  // namespace
}  // namespace curvseg::testing
