// Lanczos against dense eigenvalues.
#include <algorithm>
#include <cmath>
#include <numeric>

#include "curvseg/error.hpp"
#include "host/solvers/operators.hpp"
#include "host/solvers/tridiagonal.hpp"
#include "support/random_data.hpp"
#include "support/rounding.hpp"
#include "support/schedules.hpp"

namespace curvseg::testing {
namespace {

// ---- small problems on the host ----------------------------------------------------------------

TEST(Tridiagonal, AgreesWithJacobi) {
  for (const std::size_t n : {1, 2, 3, 20}) {
    std::vector<double> diagonal(n), beside(n);
    reference::Symmetric a(n);
    const auto random = uniform_floats(2 * n, 1);
    for (std::size_t i = 0; i < n; ++i) {
      a.at(i, i) = diagonal[i] = random[i];
      beside[i] = random[n + i];
      if (i + 1 < n) a.at(i, i + 1) = a.at(i + 1, i) = beside[i];
    }
    const auto pairs = tridiagonal_eigenpairs(diagonal, beside);
    const auto expected = reference::eigenvalues(a);
    for (std::size_t i = 0; i < n; ++i) {
      EXPECT_NEAR(pairs.values[i], expected[i], 1e-13);
      reference::Vector v(n);
      for (std::size_t j = 0; j < n; ++j) v[j] = pairs.at(j, i);
      const auto av = a * v;
      EXPECT_NEAR(reference::norm(v), 1.0, 1e-13);
      for (std::size_t j = 0; j < n; ++j) EXPECT_NEAR(av[j], pairs.values[i] * v[j], 1e-13);
    }
  }
}

// ---- eigenpairs --------------------------------------------------------------------------------

class LanczosTest : public SolverTest {
 protected:
  /// Values and vectors belong together, vectors are orthonormal; eigenvalues of `a` within
  /// `tolerance` of its norm of `expected`.
  void expect_eigenpairs(const Eigenpairs& pairs, const reference::Symmetric& a,
                         const std::vector<double>& expected, double tolerance) const {
    ASSERT_EQ(pairs.values.size(), expected.size());
    ASSERT_EQ(pairs.residuals.size(), expected.size());
    const auto spectrum = reference::eigenvalues(a);
    const double scale = std::max(std::fabs(spectrum.front()), std::fabs(spectrum.back()));
    std::vector<reference::Vector> vectors;
    for (std::size_t i = 0; i < expected.size(); ++i) {
      EXPECT_NEAR(pairs.values[i], expected[i], tolerance * scale) << i;
      vectors.push_back(doubles(download(pairs.vector(i))));
      const auto ay = a * vectors.back();
      double residual = 0.0;
      for (std::size_t j = 0; j < a.n; ++j) {
        const double difference = ay[j] - pairs.values[i] * vectors.back()[j];
        residual += difference * difference;
      }
      EXPECT_LE(std::sqrt(residual), pairs.residuals[i] + tolerance * scale) << i;
      for (std::size_t k = 0; k <= i; ++k)
        EXPECT_NEAR(reference::inner(vectors[i], vectors[k]), i == k ? 1.0 : 0.0, 1e-5);
    }
  }
  std::size_t size() const { return emulated() ? 40 : 120; }
};

/// n values from −1 to 1 in an order that is not sorted, and some of them moved out.
std::vector<double> indefinite_spectrum(std::size_t n) {
  std::vector<double> result;
  for (std::size_t i = 0; i < n; ++i)
    result.push_back(2.0 * static_cast<double>((i * 7) % n) / static_cast<double>(n) - 1.0);
  result[3] = 5.0, result[1] = 3.0, result[n - 1] = -4.0, result[n / 2] = -2.5;
  return result;
}

TEST_P(LanczosTest, BothEndsOfAnIndefiniteSpectrum) {
  const auto a = reference::with_spectrum(indefinite_spectrum(size()), 1);
  const auto spectrum = reference::eigenvalues(a);
  const LinearMap map = dense(a);
  const auto n = static_cast<std::int64_t>(size());
  const std::size_t last = size() - 1;
  const auto largest = lanczos_eigenpairs(stream_, map, n, {.count = 2, .tolerance = 1e-5});
  EXPECT_TRUE(largest.converged);
  EXPECT_LT(largest.steps, static_cast<int>(size()));
  expect_eigenpairs(largest, a, {spectrum[last], spectrum[last - 1]}, 4 * kEpsilon);
  const auto smallest = lanczos_eigenpairs(
      stream_, map, n, {.count = 2, .order = EigenpairOrder::kSmallest, .tolerance = 1e-5});
  expect_eigenpairs(smallest, a, {spectrum[0], spectrum[1]}, 4 * kEpsilon);
  const auto magnitude = lanczos_eigenpairs(
      stream_, map, n, {.count = 4, .order = EigenpairOrder::kLargestMagnitude, .tolerance = 1e-5});
  expect_eigenpairs(magnitude, a, {spectrum[last], spectrum[0], spectrum[last - 1], spectrum[1]},
                    4 * kEpsilon);
}

TEST_P(LanczosTest, ClusteredEigenvalues) {
  // Three within a thousandth at the end, and the rest in two clusters.
  std::vector<double> spectrum(size());
  for (std::size_t i = 0; i < spectrum.size(); ++i)
    spectrum[i] = (i % 2 ? 0.5 : 0.1) + 1e-4 * static_cast<double>(i % 5);
  spectrum[0] = 10.0, spectrum[1] = 10.005, spectrum[2] = 10.01;
  const auto a = reference::with_spectrum(spectrum, 2);
  const auto expected = reference::eigenvalues(a);
  const std::size_t n = expected.size();
  const auto pairs = lanczos_eigenpairs(stream_, dense(a), static_cast<std::int64_t>(n),
                                        {.count = 3, .max_steps = 40, .tolerance = 1e-6});
  expect_eigenpairs(pairs, a, {expected[n - 1], expected[n - 2], expected[n - 3]}, 8 * kEpsilon);
}

TEST_P(LanczosTest, ReorthogonalisationKeepsGhostsAway) {
  // One eigenvalue far out converges at once; without, copies of it would come next.
  std::vector<double> spectrum(size());
  for (std::size_t i = 0; i < spectrum.size(); ++i)
    spectrum[i] = static_cast<double>(i + 1) / static_cast<double>(spectrum.size());
  spectrum[5] = 1000.0;
  const auto a = reference::with_spectrum(spectrum, 3);
  const auto expected = reference::eigenvalues(a);
  const std::size_t n = expected.size();
  const auto pairs = lanczos_eigenpairs(stream_, dense(a), static_cast<std::int64_t>(n),
                                        {.count = 3, .max_steps = 40, .tolerance = 0.0});
  EXPECT_EQ(pairs.steps, 40);
  EXPECT_NEAR(pairs.values[0], expected[n - 1], 1000.0 * 4 * kEpsilon);
  EXPECT_LT(pairs.values[1], 1.01);
  EXPECT_LT(pairs.values[2], 1.01);
}

TEST_P(LanczosTest, AllEigenvaluesOfASmallMatrix) {
  const auto a = reference::with_spectrum({-3.0, -1.0, 0.0, 0.25, 2.0, 7.0}, 4);
  auto expected = reference::eigenvalues(a);
  std::reverse(expected.begin(), expected.end());
  const auto pairs = lanczos_eigenpairs(stream_, dense(a), 6, {.count = 6});
  EXPECT_EQ(pairs.steps, 6);
  EXPECT_TRUE(pairs.converged);
  expect_eigenpairs(pairs, a, expected, 4 * kEpsilon);
  EXPECT_EQ(lanczos_eigenpairs(stream_, dense(a), 6, {.count = 9}).values.size(), 6u);
}

TEST_P(LanczosTest, GoesOnAfterAnInvariantSubspace) {
  // Two distinct eigenvalues: a Krylov space has two dimensions, then it takes a new vector.
  const std::vector<float> elements = {2.0f, 5.0f, 2.0f, 5.0f, 2.0f, 2.0f, 5.0f, 2.0f};
  reference::Symmetric a(elements.size());
  for (std::size_t i = 0; i < a.n; ++i) a.at(i, i) = elements[i];
  const auto pairs = lanczos_eigenpairs(stream_, diagonal(elements), 8, {.count = 4});
  EXPECT_TRUE(pairs.converged);
  expect_eigenpairs(pairs, a, {5.0, 5.0, 5.0, 2.0}, 4 * kEpsilon);
  const auto all = lanczos_eigenpairs(stream_, diagonal(elements), 8, {.count = 8});
  expect_eigenpairs(all, a, {5.0, 5.0, 5.0, 2.0, 2.0, 2.0, 2.0, 2.0}, 4 * kEpsilon);
  const auto zero = lanczos_eigenpairs(stream_, diagonal({0.0f, 0.0f, 0.0f}), 3, {.count = 2});
  EXPECT_EQ(zero.values, (std::vector<double>{0.0, 0.0}));
}

TEST_P(LanczosTest, MasksKeepToTheirSubspace) {
  // The largest eigenvalues are outside of the mask.
  const std::vector<float> elements = {9.0f, 1.0f, 2.0f, 8.0f, 3.0f, 4.0f};
  const DeviceArray<float> mask = upload(std::vector<float>{0.0f, 1.0f, 1.0f, 0.0f, 1.0f, 1.0f});
  const auto pairs =
      lanczos_eigenpairs(stream_, diagonal(elements), 6, {.count = 6, .mask = view(mask)});
  ASSERT_EQ(pairs.values.size(), 4u) << "the subspace has no more";
  EXPECT_FALSE(pairs.converged) << "not all that were asked for";
  for (std::size_t i = 0; i < 4; ++i) {
    EXPECT_NEAR(pairs.values[i], 4.0 - static_cast<double>(i), 1e-5);
    EXPECT_EQ(download(pairs.vector(i))[0], 0.0f);
    EXPECT_EQ(download(pairs.vector(i))[3], 0.0f);
  }
}

TEST_P(LanczosTest, LongVectors) {
  // Several blocks of a sum; diagonal, so the answer is known.
  const std::size_t n = emulated() ? 17'003 : 100'003;
  std::vector<float> elements(n);
  for (std::size_t i = 0; i < n; ++i) elements[i] = static_cast<float>(i % 101) / 100.0f;
  elements[n / 3] = 3.0f, elements[n / 2] = 2.5f;
  const auto pairs = lanczos_eigenpairs(stream_, diagonal(elements), static_cast<std::int64_t>(n),
                                        {.count = 2, .max_steps = 30, .tolerance = 1e-5});
  EXPECT_TRUE(pairs.converged);
  EXPECT_NEAR(pairs.values[0], 3.0, 1e-5);
  EXPECT_NEAR(pairs.values[1], 2.5, 1e-5);
  EXPECT_NEAR(std::fabs(download(pairs.vector(0))[n / 3]), 1.0, 1e-4);
}

TEST_P(LanczosTest, RepeatsInEveryBit) {
  const std::size_t n = emulated() ? 17'003 : 50'003;
  std::vector<float> elements = uniform_floats(n, 5);
  const LinearMap a = diagonal(elements);
  expect_same_on_every_schedule(GetParam(), [&] {
    const auto pairs =
        lanczos_eigenpairs(stream_, a, static_cast<std::int64_t>(n), {.count = 2, .max_steps = 10});
    std::vector<double> result(pairs.values);
    for (const float element : download(pairs.vectors)) result.push_back(element);
    return result;
  });
  const auto other = lanczos_eigenpairs(stream_, a, static_cast<std::int64_t>(n),
                                        {.count = 1, .max_steps = 10, .seed = 1});
  const auto first =
      lanczos_eigenpairs(stream_, a, static_cast<std::int64_t>(n), {.count = 1, .max_steps = 10});
  EXPECT_NE(download(other.vectors), download(first.vectors)) << "another seed begins elsewhere";
}

TEST_P(LanczosTest, Refusals) {
  const LinearMap a = diagonal({1.0f, 2.0f});
  const DeviceArray<float> mask = upload(std::vector<float>{1.0f});
  expect_refused([&] { lanczos_eigenpairs(stream_, a, 2, {.count = 0}); }, "0 pairs");
  expect_refused([&] { lanczos_eigenpairs(stream_, a, 2, {.count = 3, .max_steps = 2}); },
                 "3 pairs were asked for, of 2 steps");
  expect_refused([&] { lanczos_eigenpairs(stream_, a, 2, {.tolerance = NAN}); }, "tolerance");
  expect_refused([&] { lanczos_eigenpairs(stream_, a, 2, {.mask = view(mask)}); },
                 "the mask has 1 elements, vectors have 2");
  EXPECT_TRUE(lanczos_eigenpairs(stream_, a, 0, {}).values.empty());
  EXPECT_THROW(lanczos_eigenpairs(stream_, diagonal({NAN, 1.0f}), 2, {}), Error);
}

CURVSEG_INSTANTIATE_DEVICES(LanczosTest);

}  // namespace
}  // namespace curvseg::testing
