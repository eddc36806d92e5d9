// Inner products and linear combinations of flat vectors, on every target.
#include <cmath>
#include <string>
#include <utility>

#include "reference/vector.hpp"
#include "support/random_data.hpp"
#include "support/rounding.hpp"
#include "support/schedules.hpp"
#include "support/sparse_memory.hpp"
#include "support/targets.hpp"

namespace curvseg::testing {
namespace {

using Vectors = std::vector<std::vector<float>>;

// ---- inner products ----------------------------------------------------------------------------

class DotProductsKernel : public TargetTest {
 protected:
  /// Products of the vectors with these numbers.
  std::vector<float> dots(const Vectors& vectors,
                          const std::vector<std::pair<int, int>>& pairs) const {
    std::vector<DeviceBuffer<float>> device;
    for (const auto& v : vectors) device.push_back(upload(v));
    auto result = output<float>(pairs.size());
    DotProducts p;
    p.count = static_cast<int>(pairs.size());
    p.n = static_cast<std::int64_t>(vectors[0].size());
    for (std::size_t j = 0; j < pairs.size(); ++j) {
      p.x[j] = device[static_cast<std::size_t>(pairs[j].first)].get();
      p.y[j] = device[static_cast<std::size_t>(pairs[j].second)].get();
    }
    p.result = result.get();
    auto scratch = workspace(kernels().dot_products_workspace(p));
    p.workspace = scratch.get();
    kernels().dot_products(stream(), p);
    return download(result);
  }

