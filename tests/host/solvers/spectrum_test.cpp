// Spectra: ends, traces by range and what is derived from them, against matrices that are formed.
#include "curvseg/spectrum.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>

#include "host/solvers/operators.hpp"
#include "support/random_data.hpp"
#include "support/rounding.hpp"
#include "support/schedules.hpp"

namespace curvseg::testing {
namespace {

/// A matrix on vectors with padding: elements 10 to 13 and the last two are none.
struct Padded {
  explicit Padded(const reference::Symmetric& inside) : a(inside.n + 6) {
    for (std::size_t i = 0; i < a.n; ++i)
      if (is_parameter(i)) places.push_back(i);
    for (std::size_t i = 0; i < inside.n; ++i)
      for (std::size_t j = 0; j < inside.n; ++j) a.at(places[i], places[j]) = inside.at(i, j);
    const auto n = static_cast<std::int64_t>(a.n);
    ranges = {{"first", 0, 10, 10}, {"second", 14, 6, 6}, {"third", 20, n - 20, n - 22}};
  }
  bool is_parameter(std::size_t i) const { return (i < 10 || i >= 14) && i + 2 < a.n; }
  std::vector<float> mask() const {
    std::vector<float> values(a.n, 0.0f);
    for (const std::size_t i : places) values[i] = 1.0f;
    return values;
  }
  double trace(const VectorRange& range) const {
    double sum = 0.0;
    for (std::int64_t i = range.offset; i < range.offset + range.size; ++i)
      sum += a.at(static_cast<std::size_t>(i), static_cast<std::size_t>(i));
    return sum;
  }

