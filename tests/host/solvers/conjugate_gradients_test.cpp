// Conjugate gradients against dense solutions and known spectra: where they start, where they end.
#include <cmath>
#include <stdexcept>

#include "host/solvers/conjugate_gradients_case.hpp"
#include "support/random_data.hpp"
#include "support/rounding.hpp"

namespace curvseg::testing {
namespace {

using Stop = ConjugateGradientsStop;

TEST_P(ConjugateGradientsTest, ByHand) {
  reference::Symmetric a(2);
  a.element = {4.0, 1.0, 1.0, 3.0};
  std::vector<float> x;
  const auto report = solve(dense(a), {1.0f, 2.0f}, {.max_iterations = 2}, {}, x);
  EXPECT_EQ(report.iterations, 2);
  EXPECT_NEAR(x[0], 1.0 / 11.0, 1e-7);
  EXPECT_NEAR(x[1], 7.0 / 11.0, 1e-7);
  EXPECT_EQ(report.products, 2);
  EXPECT_EQ(report.rhs, std::sqrt(5.0));
  // After one step along b = (1, 2): α = 5/20, φ = −½·5²/20; at the solution −½bᵀx = −15/22.
  ASSERT_EQ(report.models.size(), 3u);
  EXPECT_EQ(report.models[0], 0.0);
  EXPECT_NEAR(report.models[1], -0.625, 1e-7);
  EXPECT_NEAR(report.models[2], -15.0 / 22.0, 1e-7);
  EXPECT_EQ(report.model, report.models[2]);
}

TEST_P(ConjugateGradientsTest, DenseSolutions) {
  for (const std::size_t n : {std::size_t{1}, std::size_t{2}, std::size_t{37}, size()}) {
    const double condition = 100.0;
    const auto a = reference::with_spectrum(logarithmic_spectrum(n, condition), 1);
    const std::vector<float> b = uniform_floats(n, 2);
    const reference::Vector expected = reference::solve(a, doubles(b));
    std::vector<float> x;
    const auto report = solve(dense(a), b, kExact, {.residual_tolerance = 1e-6}, x);
    EXPECT_EQ(report.stop, Stop::kResidual);
    EXPECT_LE(report.residual, 1e-6 * report.rhs);
    double error = 0.0;
    for (std::size_t i = 0; i < n; ++i) error += (x[i] - expected[i]) * (x[i] - expected[i]);
    // ‖x − x*‖ ≤ ‖A⁻¹‖·‖r‖, the residual asked for and that of rounding.
    const double bound = condition * (1e-6 + 16.0 * kEpsilon) * reference::norm(doubles(b));
    EXPECT_TRUE(std::sqrt(error) <= bound) << n << ": " << std::sqrt(error) << " > " << bound;
    EXPECT_NEAR(report.model, reference::quadratic_model(a, doubles(b), doubles(x)),
                1e-5 * std::fabs(report.model));
  }
}

TEST_P(ConjugateGradientsTest, EndsAfterAsManyStepsAsThereAreEigenvalues) {
  std::vector<float> elements(emulated() ? 700 : 30'011);
  for (std::size_t i = 0; i < elements.size(); ++i)
    elements[i] = (i % 3 == 0) ? 1.0f : (i % 3 == 1) ? 4.0f : 0.5f;
  const std::vector<float> b = uniform_floats(elements.size(), 3);
  std::vector<float> x;
  const auto report = solve(diagonal(elements), b, kExact, {.residual_tolerance = 1e-5}, x);
  EXPECT_EQ(report.iterations, 3);
  EXPECT_EQ(report.stop, Stop::kResidual);
  std::vector<double> value, bound;
  for (std::size_t i = 0; i < b.size(); ++i) {
    value.push_back(b[i] / elements[i]);
    bound.push_back(1e-5);
  }
  expect_within(x, value, bound);
}

TEST_P(ConjugateGradientsTest, TheInverseDiagonalSolvesDiagonalsInOneStep) {
  const std::size_t n = emulated() ? 700 : 30'011;
  std::vector<float> elements(n), inverse(n), b(n);
  for (std::size_t i = 0; i < n; ++i) {
    elements[i] = std::exp2(static_cast<float>(i % 9) - 4.0f);
    inverse[i] = 1.0f / elements[i];
    b[i] = static_cast<float>(i % 5) - 2.0f;
  }
  const DeviceArray<float> weights = upload(inverse);
  std::vector<float> x;
  const auto report = solve(diagonal(elements), b, kExact, {.inverse_weights = view(weights)}, x);
  EXPECT_EQ(report.iterations, 1);
  EXPECT_EQ(report.stop, Stop::kConverged);
  EXPECT_EQ(report.residual, 0.0);
  for (std::size_t i = 0; i < n; ++i) ASSERT_EQ(x[i], b[i] * inverse[i]);
}

TEST_P(ConjugateGradientsTest, PreconditioningIsAChangeOfVariables) {
  // With weights w it does what plain conjugate gradients do to √w·A·√w and √w·b.
  const std::size_t n = 40;
  const auto a = reference::with_spectrum(logarithmic_spectrum(n, 50.0), 4);
  const std::vector<float> b = uniform_floats(n, 5);
  std::vector<double> w(n), root(n);
  reference::Symmetric scaled(n);
  for (std::size_t i = 0; i < n; ++i) w[i] = std::exp2(double(i % 3)), root[i] = std::sqrt(w[i]);
  reference::Vector scaled_b(n);
  for (std::size_t i = 0; i < n; ++i) {
    scaled_b[i] = root[i] * b[i];
    for (std::size_t j = 0; j < n; ++j) scaled.at(i, j) = root[i] * a.at(i, j) * root[j];
  }
  const int steps = 7;
  const reference::Vector expected = reference::steihaug(
      scaled, scaled_b, reference::Vector(n, 1.0), reference::Vector(n, 1.0), 1e30, 0.0, steps);
  const DeviceArray<float> weights = upload(w);
  std::vector<float> x;
  solve(dense(a), b, {.max_iterations = steps, .model_tolerance = 0.0},
        {.inverse_weights = view(weights)}, x);
  for (std::size_t i = 0; i < n; ++i)
    EXPECT_NEAR(x[i], root[i] * expected[i], 2e-5 * reference::norm(expected)) << i;
}

// ---- starts and ends ---------------------------------------------------------------------------

TEST_P(ConjugateGradientsTest, WarmStarts) {
  const std::size_t n = 60;
  const auto a = reference::with_spectrum(logarithmic_spectrum(n, 30.0), 12);
  const std::vector<float> b = uniform_floats(n, 13), start = uniform_floats(n, 14);
  std::vector<float> x = start;
  const auto report = solve(dense(a), b, kExact, {.residual_tolerance = 1e-6}, x);
  EXPECT_NEAR(report.models[0], reference::quadratic_model(a, doubles(b), doubles(start)), 1e-4);
  EXPECT_EQ(report.stop, Stop::kResidual);
  const reference::Vector expected = reference::solve(a, doubles(b));
  for (std::size_t i = 0; i < n; ++i) EXPECT_NEAR(x[i], expected[i], 3e-4) << i;
  // Where it ended there is nothing left to do.
  const std::vector<float> solution = x;
  const auto again = solve(dense(a), b, kExact, {.residual_tolerance = 1e-5}, x);
  EXPECT_EQ(again.iterations, 0);
  EXPECT_EQ(again.stop, Stop::kResidual);
  EXPECT_EQ(x, solution);
  EXPECT_EQ(again.models.size(), 1u);
}

TEST_P(ConjugateGradientsTest, NothingToDo) {
  std::vector<float> x;
  auto report = solve(diagonal({1.0f, 2.0f}), {0.0f, 0.0f}, {}, {}, x);
  EXPECT_EQ(report.iterations, 0);
  EXPECT_EQ(report.stop, Stop::kConverged);
  EXPECT_EQ(x, (std::vector<float>{0.0f, 0.0f}));
  x.clear();
  report = solve(diagonal({}), {}, {}, {}, x);
  EXPECT_EQ(report.stop, Stop::kConverged);
}

// As many steps as parameters, and one or two more of what rounding left: not on and on, until sums
// underflow and a step is 0/0.
TEST_P(ConjugateGradientsTest, EndsWhereFloatHasNoBetterSolution) {
  reference::Symmetric a(2);
  a.element = {4.0, 1.0, 1.0, 3.0};
  const DeviceArray<float> weights = upload(std::vector<float>{0.3f, 0.7f});
  for (const double size : {1.0, 1e-18, 1e15})
    for (const bool weighted : {false, true}) {
      SCOPED_TRACE(std::to_string(size) + (weighted ? ", weighted" : ""));
      const std::vector<float> b{static_cast<float>(size), static_cast<float>(2.0 * size)};
      std::vector<float> first;
      int iterations = 0;
      for (const int look : {1, 2, 5, 23})
        for (const int recompute : {0, 10}) {
          ConjugateGradientsOptions options = kExact;
          options.look_every = look;
          options.recompute_residual_every = recompute;
          ConjugateGradientsProblem problem;
          if (weighted) problem.inverse_weights = view(weights);
          std::vector<float> x;
          const auto report = solve(dense(a), b, options, problem, x);
          EXPECT_EQ(report.stop, Stop::kConverged);
          EXPECT_LE(report.iterations, 4);
          EXPECT_LE(report.residual, kEpsilon * report.rhs);
          EXPECT_NEAR(x[0], size / 11.0, 3e-7 * size);
          EXPECT_NEAR(x[1], 7.0 * size / 11.0, 3e-7 * size);
          if (first.empty()) first = x, iterations = report.iterations;
          EXPECT_EQ(x, first) << "looking every " << look;
          EXPECT_EQ(report.iterations, iterations);
        }
    }
  EXPECT_EQ(to_string(Stop::kConverged), "converged");
}

TEST_P(ConjugateGradientsTest, ConvergesToZeroWhereTheRightHandSideIs) {
  std::vector<float> x{1.0f, 2.0f, 3.0f};
  const auto report = solve(diagonal({1.0f, 4.0f, 0.5f}), {0.0f, 0.0f, 0.0f}, kExact, {}, x);
  EXPECT_EQ(report.stop, Stop::kConverged);
  EXPECT_LE(report.iterations, 6);
  for (const float each : x) EXPECT_NEAR(each, 0.0f, 1e-6f);
}

TEST_P(ConjugateGradientsTest, NegativeCurvatureEndsASolveWhereItIs) {
  std::vector<float> x;
  auto report = solve(diagonal({1.0f, -1.0f}), {1.0f, 2.0f}, {}, {}, x);
  EXPECT_EQ(report.stop, Stop::kNegativeCurvature);
  EXPECT_EQ(report.iterations, 0);
  EXPECT_EQ(x, (std::vector<float>{0.0f, 0.0f}));
  // pᵀA·p is 5 at first: one step, and then not the other.
  x.clear();
  report = solve(diagonal({1.0f, -1.0f}), {3.0f, 2.0f}, {}, {}, x);
  EXPECT_EQ(report.stop, Stop::kNegativeCurvature);
  EXPECT_EQ(report.iterations, 1);
  EXPECT_NEAR(x[0], 3.0 * 13.0 / 5.0, 1e-6);
}

TEST_P(ConjugateGradientsTest, ProductsThatAreNotFinite) {
  int calls = 0;
  const LinearMap good = diagonal({1.0f, 2.0f, 3.0f}), bad = diagonal({NAN, 1.0f, 1.0f});
  const LinearMap a = [&](ConstVectorView v, VectorView product) {
    (++calls == 3 ? bad : good)(v, product);
  };
  std::vector<float> x, expected;
  const auto report = solve(a, {1.0f, 1.0f, 1.0f}, kExact, {}, x);
  EXPECT_EQ(report.stop, Stop::kNotFinite);
  EXPECT_EQ(report.iterations, 2);
  solve(good, {1.0f, 1.0f, 1.0f}, {.max_iterations = 2, .model_tolerance = 0.0}, {}, expected);
  EXPECT_EQ(x, expected) << "the iterate before stays";
  x.clear();
  EXPECT_EQ(solve(good, {1.0f, NAN, 1.0f}, {}, {}, x).stop, Stop::kNotFinite);
  EXPECT_EQ(solver_->kept().size(), 0u);
}

TEST_P(ConjugateGradientsTest, PaddingStaysZero) {
  std::vector<float> elements(64, 2.0f), b(64, 1.0f);
  for (std::size_t i = 0; i < b.size(); ++i) elements[i] += static_cast<float>(i % 7);
  for (std::size_t i = 40; i < 48; ++i) b[i] = 0.0f;
  std::vector<float> x;
  solve(diagonal(elements), b, {}, {}, x);
  for (std::size_t i = 0; i < x.size(); ++i) EXPECT_EQ(x[i] == 0.0f, b[i] == 0.0f) << i;
}

TEST_P(ConjugateGradientsTest, ErrorsOfTheOperatorComeThrough) {
  const LinearMap a = [](ConstVectorView, VectorView) { throw std::runtime_error("mine"); };
  std::vector<float> x;
  EXPECT_THROW(solve(a, {1.0f}, {}, {}, x), std::runtime_error);
  // The solver is as good as new.
  const DeviceArray<float> b = upload(std::vector<float>{3.0f}),
                           to = upload(std::vector<float>{0.0f});
  EXPECT_EQ(solver_->solve(diagonal({2.0f}), {.b = view(b)}, view(to)).iterations, 1);
  EXPECT_EQ(download(to)[0], 1.5f);
}

TEST_P(ConjugateGradientsTest, Refusals) {
  EXPECT_EQ(to_string(Stop::kNegativeCurvature), "negative curvature");
  const auto make = [&](const ConjugateGradientsOptions& options) {
    ConjugateGradients(stream_, 2, options);
  };
  expect_refused([&] { make({.max_iterations = 0}); }, "max_iterations is 0");
  expect_refused([&] { make({.model_tolerance = NAN}); }, "model_tolerance is nan");
  expect_refused([&] { make({.model_window = 0}); }, "model_window is 0");
  expect_refused([&] { make({.look_every = -1}); }, "look_every -1");
  expect_refused([&] { ConjugateGradients(stream_, -1); }, "the size is -1");
  const DeviceArray<float> two = upload(std::vector<float>{1.0f, 1.0f}),
                           three = upload(std::vector<float>{1.0f, 1.0f, 1.0f});
  ConjugateGradients solver(stream_, 2);
  const auto solve_for = [&](const ConjugateGradientsProblem& problem, VectorView x) {
    solver.solve(diagonal({1.0f, 2.0f}), problem, x);
  };
  expect_refused([&] { solve_for({.b = view(three)}, view(two)); },
                 "b has 3 elements, the solver was made for 2");
  expect_refused([&] { solve_for({.b = view(two)}, view(three)); }, "x has 3 elements");
  expect_refused([&] { solve_for({.b = view(two), .inverse_weights = view(three)}, view(two)); },
                 "preconditioner has 3 elements");
  expect_refused([&] { solve_for({.b = view(two), .radius = -1.0}, view(two)); }, "radius is -1");
  expect_refused([&] { solve_for({.b = view(two), .warm_start = true, .radius = 1.0}, view(two)); },
                 "exclude each other");
}

TEST_P(ConjugateGradientsTest, MemoryIsWhatWasPromised) {
  const std::int64_t n = 1 << 20;
  const std::size_t vector = sizeof(float) << 20;
  EXPECT_NEAR(static_cast<double>(ConjugateGradients(stream_, n).memory_bytes()), 3.0 * vector,
              0.01 * vector);
  EXPECT_NEAR(
      static_cast<double>(ConjugateGradients(stream_, n, {.keep_iterates = true}).memory_bytes()),
      (3.0 + 20.0) * vector, 0.01 * vector);
}

CURVSEG_INSTANTIATE_DEVICES(ConjugateGradientsTest);

}  // namespace
}  // namespace curvseg::testing
