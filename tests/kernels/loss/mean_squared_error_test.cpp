// Mean squared error against the double reference, on every target.
#include <cmath>
#include <limits>
#include <string>

#include "reference/loss.hpp"
#include "support/random_data.hpp"
#include "support/schedules.hpp"
#include "support/sparse_memory.hpp"
#include "support/targets.hpp"

namespace curvseg::testing {
namespace {

constexpr double kEpsilon = std::numeric_limits<float>::epsilon();

TEST(MeanSquaredErrorReference, AgreesWithHandWorkedElements) {
  const auto loss = reference::mean_squared_error({1.0, -2.0}, {3.0, 1.0}, 2.0);
  EXPECT_EQ(loss.value, 6.5);
  EXPECT_EQ(loss.gradient, (std::vector<double>{-2.0, -3.0}));
}

TEST(MeanSquaredErrorReference, GradientIsTheDerivativeOfTheLoss) {
  const std::vector<double> x{0.3, -1.2, 2.5}, target{1.0, 0.5, 2.0};
  const auto loss = reference::mean_squared_error(x, target, 3.0);
  for (std::size_t i = 0; i < x.size(); ++i) {
    constexpr double kStep = 1e-5;
    auto above = x, below = x;
    above[i] += kStep;
    below[i] -= kStep;
    const double slope = (reference::mean_squared_error(above, target, 3.0).value -
                          reference::mean_squared_error(below, target, 3.0).value) /
                         (2.0 * kStep);
    EXPECT_NEAR(loss.gradient[i], slope, 1e-9) << i;
  }
}

/// Elements behind every pixel of x, of the target and of dx.
struct Gaps {
  int x = 0, target = 0, dx = 0;
};

struct Result {
  float loss = 0.0f;
  std::vector<float> dx;
};

class MeanSquaredErrorKernel : public TargetTest {
 protected:
  Result run(int channels, const std::vector<float>& x, const std::vector<float>& target,
             float denominator, Gaps gaps = {}, const float* old = nullptr,
             bool gradient = true) const {
    const auto c = static_cast<std::size_t>(channels);
    auto device_x = upload(spread(x, channels, gaps.x));
    auto device_target = upload(spread(target, channels, gaps.target));
    auto device_denominator = upload(std::vector<float>{denominator});
    auto loss = old ? upload(std::vector<float>{*old}) : output<float>(1);
    const std::size_t ld_dx = c + static_cast<std::size_t>(gaps.dx);
    auto dx = output<float>(x.size() / c * ld_dx);
    MeanSquaredError p;
    p.pixels = static_cast<std::int64_t>(x.size() / c);
    p.channels = channels;
    p.x = device_x.get();
    p.ldx = channels + gaps.x;
    p.target = device_target.get();
    p.ld_target = channels + gaps.target;
    p.denominator = device_denominator.get();
    p.loss = loss.get();
    p.dx = gradient ? dx.get() : nullptr;
    p.ld_dx = channels + gaps.dx;
    p.accumulate = old != nullptr;
    auto scratch = workspace(kernels().mean_squared_error_workspace(p));
    p.workspace = scratch.get();
    kernels().mean_squared_error(stream(), p);
    Result result;
    result.loss = download(loss)[0];
    const auto all = download(dx);
    for (std::size_t i = 0; gradient && i < all.size(); ++i) {
      if (i % ld_dx < c)
        result.dx.push_back(all[i]);
      else
        EXPECT_TRUE(std::isnan(all[i])) << "a gap between pixels was written";
    }
    return result;
  }