  reference::Symmetric a;
  std::vector<std::size_t> places;
  std::vector<VectorRange> ranges;
};

class SpectrumTest : public SolverTest {
 protected:
  /// Some large eigenvalues of either sign, the rest small.
  static reference::Vector outliers(std::size_t n) {
    reference::Vector spectrum(n);
    for (std::size_t i = 0; i < n; ++i) spectrum[i] = 0.02 * std::sin(1.0 + double(i));
    spectrum[0] = 9.0, spectrum[1] = 6.0, spectrum[2] = 4.0, spectrum[3] = -3.0, spectrum[4] = -1.0;
    return spectrum;
  }
  Spectrum measure(const Padded& of, SpectrumOptions options) {
    const auto mask = upload(of.mask());
    options.mask = view(mask);
    return measure_spectrum(stream_, dense(of.a), static_cast<std::int64_t>(of.a.n), of.ranges,
                            options);
  }
};

TEST_P(SpectrumTest, EndsAndDensityOfAllSteps) {
  const auto inside = reference::with_spectrum(outliers(34), 1);
  const auto expected = reference::eigenvalues(inside);
  const Padded of(inside);
  const auto s = measure(of, {.eigenvalues = 4, .steps = 34, .runs = 1, .probes = 1});
  EXPECT_EQ(s.dimension, 34);
  EXPECT_EQ(s.products, 35);
  ASSERT_EQ(s.largest.size(), 4u);
  ASSERT_EQ(s.smallest.size(), 4u);
  for (std::size_t i = 0; i < 4; ++i) {
    EXPECT_NEAR(s.largest[i].value, expected[33 - i], 2e-6 * 9.0) << i;
    EXPECT_NEAR(s.smallest[i].value, expected[i], 2e-6 * 9.0) << i;
    EXPECT_GE(s.largest[i].residual, kEpsilon * s.norm()) << "float knows no better";
  }
  double weight = 0.0;
  for (const double w : s.density.weights) weight += w;
  EXPECT_NEAR(weight, 1.0, 1e-5);
}

TEST_P(SpectrumTest, ResidualsBoundTheDistanceToAnEigenvalue) {
  const auto inside = reference::with_spectrum(outliers(60), 2);
  const auto expected = reference::eigenvalues(inside);
  const auto s = measure(Padded(inside), {.steps = 7, .runs = 1, .probes = 1});
  double largest_residual = 0.0;
  for (const auto& end : {s.largest, s.smallest})
    for (const RitzValue& pair : end) {
      double distance = 1e300;
      for (const double eigenvalue : expected)
        distance = std::min(distance, std::fabs(eigenvalue - pair.value));
      EXPECT_TRUE(distance <= pair.residual + 4.0 * kEpsilon * 9.0)
          << pair.value << ": " << distance << " from an eigenvalue, said " << pair.residual;
      largest_residual = std::max(largest_residual, pair.residual);
    }
  EXPECT_GT(largest_residual, 1e-3) << "all have converged: it shows nothing";
}

TEST_P(SpectrumTest, TracesOfRangesWithinTheirErrors) {
  const Padded of(reference::with_spectrum(outliers(54), 3));
  for (const int deflated : {0, 3, 16}) {
    const auto s =
        measure(of, {.steps = 12, .runs = 3, .probes = 40, .deflated = deflated, .seed = 4});
    ASSERT_EQ(s.parts.size(), 3u);
    double sum = 0.0;
    for (std::size_t b = 0; b < 3; ++b) {
      const double expected = of.trace(of.ranges[b]);
      EXPECT_GT(s.parts[b].standard_error, 0.0);
      EXPECT_NEAR(s.parts[b].trace, expected, 4.5 * s.parts[b].standard_error)
          << of.ranges[b].name << ", " << deflated << " deflated";
      EXPECT_EQ(s.parts[b].products, 40);
      sum += s.parts[b].trace;
    }
    EXPECT_NEAR(s.trace.trace, of.a.trace(), 4.5 * s.trace.standard_error) << deflated;
    EXPECT_NEAR(s.trace.trace, sum, 1e-9 * std::fabs(sum));
  }
}

TEST_P(SpectrumTest, KnownVectorsMakeTracesMoreCertain) {
  const Padded of(reference::with_spectrum(outliers(54), 3));
  const auto error = [&](int deflated) {
    return measure(of, {.steps = 12, .runs = 1, .probes = 24, .deflated = deflated})
        .trace.standard_error;
  };
  const double plain = error(0);
  EXPECT_LT(error(2), 0.8 * plain);
  EXPECT_LT(error(6), 0.1 * plain) << "what is left has eigenvalues up to 0.02";
}

TEST_P(SpectrumTest, TracesOfLowRankAreExact) {
  reference::Vector spectrum(30, 0.0);
  spectrum[2] = 5.0, spectrum[11] = -2.0, spectrum[17] = 1.0;
  const Padded of(reference::with_spectrum(spectrum, 5));
  const auto s = measure(of, {.steps = 8, .probes = 4});
  for (std::size_t b = 0; b < 3; ++b) {
    EXPECT_NEAR(s.parts[b].trace, of.trace(of.ranges[b]), 2e-5) << b;
    EXPECT_LT(s.parts[b].standard_error, 2e-5) << b;
  }
}

TEST_P(SpectrumTest, DiagonalMatricesAreExactWithAnyProbe) {
  const std::size_t n = emulated() ? 5'003 : 50'003;
  const std::vector<float> elements = small_integers(n, 1);
  const auto size = static_cast<std::int64_t>(n);
  const std::vector<VectorRange> ranges = {{"a", 0, 1'000, 1'000},
                                           {"b", 1'000, size - 1'000, size - 1'000}};
  const auto s = measure_spectrum(stream_, diagonal(elements), size, ranges,
                                  {.steps = 3, .runs = 1, .probes = 2, .deflated = 0});
  const double head = std::accumulate(elements.begin(), elements.begin() + 1'000, 0.0);
  EXPECT_EQ(s.parts[0].trace, head);
  EXPECT_EQ(s.parts[1].trace, std::accumulate(elements.begin() + 1'000, elements.end(), 0.0));
  EXPECT_EQ(s.trace.standard_error, 0.0);
}

TEST_P(SpectrumTest, TheFirstVectorByRange) {
  // A = u·uᵀ has one eigenvector that is not 0: u.
  const std::size_t n = 30;
  const auto u = uniform_floats(n, 7);
  reference::Symmetric inside(n);
  for (std::size_t i = 0; i < n; ++i)
    for (std::size_t j = 0; j < n; ++j) inside.at(i, j) = static_cast<double>(u[i] * u[j]);
  const Padded of(inside);
  const auto s = measure(of, {.steps = 6, .probes = 1});
  for (std::size_t b = 0; b < 3; ++b)
    EXPECT_NEAR(s.first_vector_parts[b], of.trace(of.ranges[b]) / of.a.trace(), 1e-5) << b;
  EXPECT_NEAR(s.effective_rank(), 1.0, 1e-4);
  EXPECT_NEAR(s.condition_bound(), double(n), 1e-3 * double(n));
}

TEST_P(SpectrumTest, CountsItsProducts) {
  const Padded of(reference::with_spectrum(outliers(30), 1));
  const auto mask = upload(of.mask());
  const LinearMap a = dense(of.a);
  int calls = 0;
  const LinearMap counted = [&](ConstVectorView v, VectorView product) {
    ++calls;
    a(v, product);
  };
  for (const auto& [runs, probes, expected] :
       {std::array{1, 1, 6}, std::array{2, 5, 14}, std::array{4, 2, 20}}) {
    calls = 0;
    const auto s =
        measure_spectrum(stream_, counted, static_cast<std::int64_t>(of.a.n), of.ranges,
                         {.steps = 5, .runs = runs, .probes = probes, .mask = view(mask)});
    EXPECT_EQ(s.products, expected);
    EXPECT_EQ(calls, expected);
  }
}

TEST_P(SpectrumTest, EveryScheduleGivesTheSameBits) {
  const std::size_t n = emulated() ? 17'003 : 100'003;  // several blocks
  const LinearMap a = diagonal(uniform_floats(n, 3));
  const auto size = static_cast<std::int64_t>(n);
  const std::vector<VectorRange> ranges = {{"a", 0, 9'000, 9'000},
                                           {"b", 9'000, size - 9'000, size - 9'000}};
  expect_same_on_every_schedule(GetParam(), [&] {
    const auto s = measure_spectrum(stream_, a, size, ranges,
                                    {.steps = 6, .runs = 2, .probes = 3, .deflated = 4});
    std::vector<double> all = {s.trace.trace, s.trace.standard_error};
    for (std::size_t b = 0; b < 2; ++b) {
      all.insert(all.end(), {s.parts[b].trace, s.parts[b].standard_error, s.first_vector_parts[b]});
    }
    for (const RitzValue& pair : s.largest) all.insert(all.end(), {pair.value, pair.residual});
    all.insert(all.end(), s.density.nodes.begin(), s.density.nodes.end());
    all.insert(all.end(), s.density.density.begin(), s.density.density.end());
    return all;
  });
}

TEST_P(SpectrumTest, OfNothingAndOfZero) {
  const LinearMap zero = diagonal(std::vector<float>(20, 0.0f));
  const auto s = measure_spectrum(stream_, zero, 20, {}, {.steps = 5, .probes = 3});
  EXPECT_EQ(s.dimension, 20);
  EXPECT_EQ(s.norm(), 0.0);
  EXPECT_EQ(s.trace.trace, 0.0);
  EXPECT_EQ(s.condition_bound(), 0.0);
  EXPECT_EQ(s.effective_rank(), 0.0);
  EXPECT_EQ(s.share_within(0.0), 1.0);
  const auto none = measure_spectrum(stream_, zero, 0, {});
  EXPECT_EQ(none.dimension, 0);
  EXPECT_EQ(none.norm(), 0.0);
  EXPECT_EQ(none.condition_bound(), 0.0);
}

TEST_P(SpectrumTest, Refuses) {
  const auto mask = upload(std::vector<float>(20, 1.0f));
  const LinearMap a = diagonal(std::vector<float>(20, 1.0f));
  const auto measure = [&](const std::vector<VectorRange>& ranges, SpectrumOptions options) {
    return [&, ranges, options] { measure_spectrum(stream_, a, 20, ranges, options); };
  };
  expect_refused(measure({}, {.steps = 0}), "runs of 0 steps");
  expect_refused(measure({}, {.runs = 0}), "0 runs");
  expect_refused(measure({}, {.probes = 0}), "0 probes");
  expect_refused(measure({}, {.deflated = -1}), "-1 deflated");
  expect_refused(measure({}, {.points = 1}), "1 points");
  expect_refused(measure({}, {.sigma = -1.0}), "sigma");
  expect_refused(measure({}, {.mask = {nullptr, 7}}), "the mask has 7 elements");
  expect_refused(measure({}, {.mask = view(mask)}), "a mask and no range");
  expect_refused(measure({}, {.eigenvalues = 0}), "0 eigenvalues");
  expect_refused(measure({{"late", 12, 9, 9}}, {}), "late is [12, 21), of vectors of 20");
  expect_refused(measure({{"a", 0, 8, 8}, {"b", 7, 3, 3}}, {}), "range b is [7, 10)");
  expect_refused(measure({{"many", 0, 8, 9}}, {}), "many has 9 parameters of 8 elements");
}

CURVSEG_INSTANTIATE_DEVICES(SpectrumTest);

/// What is derived, from numbers written down.
TEST(SpectrumNumbers, ByHand) {
  Spectrum s;
  s.dimension = 10;
  s.largest = {{4.0, 0.0}};
  s.smallest = {{-2.0, 0.0}};
  s.trace.trace = 5.0;  // 4 + 3 − 2, the rest 0
  s.density.nodes = {-2.0, 0.0, 3.0, 4.0};
  s.density.weights = {0.1, 0.7, 0.1, 0.1};
  EXPECT_EQ(s.norm(), 4.0);
  EXPECT_DOUBLE_EQ(s.mean_magnitude(), 0.9);
  EXPECT_DOUBLE_EQ(s.condition_bound(), 4.0 / 0.9);
  EXPECT_DOUBLE_EQ(s.effective_rank(), 9.0 / 4.0);
  EXPECT_DOUBLE_EQ(s.share_within(2.0), 0.8);
  EXPECT_DOUBLE_EQ(s.share_within(1.9), 0.7);
  EXPECT_DOUBLE_EQ(s.share_below(1.0), 0.1);
  EXPECT_DOUBLE_EQ(s.share_below(2.0), 0.0);
  EXPECT_DOUBLE_EQ(s.negative_mass(), 0.2 / 0.9);
  s.smallest = {{-7.0, 0.0}};
  EXPECT_EQ(s.norm(), 7.0);
}

}  // namespace
}  // namespace curvseg::testing
