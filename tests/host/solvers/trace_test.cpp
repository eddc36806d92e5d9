// Traces and diagonals from random signs.
#include <cmath>
#include <numeric>

#include "host/solvers/operators.hpp"
#include "support/random_data.hpp"
#include "support/rounding.hpp"
#include "support/schedules.hpp"

namespace curvseg::testing {
namespace {

class TraceTest : public SolverTest {
 protected:
  /// n eigenvalues that fall like 1/i², so that a sketch finds most of the trace.
  reference::Symmetric decaying() const {
    std::vector<double> spectrum(emulated() ? 40 : 120);
    for (std::size_t i = 0; i < spectrum.size(); ++i)
      spectrum[i] = 1.0 / static_cast<double>((i + 1) * (i + 1));
    return reference::with_spectrum(spectrum, 1);
  }
  /// The standard deviation of zᵀA·z over vectors of signs: twice the squares off the diagonal.
  static double deviation(const reference::Symmetric& a) {
    double off = 0.0;
    for (std::size_t i = 0; i < a.n; ++i)
      for (std::size_t j = 0; j < a.n; ++j)
        if (i != j) off += a.at(i, j) * a.at(i, j);
    return std::sqrt(2.0 * off);
  }
};

TEST_P(TraceTest, DiagonalMatricesAreExactWithOneProbe) {
  const std::size_t n = emulated() ? 17'003 : 100'003;
  std::vector<float> elements = small_integers(n, 1);
  const double trace = std::accumulate(elements.begin(), elements.end(), 0.0);
  const auto estimate =
      hutchinson_trace(stream_, diagonal(elements), static_cast<std::int64_t>(n), {.probes = 3});
  EXPECT_EQ(estimate.trace, trace);
  EXPECT_EQ(estimate.standard_error, 0.0);
  EXPECT_EQ(estimate.products, 3);
  EXPECT_EQ(
      hutchinson_trace(stream_, diagonal(elements), static_cast<std::int64_t>(n), {.probes = 1})
          .trace,
      trace);
  DeviceArray<float> result(device_, static_cast<std::int64_t>(n));
  hutchinson_diagonal(stream_, diagonal(elements), {.probes = 4}, view(result));
  EXPECT_EQ(download(result), elements);
}

TEST_P(TraceTest, HutchinsonWithinItsStandardError) {
  const auto a = decaying();
  const auto n = static_cast<std::int64_t>(a.n);
  const int probes = 64;
  const auto estimate = hutchinson_trace(stream_, dense(a), n, {.probes = probes, .seed = 5});
  const double expected_error = deviation(a) / std::sqrt(double(probes));
  EXPECT_NEAR(estimate.trace, a.trace(), 4.0 * expected_error);
  EXPECT_GT(std::fabs(estimate.trace - a.trace()), 1e-6) << "an estimate is not exact";
  EXPECT_NEAR(estimate.standard_error, expected_error, 0.4 * expected_error);
}

TEST_P(TraceTest, DiagonalsWithinTheErrorOfTheirProbes) {
  const auto a = decaying();
  const int probes = 64;
  DeviceArray<float> result(device_, static_cast<std::int64_t>(a.n));
  hutchinson_diagonal(stream_, dense(a), {.probes = probes, .seed = 7}, view(result));
  const auto estimate = download(result);
  for (std::size_t i = 0; i < a.n; ++i) {
    double off = 0.0;
    for (std::size_t j = 0; j < a.n; ++j)
      if (i != j) off += a.at(i, j) * a.at(i, j);
    EXPECT_NEAR(estimate[i], a.at(i, i), 5.0 * std::sqrt(off / probes) + kEpsilon) << i;
  }
  // The same probes: the trace is the sum of the diagonal.
  const auto trace = hutchinson_trace(stream_, dense(a), static_cast<std::int64_t>(a.n),
                                      {.probes = probes, .seed = 7});
  EXPECT_NEAR(std::accumulate(estimate.begin(), estimate.end(), 0.0), trace.trace, 1e-5);
}

TEST_P(TraceTest, HutchPlusPlusIsExactForLowRank) {
  std::vector<double> spectrum(emulated() ? 40 : 120, 0.0);
  spectrum[0] = 5.0, spectrum[9] = 3.0, spectrum[20] = -2.0, spectrum[33] = 1.0;
  const auto a = reference::with_spectrum(spectrum, 3);
  const auto n = static_cast<std::int64_t>(a.n);
  const auto estimate = hutch_plus_plus_trace(stream_, dense(a), n, {.products = 18});
  EXPECT_EQ(estimate.products, 18);
  EXPECT_NEAR(estimate.trace, a.trace(), 1e-5);
  EXPECT_LT(estimate.standard_error, 1e-5);
  EXPECT_GT(std::fabs(hutchinson_trace(stream_, dense(a), n, {.probes = 18}).trace - a.trace()),
            1e-2)
      << "the case is too easy to show anything";
}

TEST_P(TraceTest, HutchPlusPlusBeatsHutchinsonOnDecayingSpectra) {
  const auto a = decaying();
  const auto n = static_cast<std::int64_t>(a.n);
  const int products = 30;
  double plain = 0.0, sketched = 0.0;
  const int seeds = emulated() ? 4 : 16;
  for (int seed = 0; seed < seeds; ++seed) {
    const auto s = static_cast<std::uint64_t>(seed);
    const double p =
        hutchinson_trace(stream_, dense(a), n, {.probes = products, .seed = s}).trace - a.trace();
    const double q =
        hutch_plus_plus_trace(stream_, dense(a), n, {.products = products, .seed = s}).trace -
        a.trace();
    plain += p * p;
    sketched += q * q;
  }
  EXPECT_LT(sketched, plain / 25.0) << "root mean square errors " << std::sqrt(sketched / seeds)
                                    << " and " << std::sqrt(plain / seeds);
}

TEST_P(TraceTest, HutchPlusPlusOfIndefiniteAndDiagonalMatrices) {
  // With signs the remainder of a diagonal is not diagonal: an estimate, with the right mean.
  const std::vector<float> elements = {3.0f, -1.0f, 2.0f, -2.0f, 0.5f, 4.0f, -3.5f, 1.0f};
  double sum = 0.0;
  const int seeds = 40;
  for (int seed = 0; seed < seeds; ++seed)
    sum += hutch_plus_plus_trace(stream_, diagonal(elements), 8,
                                 {.products = 6, .seed = static_cast<std::uint64_t>(seed)})
               .trace;
  EXPECT_NEAR(sum / seeds, 4.0, 2.0);
  // As many columns as dimensions: the sketch spans all.
  EXPECT_NEAR(hutch_plus_plus_trace(stream_, diagonal({3.0f, -1.0f}), 2, {.products = 30}).trace,
              2.0, 1e-5);
  EXPECT_NEAR(hutch_plus_plus_trace(stream_, diagonal({0.0f, 0.0f}), 2, {}).trace, 0.0, 0.0);
}

TEST_P(TraceTest, MasksLeaveOutPadding) {
  const std::vector<float> elements = {1.0f, 50.0f, 2.0f, 60.0f, 3.0f};
  const DeviceArray<float> mask = upload(std::vector<float>{1.0f, 0.0f, 1.0f, 0.0f, 1.0f});
  EXPECT_EQ(hutchinson_trace(stream_, diagonal(elements), 5, {.mask = view(mask)}).trace, 6.0);
  EXPECT_NEAR(hutch_plus_plus_trace(stream_, diagonal(elements), 5, {.mask = view(mask)}).trace,
              6.0, 1e-5);
  DeviceArray<float> result(device_, 5);
  hutchinson_diagonal(stream_, diagonal(elements), {.mask = view(mask)}, view(result));
  EXPECT_EQ(download(result), (std::vector<float>{1.0f, 0.0f, 2.0f, 0.0f, 3.0f}));
}

TEST_P(TraceTest, MemoryOfItsOwnIsUsedAgain) {
  Hutchinson hutchinson(stream_, 3, 4);
  const DeviceArray<float> result = upload(std::vector<float>{NAN, NAN, NAN});
  for (const float scale : {1.0f, 2.0f}) {
    const LinearMap a = diagonal({scale, 2.0f * scale, 3.0f * scale});
    EXPECT_EQ(hutchinson.trace(a, {.probes = 4}).trace, 6.0 * scale);
    EXPECT_EQ(hutchinson.trace(a, {.probes = 2}).products, 2);
    hutchinson.diagonal(a, {.probes = 2}, view(result));
    EXPECT_EQ(download(result), (std::vector<float>{scale, 2.0f * scale, 3.0f * scale}));
  }
  EXPECT_GT(hutchinson.memory_bytes(), 6 * sizeof(float));
}

TEST_P(TraceTest, SeedsAndSchedules) {
  const auto a = decaying();
  const LinearMap map = dense(a);
  const auto n = static_cast<std::int64_t>(a.n);
  expect_same_on_every_schedule(GetParam(), [&] {
    return std::vector<double>{hutchinson_trace(stream_, map, n, {.probes = 5}).trace,
                               hutch_plus_plus_trace(stream_, map, n, {.products = 9}).trace};
  });
  EXPECT_NE(hutchinson_trace(stream_, map, n, {.probes = 5, .seed = 1}).trace,
            hutchinson_trace(stream_, map, n, {.probes = 5, .seed = 2}).trace);
}

TEST_P(TraceTest, Refusals) {
  const LinearMap a = diagonal({1.0f, 2.0f});
  const DeviceArray<float> mask = upload(std::vector<float>{1.0f});
  expect_refused([&] { hutchinson_trace(stream_, a, 2, {.probes = 0}); }, "0 probes");
  expect_refused([&] { hutchinson_trace(stream_, a, 2, {.mask = view(mask)}); },
                 "the mask has 1 elements, vectors have 2");
  expect_refused([&] { Hutchinson(stream_, 2, 3).trace(a, {.probes = 4}); },
                 "there are 4 probes, memory is for 3");
  expect_refused([&] { Hutchinson(stream_, 2, 3).diagonal(a, {}, view(mask)); },
                 "the diagonal has 1 elements, vectors have 2");
  expect_refused([&] { Hutchinson(stream_, -1); }, "the size is -1");
  expect_refused([&] { hutch_plus_plus_trace(stream_, a, 2, {.products = 2}); }, "2 products");
}

CURVSEG_INSTANTIATE_DEVICES(TraceTest);

}  // namespace
}  // namespace curvseg::testing
