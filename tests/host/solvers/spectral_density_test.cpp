// Stochastic Lanczos quadrature against known spectra.
#include <algorithm>
#include <cmath>

#include "curvseg/error.hpp"
#include "host/solvers/operators.hpp"
#include "support/random_data.hpp"

namespace curvseg::testing {
namespace {

class SpectralDensityTest : public SolverTest {
 protected:
  static double moment(const SpectralDensity& density, int power) {
    double sum = 0.0;
    for (std::size_t i = 0; i < density.nodes.size(); ++i)
      sum += density.weights[i] * std::pow(density.nodes[i], power);
    return sum;
  }
};

TEST_P(SpectralDensityTest, MomentsOfADiagonalAreExact) {
  // vᵀAᵏv / n is the mean of λᵏ for every v of signs; m steps give powers up to 2m − 1.
  const std::size_t n = emulated() ? 300 : 20'011;
  std::vector<float> elements = uniform_floats(n, 1);
  const auto density = spectral_density(stream_, diagonal(elements), static_cast<std::int64_t>(n),
                                        {.probes = 2, .steps = 4});
  EXPECT_EQ(density.nodes.size(), 8u);
  for (int power = 0; power <= 7; ++power) {
    double expected = 0.0;
    for (const float element : elements)
      expected += std::pow(static_cast<double>(element), power) / static_cast<double>(n);
    EXPECT_NEAR(moment(density, power), expected, 2e-6) << power;
  }
  double beyond = 0.0;
  for (const float element : elements)
    beyond += std::pow(static_cast<double>(element), 8) / static_cast<double>(n);
  EXPECT_GT(std::fabs(moment(density, 8) - beyond), 1e-4) << "power 8 would need a fifth step";
}

TEST_P(SpectralDensityTest, FewEigenvaluesComeOutAsTheyAre) {
  const std::vector<float> elements = {1.0f, 4.0f, 1.0f, 1.0f, 4.0f, -2.0f, 1.0f, 1.0f};
  const auto density = spectral_density(stream_, diagonal(elements), 8, {.probes = 3});
  ASSERT_EQ(density.nodes.size(), 9u);
  const double expected[][2] = {{-2.0, 1.0 / 8.0}, {1.0, 5.0 / 8.0}, {4.0, 2.0 / 8.0}};
  for (std::size_t i = 0; i < 9; ++i) {
    EXPECT_NEAR(density.nodes[i], expected[i % 3][0], 1e-5);
    EXPECT_NEAR(density.weights[i], expected[i % 3][1] / 3.0, 1e-5);
  }
}

TEST_P(SpectralDensityTest, DenseMatricesWithinTheErrorOfTheProbes) {
  std::vector<double> spectrum(emulated() ? 40 : 120);
  for (std::size_t i = 0; i < spectrum.size(); ++i)
    spectrum[i] = static_cast<double>(i % 3) + 0.01 * static_cast<double>(i % 7);
  const auto a = reference::with_spectrum(spectrum, 2);
  const auto n = static_cast<double>(a.n);
  const int probes = emulated() ? 8 : 20;
  const auto density = spectral_density(stream_, dense(a), static_cast<std::int64_t>(a.n),
                                        {.probes = probes, .steps = 10});
  // The variance of zᵀA·z for signs is twice the sum of squares off the diagonal.
  double off = 0.0, squares = 0.0;
  for (std::size_t i = 0; i < a.n; ++i)
    for (std::size_t j = 0; j < a.n; ++j) {
      squares += a.at(i, j) * a.at(i, j);
      if (i != j) off += a.at(i, j) * a.at(i, j);
    }
  EXPECT_NEAR(moment(density, 0), 1.0, 1e-5);
  EXPECT_NEAR(moment(density, 1), a.trace() / n, 4.0 * std::sqrt(2.0 * off / probes) / n);
  EXPECT_NEAR(moment(density, 2), squares / n, 0.15 * squares / n);
}

TEST_P(SpectralDensityTest, TheSmoothedDensityIsOne) {
  const std::size_t n = 500;
  const auto density =
      spectral_density(stream_, diagonal(uniform_floats(n, 3)), static_cast<std::int64_t>(n),
                       {.probes = 2, .steps = 10, .points = 2001, .sigma = 0.05});
  ASSERT_EQ(density.grid.size(), 2001u);
  ASSERT_EQ(density.density.size(), 2001u);
  EXPECT_EQ(density.sigma, 0.05);
  double integral = 0.0;
  const double step = density.grid[1] - density.grid[0];
  for (const double value : density.density) integral += value * step;
  EXPECT_NEAR(integral, 1.0, 1e-4);
  EXPECT_NEAR(density.grid.front(),
              *std::min_element(density.nodes.begin(), density.nodes.end()) - 0.2, 1e-12);
  // One node alone is a Gaussian.
  const auto one = spectral_density(stream_, diagonal({3.0f, 3.0f}), 2,
                                    {.probes = 1, .points = 3, .sigma = 0.1});
  ASSERT_EQ(one.nodes.size(), 1u);
  EXPECT_NEAR(one.density[1], 1.0 / (0.1 * std::sqrt(2.0 * std::acos(-1.0))), 1e-4);
  EXPECT_NEAR(one.grid[1], 3.0, 1e-6);
  EXPECT_GT(spectral_density(stream_, diagonal({0.0f, 0.0f}), 2, {}).sigma, 0.0);
}

TEST_P(SpectralDensityTest, PaddingDoesNotCount) {
  const DeviceArray<float> mask = upload(std::vector<float>{1.0f, 1.0f, 0.0f, 1.0f, 1.0f, 0.0f});
  const auto density = spectral_density(stream_, diagonal({1.0f, 2.0f, 50.0f, 3.0f, 4.0f, 60.0f}),
                                        6, {.probes = 2, .mask = view(mask)});
  EXPECT_NEAR(moment(density, 1), 2.5, 1e-5);
  for (const double node : density.nodes) EXPECT_LT(node, 4.1);
}

TEST_P(SpectralDensityTest, Refusals) {
  const LinearMap a = diagonal({1.0f, 2.0f});
  EXPECT_THROW(spectral_density(stream_, diagonal({NAN, 1.0f}), 2, {}), Error);
  expect_refused([&] { spectral_density(stream_, a, 2, {.probes = 0}); }, "0 probes");
  expect_refused([&] { spectral_density(stream_, a, 2, {.sigma = -1.0}); }, "sigma");
  EXPECT_TRUE(spectral_density(stream_, a, 0, {}).nodes.empty());
}

CURVSEG_INSTANTIATE_DEVICES(SpectralDensityTest);

}  // namespace
}  // namespace curvseg::testing