  static std::vector<float> spread(const std::vector<float>& dense, int channels, int gap) {
    const auto c = static_cast<std::size_t>(channels), ld = c + static_cast<std::size_t>(gap);
    std::vector<float> all(dense.size() / c * ld, NAN);
    for (std::size_t i = 0; i < dense.size(); ++i) all[i / c * ld + i % c] = dense[i];
    return all;
  }
};

TEST_P(MeanSquaredErrorKernel, HandWorkedElements) {
  const Result result = run(2, {1, -2, 4, 0}, {3, 1, 4, 0.5f}, 4.0f);
  EXPECT_EQ(result.loss, 13.25f / 4.0f);
  EXPECT_EQ(result.dx, (std::vector<float>{-1.0f, -1.5f, 0.0f, -0.25f}));
}

TEST_P(MeanSquaredErrorKernel, AgreesWithTheReferenceAtEveryShape) {
  std::vector<std::pair<int, int>> shapes{{1, 1}, {31, 1}, {7, 3}, {33, 33}, {2, 1000}};
  if (!emulated()) shapes.insert(shapes.end(), {{597 * 43, 3}, {100'003, 1}});
  unsigned seed = 40;
  for (const auto& [pixels, channels] : shapes)
    for (const Gaps gaps :
         {Gaps{0, 0, 0}, Gaps{3, 0, 0}, Gaps{0, 2, 0}, Gaps{0, 0, 1}, Gaps{1, 2, 3}}) {
      SCOPED_TRACE(std::to_string(pixels) + " pixels, " + std::to_string(channels) + " channels");
      const auto n = static_cast<std::size_t>(pixels) * static_cast<std::size_t>(channels);
      const auto x = uniform_floats(n, ++seed), target = uniform_floats(n, ++seed);
      const auto denominator = static_cast<float>(n);
      const auto expected = reference::mean_squared_error(
          {x.begin(), x.end()}, {target.begin(), target.end()}, denominator);
      const Result actual = run(channels, x, target, denominator, gaps);
      EXPECT_TRUE(std::fabs(actual.loss - expected.value) <= 2.0 * kEpsilon * expected.uncertainty)
          << actual.loss << ", expected " << expected.value;
      std::vector<double> bound = expected.gradient_uncertainty;
      for (double& b : bound) b *= 2.0 * kEpsilon;
      expect_within(actual.dx, expected.gradient, bound);
      EXPECT_EQ(run(channels, x, target, denominator, gaps, nullptr, false).loss, actual.loss);
    }
}

TEST_P(MeanSquaredErrorKernel, LabelsStandForOneHotTargets) {
  constexpr int kChannels = 3, kGap = 2;
  constexpr std::size_t kPixels = 211;
  const auto x = uniform_floats(kPixels * kChannels, 60);
  std::vector<std::int32_t> labels(kPixels);
  std::vector<float> gated = x, target(x.size(), 0.0f);
  for (std::size_t i = 0; i < kPixels; ++i) {
    labels[i] = static_cast<std::int32_t>(i * 7 % 5) - 1;  // −1 and 3 are no class
    const bool counts = labels[i] >= 0 && labels[i] < kChannels;
    if (counts) target[i * kChannels + static_cast<std::size_t>(labels[i])] = 1.0f;
    for (std::size_t c = 0; c < kChannels && !counts; ++c) gated[i * kChannels + c] = 0.0f;
  }
  const Result expected = run(kChannels, gated, target, 17.0f);

  auto device_x = upload(spread(x, kChannels, kGap));
  auto device_labels = upload(labels);
  auto denominator = upload(std::vector<float>{17.0f});
  auto loss = output<float>(1);
  auto dx = output<float>(x.size());
  MeanSquaredError p;
  p.pixels = kPixels;
  p.channels = kChannels;
  p.x = device_x.get();
  p.ldx = kChannels + kGap;
  p.labels = device_labels.get();
  p.denominator = denominator.get();
  p.loss = loss.get();
  p.dx = dx.get();
  p.ld_dx = kChannels;
  auto scratch = workspace(kernels().mean_squared_error_workspace(p));
  p.workspace = scratch.get();
  kernels().mean_squared_error(stream(), p);
  EXPECT_EQ(download(loss)[0], expected.loss);
  EXPECT_EQ(download(dx), expected.dx);
}

TEST_P(MeanSquaredErrorKernel, EmptyAccumulatedAndNotFinite) {
  const float old = 1.5f;
  EXPECT_EQ(run(2, {}, {}, 0.0f).loss, 0.0f);
  EXPECT_EQ(run(2, {}, {}, 0.0f, {}, &old).loss, 1.5f);
  const Result nothing = run(2, {1, NAN}, {0, 0}, 0.0f);
  EXPECT_EQ(nothing.loss, 0.0f);
  EXPECT_EQ(nothing.dx, (std::vector<float>{0.0f, 0.0f}));
  EXPECT_TRUE(std::isnan(run(2, {1, NAN}, {0, 0}, 2.0f).loss));

  const auto x = small_integers(600, 50), target = small_integers(600, 51);
  const float whole = run(3, x, target, 64.0f).loss;
  const float first =
      run(3, {x.begin(), x.begin() + 300}, {target.begin(), target.begin() + 300}, 64.0f, {}, &old)
          .loss;
  const float both =
      run(3, {x.begin() + 300, x.end()}, {target.begin() + 300, target.end()}, 64.0f, {}, &first)
          .loss;
  EXPECT_EQ(both, whole + 1.5f);  // integers over a power of two: exact
}

TEST_P(MeanSquaredErrorKernel, EveryScheduleGivesTheSameBits) {
  const std::size_t n = emulated() ? 40'003 : 100'003;  // several blocks
  const auto x = uniform_floats(n, 52), target = uniform_floats(n, 53);
  expect_same_on_every_schedule(GetParam(), [&] {
    Result result = run(1, x, target, 3.0f);
    result.dx.push_back(result.loss);
    return result.dx;
  });
}

TEST_P(MeanSquaredErrorKernel, OffsetsBeyondTwoToTheThirtyOneElements) {
  if (GetParam().rfind("host", 0) != 0)
    GTEST_SKIP() << "needs memory that the test maps itself, which only the host target reads";
  const std::int64_t ld = std::int64_t{1} << 30;
  const std::size_t bytes = static_cast<std::size_t>(3 * ld) * sizeof(float);
  const SparseMemory x(bytes), dx(bytes);
  if (!x.get() || !dx.get()) GTEST_SKIP() << "24 GiB of address space are not to be had here";
  for (std::int64_t i = 0; i < 6; ++i) x.get()[i / 2 * ld + i % 2] = static_cast<float>(i);
  auto target = upload(std::vector<float>{1, 1, 1, 1, 1, 1});
  auto denominator = upload(std::vector<float>{2.0f});
  auto loss = output<float>(1);
  MeanSquaredError p;
  p.pixels = 3;
  p.channels = 2;
  p.x = x.get();
  p.ldx = ld;
  p.target = target.get();
  p.ld_target = 2;
  p.denominator = denominator.get();
  p.loss = loss.get();
  p.dx = dx.get();
  p.ld_dx = ld;
  auto scratch = workspace(kernels().mean_squared_error_workspace(p));
  p.workspace = scratch.get();
  kernels().mean_squared_error(stream(), p);
  EXPECT_EQ(download(loss)[0], 31.0f / 2.0f);
  for (std::int64_t i = 0; i < 6; ++i)
    EXPECT_EQ(dx.get()[i / 2 * ld + i % 2], static_cast<float>(i) - 1.0f);
}

CURVSEG_INSTANTIATE_TARGETS(MeanSquaredErrorKernel);

}  // namespace
}  // namespace curvseg::testing
