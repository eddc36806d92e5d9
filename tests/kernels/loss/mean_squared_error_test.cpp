// Mean squared error against the double reference, on every target.
#include <cmath>
#include <limits>
#include <string>

#include "reference/loss.hpp"
#include "support/pixels.hpp"
#include "support/random_data.hpp"
#include "support/rounding.hpp"
#include "support/schedules.hpp"
#include "support/sparse_memory.hpp"

namespace curvseg::testing {
namespace {

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

struct Layouts {
  PixelLayout x, target, dx;
};

struct SquaresResult {
  float loss = 0.0f;
  std::vector<float> dx;
};

class MeanSquaredErrorKernel : public PixelTest {
 protected:
  SquaresResult run(int channels, const std::vector<float>& x, const std::vector<float>& target,
                    float denominator, Layouts layouts = {}, const float* old = nullptr,
                    bool gradient = true) const {
    const auto device_x = upload_pixels(x, channels, layouts.x);
    const auto device_target = upload_pixels(target, channels, layouts.target);
    auto device_denominator = upload(std::vector<float>{denominator});
    auto loss = old ? upload(std::vector<float>{*old}) : output<float>(1);
    const auto dx = output_pixels(x.size(), channels, layouts.dx);
    MeanSquaredError p;
    p.pixels = static_cast<std::int64_t>(x.size()) / channels;
    p.channels = channels;
    p.x = device_x.get();
    p.ldx = device_x.ld();
    p.target = device_target.get();
    p.ld_target = device_target.ld();
    p.denominator = device_denominator.get();
    p.loss = loss.get();
    p.dx = gradient ? dx.get() : nullptr;
    p.ld_dx = dx.ld();
    p.accumulate = old != nullptr;
    auto scratch = workspace(kernels().mean_squared_error_workspace(p));
    p.workspace = scratch.get();
    kernels().mean_squared_error(stream(), p);
    SquaresResult result;
    result.loss = download(loss)[0];
    if (gradient) result.dx = download_pixels(dx);
    return result;
  }
};

TEST_P(MeanSquaredErrorKernel, HandWorkedElements) {
  const SquaresResult result = run(2, {1, -2, 4, 0}, {3, 1, 4, 0.5f}, 4.0f);
  EXPECT_EQ(result.loss, 13.25f / 4.0f);
  EXPECT_EQ(result.dx, (std::vector<float>{-1.0f, -1.5f, 0.0f, -0.25f}));
}

TEST_P(MeanSquaredErrorKernel, AgreesWithTheReferenceAtEveryShape) {
  std::vector<std::pair<int, int>> shapes{{1, 1}, {31, 1}, {7, 3}, {33, 33}, {2, 1000}};
  if (!emulated()) shapes.insert(shapes.end(), {{597 * 43, 3}, {100'003, 1}});
  unsigned seed = 40;
  for (const auto& [pixels, channels] : shapes)
    for (const Layouts& layouts : std::initializer_list<Layouts>{
             {}, {{3}, {}, {}}, {{}, {2, 1}, {}}, {{}, {}, {1}}, {{8, 4}, {2}, {3, 1}}}) {
      SCOPED_TRACE(std::to_string(pixels) + " pixels, " + std::to_string(channels) + " channels");
      const auto n = static_cast<std::size_t>(pixels) * static_cast<std::size_t>(channels);
      const auto x = uniform_floats(n, ++seed), target = uniform_floats(n, ++seed);
      const auto denominator = static_cast<float>(n);
      const auto expected = reference::mean_squared_error(
          {x.begin(), x.end()}, {target.begin(), target.end()}, denominator);
      const SquaresResult actual = run(channels, x, target, denominator, layouts);
      EXPECT_TRUE(std::fabs(actual.loss - expected.value) <= 2.0 * kEpsilon * expected.uncertainty)
          << actual.loss << ", expected " << expected.value;
      std::vector<double> bound = expected.gradient_uncertainty;
      for (double& b : bound) b *= 2.0 * kEpsilon;
      expect_within(actual.dx, expected.gradient, bound);
      EXPECT_EQ(run(channels, x, target, denominator, layouts, nullptr, false).loss, actual.loss);
    }
}

TEST_P(MeanSquaredErrorKernel, LabelsStandForOneHotTargets) {
  constexpr int kChannels = 3;
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
  const SquaresResult expected = run(kChannels, gated, target, 17.0f);

  const auto device_x = upload_pixels(x, kChannels, {2, 0});
  auto device_labels = upload(labels);
  auto denominator = upload(std::vector<float>{17.0f});
  auto loss = output<float>(1);
  auto dx = output<float>(x.size());
  MeanSquaredError p;
  p.pixels = kPixels;
  p.channels = kChannels;
  p.x = device_x.get();
  p.ldx = device_x.ld();
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
  const SquaresResult nothing = run(2, {1, NAN}, {0, 0}, 0.0f);
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
    SquaresResult result = run(1, x, target, 3.0f);
    result.dx.push_back(result.loss);
    return result.dx;
  });
}

TEST_P(MeanSquaredErrorKernel, OffsetsBeyondTwoToTheThirtyOneElements) {
  CURVSEG_SKIP_WITHOUT_FAR_MEMORY();
  const auto x = uniform_floats(9, 54), target = uniform_floats(9, 55);
  const SquaresResult expected = run(3, x, target, 4.0f);
  const SquaresResult actual = run(3, x, target, 4.0f, {kFarPixels, kFarPixels, kFarPixels});
  EXPECT_EQ(actual.loss, expected.loss);
  EXPECT_EQ(actual.dx, expected.dx);
}

TEST_P(MeanSquaredErrorKernel, MoreThanTwoToTheThirtyOnePixels) {
  if (GetParam() != "host")
    GTEST_SKIP() << "walks 8 GiB that the test maps itself: only where that is quick";
  const std::int64_t n = kBeyondTwoToTheThirtyOne;
  const SparseMemory x(static_cast<std::size_t>(n) * sizeof(float));
  const SparseMemory target(static_cast<std::size_t>(n) * sizeof(float));
  const RepeatingMemory dx(n);
  if (!x.get() || !target.get() || !dx.get())
    GTEST_SKIP() << "24 GiB of address space are not to be had here";
  for (const std::int64_t i : {n - 6, n - 1}) x.get()[i] = 5.0f, target.get()[i] = 2.0f;
  const auto denominator = upload(std::vector<float>{2.0f});
  const auto loss = output<float>(1);
  MeanSquaredError p;
  p.pixels = n;
  p.channels = 1;
  p.x = x.get();
  p.target = target.get();
  p.dx = dx.get();
  p.ldx = p.ld_target = p.ld_dx = 1;
  p.denominator = denominator.get();
  p.loss = loss.get();
  const auto scratch = workspace(kernels().mean_squared_error_workspace(p));
  p.workspace = scratch.get();
  kernels().mean_squared_error(stream(), p);
  EXPECT_EQ(download(loss)[0], 9.0f);
  for (const std::int64_t i : {n - 6, n - 1}) EXPECT_EQ(dx.get()[i], 3.0f) << i;
  for (const std::int64_t i : {n - 7, n - 5, n - 2}) EXPECT_EQ(dx.get()[i], 0.0f) << i;
}

CURVSEG_INSTANTIATE_TARGETS(MeanSquaredErrorKernel);

}  // namespace
}  // namespace curvseg::testing