  static constexpr std::size_t kSizes[] = {1, 3, 31, 33, 1000, 16'384, 16'385, 40'003, 1'000'003};
  bool too_long(std::size_t n) const { return emulated() && n > 50'000; }
};

const std::vector<std::pair<int, int>> kSixPairs = {{0, 1}, {0, 0}, {1, 2}, {2, 0}, {2, 2}, {1, 1}};

TEST_P(DotProductsKernel, WholeNumbersOfEverySizeAndCount) {
  for (const std::size_t n : kSizes) {
    if (too_long(n)) continue;
    const Vectors vectors = {small_integers(n, 1), small_integers(n, 2), small_integers(n, 3)};
    for (std::size_t count = 1; count <= kSixPairs.size(); ++count) {
      const std::vector<std::pair<int, int>> pairs(kSixPairs.begin(),
                                                   kSixPairs.begin() + std::ptrdiff_t(count));
      const std::vector<float> actual = dots(vectors, pairs);
      for (std::size_t j = 0; j < count; ++j) {
        const auto expected = reference::dot(vectors[static_cast<std::size_t>(pairs[j].first)],
                                             vectors[static_cast<std::size_t>(pairs[j].second)]);
        EXPECT_EQ(static_cast<double>(actual[j]), expected.value) << n << ", product " << j;
      }
    }
  }
}

TEST_P(DotProductsKernel, RandomDataWithinRoundingOfTheResult) {
  for (const std::size_t n : kSizes) {
    if (too_long(n)) continue;
    const Vectors vectors = {uniform_floats(n, 4), uniform_floats(n, 5), uniform_floats(n, 6)};
    const std::vector<float> actual = dots(vectors, kSixPairs);
    for (std::size_t j = 0; j < kSixPairs.size(); ++j) {
      const auto expected = reference::dot(vectors[static_cast<std::size_t>(kSixPairs[j].first)],
                                           vectors[static_cast<std::size_t>(kSixPairs[j].second)]);
      EXPECT_TRUE(std::fabs(actual[j] - expected.value) <= kEpsilon * expected.size)
          << n << ", product " << j << " is " << actual[j] << ", expected " << expected.value;
    }
  }
}

// A sum in float would stop growing at 2^24, and lose every term of 2^-20 beside 2^4 much earlier.
TEST_P(DotProductsKernel, LongSumsKeepSmallTerms) {
  if (emulated()) GTEST_SKIP() << "ten million elements are too many for the emulated target";
  const std::size_t n = 10'000'000;
  std::vector<float> x(n, 1.0f), y(n, 1.0f), small(n, 0x1p-10f);
  small[0] = 4.0f;
  const std::vector<float> actual = dots({x, y, small}, {{0, 1}, {2, 2}});
  EXPECT_EQ(actual[0], 1e7f);
  const double expected = 16.0 + static_cast<double>(n - 1) * 0x1p-20;
  EXPECT_TRUE(std::fabs(actual[1] - expected) <= kEpsilon * expected) << actual[1];
}

TEST_P(DotProductsKernel, NothingToAdd) {
  EXPECT_EQ(dots({{}, {}}, {{0, 1}, {1, 1}}), (std::vector<float>{0.0f, 0.0f}));
  EXPECT_EQ(dots({{1.0f}}, {}), std::vector<float>{});
}

TEST_P(DotProductsKernel, NanStaysInItsProduct) {
  const std::vector<float> actual = dots({{1.0f, 2.0f}, {3.0f, NAN}}, {{0, 0}, {0, 1}, {1, 1}});
  EXPECT_EQ(actual[0], 5.0f);
  EXPECT_TRUE(std::isnan(actual[1]));
  EXPECT_TRUE(std::isnan(actual[2]));
}

TEST_P(DotProductsKernel, EveryScheduleGivesTheSameBits) {
  const std::size_t n = emulated() ? 40'003 : 300'007;
  const Vectors vectors = {uniform_floats(n, 7), uniform_floats(n, 8), uniform_floats(n, 9)};
  expect_same_on_every_schedule(GetParam(), [&] { return dots(vectors, kSixPairs); });
}

TEST_P(DotProductsKernel, MoreThanTwoToTheThirtyOneElements) {
  if (GetParam() != "host")
    GTEST_SKIP() << "reads 8 GiB that the test maps itself: only where that is quick";
  const std::int64_t n = kBeyondTwoToTheThirtyOne;
  const SparseMemory x(static_cast<std::size_t>(n) * sizeof(float));
  if (!x.get()) GTEST_SKIP() << "8 GiB of address space are not to be had here";
  for (const std::int64_t i : {std::int64_t{0}, n - 6, n - 1}) x.get()[i] = 2.0f;
  auto result = output<float>(1);
  DotProducts p;
  p.count = 1;
  p.n = n;
  p.x[0] = p.y[0] = x.get();
  p.result = result.get();
  auto scratch = workspace(kernels().dot_products_workspace(p));
  p.workspace = scratch.get();
  kernels().dot_products(stream(), p);
  EXPECT_EQ(download(result)[0], 12.0f);
}

CURVSEG_INSTANTIATE_TARGETS(DotProductsKernel);

// ---- linear combinations -----------------------------------------------------------------------

class LinearCombinationKernel : public TargetTest {
 protected:
  /// Coefficient j is given where `coefficients` has an entry for it. With `in_place` ≥ 0 the
  /// result lies on that vector. Every vector begins `shift` floats into its memory.
  std::vector<float> combine(const Vectors& x, const std::vector<float>& scales,
                             const std::vector<float>& coefficients, int in_place = -1,
                             std::size_t shift = 0) const {
    const std::size_t n = x[0].size();
    std::vector<DeviceBuffer<float>> device;
    for (const auto& v : x) {
      std::vector<float> shifted(shift, -7.0f);
      shifted.insert(shifted.end(), v.begin(), v.end());
      device.push_back(upload(shifted));
    }
    const auto device_coefficients = upload(coefficients);
    const auto result = output<float>(n + shift);
    LinearCombination p;
    p.terms = static_cast<int>(x.size());
    p.n = static_cast<std::int64_t>(n);
    for (std::size_t j = 0; j < x.size(); ++j)
      p.term[j] = {device[j].get() + shift, scales[j],
                   j < coefficients.size() ? device_coefficients.get() + j : nullptr};
    const DeviceBuffer<float>& to =
        in_place < 0 ? result : device[static_cast<std::size_t>(in_place)];
    p.to = to.get() + shift;
    kernels().linear_combination(stream(), p);
    std::vector<float> all = download(to);
    return {all.begin() + std::ptrdiff_t(shift), all.end()};
  }

  static std::vector<double> factors(const std::vector<float>& scales,
                                     const std::vector<float>& coefficients) {
    std::vector<double> result(scales.begin(), scales.end());
    for (std::size_t j = 0; j < coefficients.size(); ++j)
      result[j] *= static_cast<double>(coefficients[j]);
    return result;
  }
};

TEST_P(LinearCombinationKernel, WholeNumbersOfEverySizePlaceAndCount) {
  const std::vector<float> scales = {2.0f, -1.0f, 3.0f, 1.0f}, coefficients = {-1.0f, 2.0f};
  for (const std::size_t n : {1, 3, 16, 31, 64, 1000, 5000, 20'011}) {
    const Vectors all = {small_integers(n, 1), small_integers(n, 2), small_integers(n, 3),
                         small_integers(n, 4)};
    for (std::size_t terms = 1; terms <= all.size(); ++terms) {
      const Vectors x(all.begin(), all.begin() + std::ptrdiff_t(terms));
      std::vector<float> given(coefficients);
      if (given.size() > terms) given.resize(terms);
      std::vector<double> expected;
      for (const auto& e : reference::linear_combination(
               factors({scales.begin(), scales.begin() + std::ptrdiff_t(terms)}, given), x))
        expected.push_back(e.value);
      for (int place = -1; place < static_cast<int>(terms); ++place) {
        SCOPED_TRACE(std::to_string(n) + " elements, " + std::to_string(terms) + " terms, into " +
                     std::to_string(place));
        const auto actual = combine(x, scales, given, place, n % 3);
        ASSERT_EQ(actual.size(), n);
        for (std::size_t i = 0; i < n; ++i)
          ASSERT_EQ(static_cast<double>(actual[i]), expected[i]) << "element " << i;
      }
    }
  }
}

TEST_P(LinearCombinationKernel, RandomDataWithinRoundingOfTheTerms) {
  const std::size_t n = emulated() ? 1037 : 100'003;
  const Vectors x = {uniform_floats(n, 11), uniform_floats(n, 12), uniform_floats(n, 13),
                     uniform_floats(n, 14)};
  const std::vector<float> scales = {0.3f, -1.7f, 1.0f, 0.9f}, coefficients = {1.1f, 0.7f, -0.2f};
  std::vector<double> value, bound;
  for (const auto& e : reference::linear_combination(factors(scales, coefficients), x)) {
    value.push_back(e.value);
    bound.push_back(3.0 * kEpsilon * e.size);  // a factor, a product, and 3 sums of half an epsilon
  }
  expect_within(combine(x, scales, coefficients), value, bound);
}

TEST_P(LinearCombinationKernel, VectorsWithAFactorOfZeroAreNotRead) {
  const std::vector<float> x = {1.0f, 2.0f}, bad = {NAN, 4.0f};
  EXPECT_EQ(combine({x, bad}, {1.0f, 0.0f}, {}), x);
  EXPECT_EQ(combine({x, bad}, {1.0f, 1.0f}, {1.0f, 0.0f}), x);
  EXPECT_EQ(combine({bad, bad}, {0.0f, 0.0f}, {}), (std::vector<float>{0.0f, 0.0f}));
  // Any other factor shows it, and so does a factor that is no number.
  EXPECT_TRUE(std::isnan(combine({x, bad}, {1.0f, 1e-30f}, {})[0]));
  EXPECT_TRUE(std::isnan(combine({x, x}, {1.0f, 1.0f}, {1.0f, NAN})[0]));
}

TEST_P(LinearCombinationKernel, DividesByNumbersOfTheDevice) {
  using Floats = std::vector<float>;
  const auto x = upload(Floats{1.0f, -2.0f, 3.0f}), y = upload(Floats{NAN, 4.0f, 5.0f});
  const auto numbers = upload(Floats{6.0f, 4.0f, 0.0f});
  const auto combine_with = [&](const float* coefficient, const float* divisor,
                                const float* divisor_of_y) {
    const auto to = output<float>(3);
    LinearCombination p;
    p.terms = 2;
    p.n = 3;
    p.term[0] = {x.get(), 2.0f, coefficient, divisor};
    p.term[1] = {y.get(), 1.0f, nullptr, divisor_of_y};
    p.to = to.get();
    kernels().linear_combination(stream(), p);
    return download(to);
  };
  const float *six = numbers.get(), *four = six + 1, *zero = six + 2;
  EXPECT_EQ(combine_with(six, four, zero), (Floats{3.0f, -6.0f, 9.0f}));
  EXPECT_EQ(combine_with(nullptr, four, zero), (Floats{0.5f, -1.0f, 1.5f}));
  EXPECT_EQ(combine_with(six, zero, zero), (Floats{0.0f, 0.0f, 0.0f}));
  EXPECT_TRUE(std::isnan(combine_with(six, four, six)[0])) << "what is divided is read";
}

TEST_P(LinearCombinationKernel, NothingToAdd) {
  EXPECT_EQ(combine({{}, {}}, {1.0f, 1.0f}, {}), std::vector<float>{});
}

TEST_P(LinearCombinationKernel, EveryScheduleGivesTheSameBits) {
  const std::size_t n = emulated() ? 20'003 : 100'003;
  const Vectors x = {uniform_floats(n, 15), uniform_floats(n, 16)};
  expect_same_on_every_schedule(GetParam(), [&] { return combine(x, {0.3f, 0.7f}, {1.5f}, 0); });
}

TEST_P(LinearCombinationKernel, MoreThanTwoToTheThirtyOneElements) {
  if (GetParam() != "host")
    GTEST_SKIP() << "walks 8 GiB that the test maps itself: only where that is quick";
  const std::int64_t n = kBeyondTwoToTheThirtyOne;
  const SparseMemory x(static_cast<std::size_t>(n) * sizeof(float));
  const RepeatingMemory result(n);
  if (!x.get() || !result.get()) GTEST_SKIP() << "16 GiB of address space are not to be had here";
  for (const std::int64_t i : {n - 6, n - 1}) x.get()[i] = 2.0f;
  LinearCombination p;
  p.terms = 1;
  p.n = n;
  p.term[0].x = x.get();
  p.term[0].scale = 3.0f;
  p.to = result.get();
  kernels().linear_combination(stream(), p);
  for (const std::int64_t i : {n - 6, n - 1}) EXPECT_EQ(result.get()[i], 6.0f) << i;
  for (const std::int64_t i : {n - 7, n - 5, n - 2}) EXPECT_EQ(result.get()[i], 0.0f) << i;
}

CURVSEG_INSTANTIATE_TARGETS(LinearCombinationKernel);

}  // namespace
}  // namespace curvseg::testing
