// Conjugate gradients against dense solutions and known spectra.
#include <cmath>
#include <limits>
#include <memory>
#include <stdexcept>

#include "host/solvers/operators.hpp"
#include "support/random_data.hpp"
#include "support/schedules.hpp"

namespace curvseg::testing {
namespace {

constexpr double kEpsilon = std::numeric_limits<float>::epsilon();
using Stop = ConjugateGradientsStop;

class ConjugateGradientsTest : public SolverTest {
 protected:
  /// From 0, or from `x` where it is not empty.
  ConjugateGradientsReport solve(const LinearMap& a, const std::vector<float>& b,
                                 const ConjugateGradientsOptions& options,
                                 ConjugateGradientsProblem problem, std::vector<float>& x) {
    const DeviceArray<float> device_b = upload(b);
    const DeviceArray<float> device_x = upload(x.empty() ? std::vector<float>(b.size(), NAN) : x);
    problem.b = view(device_b);
    problem.warm_start = !x.empty();
    solver_ = std::make_unique<ConjugateGradients>(stream_, device_b.size(), options);
    const ConjugateGradientsReport report = solver_->solve(a, problem, view(device_x));
    x = download(device_x);
    return report;
  }

  /// For dense matrices.
  std::size_t size() const { return emulated() ? 50 : 130; }

  std::unique_ptr<ConjugateGradients> solver_;  // keeps what the report points to
};

/// n eigenvalues from 1/condition to 1, evenly on a logarithmic scale.
std::vector<double> logarithmic_spectrum(std::size_t n, double condition) {
  std::vector<double> result;
  for (std::size_t i = 0; i < n; ++i)
    result.push_back(
        std::pow(condition, -static_cast<double>(i) / static_cast<double>(n > 1 ? n - 1 : 1)));
  return result;
}

constexpr ConjugateGradientsOptions kExact = {.max_iterations = 1000, .model_tolerance = 0.0};

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
  EXPECT_EQ(report.stop, Stop::kResidual);
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

// ---- the quadratic model -----------------------------------------------------------------------

TEST_P(ConjugateGradientsTest, ModelsAreThoseOfTheIteratesThatWereKept) {
  const std::size_t n = size();
  const auto a = reference::with_spectrum(logarithmic_spectrum(n, 1e4), 6);
  const std::vector<float> b = uniform_floats(n, 7);
  std::vector<float> x;
  const auto report = solve(
      dense(a), b, {.max_iterations = 60, .model_tolerance = 0.0, .keep_iterates = true}, {}, x);
  ASSERT_EQ(report.iterations, 60);
  for (std::size_t i = 1; i < report.models.size(); ++i)
    EXPECT_LT(report.models[i], report.models[i - 1]) << i;
  const std::vector<int> expected = {1, 2, 3, 4, 5, 7, 9, 11, 14, 18, 24, 31, 40, 52};
  ASSERT_EQ(solver_->kept().size(), expected.size());
  std::vector<std::vector<float>> kept_x;
  for (std::size_t j = 0; j < expected.size(); ++j) {
    const KeptIterate& kept = solver_->kept()[j];
    EXPECT_EQ(kept.iteration, expected[j]);
    EXPECT_EQ(kept.model, report.models[static_cast<std::size_t>(kept.iteration)]);
    kept_x.push_back(download(kept.x));
    const double model = reference::quadratic_model(a, doubles(b), doubles(kept_x.back()));
    EXPECT_NEAR(kept.model, model, 1e-5 * std::fabs(model)) << "iteration " << kept.iteration;
  }
  for (std::size_t j = 0; j < expected.size(); ++j) {  // the same bits as a solve that ends there
    std::vector<float> shorter;
    solve(dense(a), b, {.max_iterations = expected[j], .model_tolerance = 0.0}, {}, shorter);
    EXPECT_EQ(kept_x[j], shorter) << "iteration " << expected[j];
  }
}

TEST_P(ConjugateGradientsTest, StopsWhereMartensRuleSaysSo) {
  const std::size_t n = size();
  const auto a = reference::with_spectrum(logarithmic_spectrum(n, 1e4), 8);
  const std::vector<float> b = uniform_floats(n, 9);
  for (const double epsilon : {5e-4, 5e-3}) {
    std::vector<float> x, free;
    const auto report = solve(dense(a), b, {.model_tolerance = epsilon}, {}, x);
    const std::vector<double> models(report.models.begin(), report.models.end());
    EXPECT_EQ(report.stop, Stop::kModel);
    const auto flat = [&](int i) {
      const int k = std::max(10, static_cast<int>(std::ceil(0.1 * i)));
      if (i <= k) return false;
      const double now = models[static_cast<std::size_t>(i)];
      return now < 0.0 && (now - models[static_cast<std::size_t>(i - k)]) / now < k * epsilon;
    };
    ASSERT_GT(report.iterations, 11);
    for (int i = 1; i <= report.iterations; ++i)
      EXPECT_EQ(flat(i), i == report.iterations) << "iteration " << i;
    // The rule only cuts: without it the same steps are taken.
    const auto longer = solve(dense(a), b, {.model_tolerance = 0.0}, {}, free);
    ASSERT_EQ(longer.iterations, 250);
    for (std::size_t i = 0; i < models.size(); ++i) EXPECT_EQ(models[i], longer.models[i]);
  }
}

// Without, the recurrence goes on to shrink when float has no better solution any more.
TEST_P(ConjugateGradientsTest, RecomputedResidualsAreTrueOnes) {
  const std::size_t n = size();
  const auto a = reference::with_spectrum(logarithmic_spectrum(n, 1e3), 10);
  const std::vector<float> b = uniform_floats(n, 11);
  const auto claimed_of_true = [&](int every) {
    std::vector<float> x;
    const auto report = solve(
        dense(a), b,
        {.max_iterations = 300, .model_tolerance = 0.0, .recompute_residual_every = every}, {}, x);
    EXPECT_EQ(report.iterations, 300);
    EXPECT_EQ(report.products, every == 0 ? 300 : 300 + 300 / every);
    reference::Vector r = a * doubles(x);
    for (std::size_t i = 0; i < n; ++i) r[i] = b[i] - r[i];
    return report.residual / reference::norm(r);
  };
  EXPECT_GT(claimed_of_true(10), 0.1);
  EXPECT_LT(claimed_of_true(0), 0.01) << "the case is too easy to show anything";
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
  EXPECT_EQ(report.stop, Stop::kResidual);
  EXPECT_EQ(x, (std::vector<float>{0.0f, 0.0f}));
  x.clear();
  report = solve(diagonal({}), {}, {}, {}, x);
  EXPECT_EQ(report.stop, Stop::kResidual);
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

// ---- truncation --------------------------------------------------------------------------------

class Truncation : public ConjugateGradientsTest {
 protected:
  static double norm(const std::vector<float>& x, const std::vector<double>& metric) {
    double sum = 0.0;
    for (std::size_t i = 0; i < x.size(); ++i) sum += static_cast<double>(x[i]) * x[i] / metric[i];
    return std::sqrt(sum);
  }
};

TEST_P(Truncation, EndsOnTheBoundaryInEitherNorm) {
  const std::size_t n = 60;
  const auto a = reference::with_spectrum(logarithmic_spectrum(n, 100.0), 20);
  const std::vector<float> b = uniform_floats(n, 21);
  std::vector<double> w(n), ones(n, 1.0);
  for (std::size_t i = 0; i < n; ++i) w[i] = 0.5 + static_cast<double>(i % 4);
  const DeviceArray<float> weights = upload(w);
  for (const bool weighted : {false, true})
    for (const double radius : {0.1, 3.0, 30.0}) {
      SCOPED_TRACE(std::to_string(radius) + (weighted ? ", preconditioned" : ""));
      const auto& metric = weighted ? w : ones;
      std::vector<float> x;
      const auto report = solve(dense(a), b, kExact,
                                {.inverse_weights = view(weights),
                                 .radius = radius,
                                 .radius_norm = weighted ? TrustRegionNorm::kPreconditioner
                                                         : TrustRegionNorm::kEuclidean},
                                x);
      EXPECT_EQ(report.stop, Stop::kBoundary);
      EXPECT_NEAR(norm(x, metric), radius, 1e-5 * radius);
      const auto expected = reference::steihaug(a, doubles(b), w, metric, radius, 0.0, 1000);
      for (std::size_t i = 0; i < n; ++i) EXPECT_NEAR(x[i], expected[i], 1e-3 * radius) << i;
      EXPECT_NEAR(report.model, reference::quadratic_model(a, doubles(b), doubles(x)),
                  1e-5 * std::fabs(report.model));
      for (std::size_t i = 1; i < report.models.size(); ++i)
        EXPECT_LT(report.models[i], report.models[i - 1]);
    }
}

TEST_P(Truncation, ARadiusThatIsLargeEnoughChangesNothing) {
  const std::size_t n = 60;
  const auto a = reference::with_spectrum(logarithmic_spectrum(n, 10.0), 22);
  const std::vector<float> b = uniform_floats(n, 23);
  std::vector<float> x, free;
  const auto report = solve(dense(a), b, kExact, {.residual_tolerance = 1e-5, .radius = 1e6}, x);
  EXPECT_EQ(report.stop, Stop::kResidual);
  solve(dense(a), b, kExact, {.residual_tolerance = 1e-5}, free);
  EXPECT_EQ(x, free);
}

TEST_P(Truncation, FollowsNegativeCurvatureToTheBoundary) {
  std::vector<float> x;
  auto report = solve(diagonal({1.0f, -1.0f}), {3.0f, 4.0f}, {}, {.radius = 10.0}, x);
  EXPECT_EQ(report.stop, Stop::kNegativeCurvature);
  EXPECT_EQ(report.iterations, 1);
  EXPECT_EQ(x, (std::vector<float>{6.0f, 8.0f}));
  EXPECT_NEAR(report.model, 0.5 * (36.0 - 64.0) - (18.0 + 32.0), 1e-4);
  // And after some steps of positive curvature.
  const std::size_t n = 50;
  auto spectrum = logarithmic_spectrum(n, 20.0);
  spectrum[7] = -0.5;
  const auto a = reference::with_spectrum(spectrum, 24);
  const std::vector<float> b = uniform_floats(n, 25);
  const std::vector<double> ones(n, 1.0);
  x.clear();
  report = solve(dense(a), b, kExact, {.radius = 50.0}, x);
  EXPECT_EQ(report.stop, Stop::kNegativeCurvature);
  EXPECT_GT(report.iterations, 1);
  EXPECT_NEAR(norm(x, ones), 50.0, 1e-3);
  const auto expected = reference::steihaug(a, doubles(b), ones, ones, 50.0, 0.0, 1000);
  for (std::size_t i = 0; i < n; ++i) EXPECT_NEAR(x[i], expected[i], 0.05) << i;
}

CURVSEG_INSTANTIATE_DEVICES(Truncation);

// ---- repeatability -----------------------------------------------------------------------------

class CgRepeatability : public ConjugateGradientsTest {
 protected:
  /// All that a solve gives, at one cadence of looks.
  std::vector<double> everything(const LinearMap& a, const std::vector<float>& b, int look_every,
                                 const ConjugateGradientsProblem& problem) {
    std::vector<float> x;
    const auto report = solve(
        a, b, {.max_iterations = 60, .look_every = look_every, .keep_iterates = true}, problem, x);
    std::vector<double> result = {static_cast<double>(report.iterations),
                                  static_cast<double>(report.stop), report.model, report.residual,
                                  report.rhs};
    result.insert(result.end(), report.models.begin(), report.models.end());
    for (const KeptIterate& kept : solver_->kept()) {
      const auto values = download(kept.x);
      result.push_back(kept.iteration);
      result.insert(result.end(), values.begin(), values.end());
    }
    result.insert(result.end(), x.begin(), x.end());
    return result;
  }
};

TEST_P(CgRepeatability, TheCadenceOfLooksChangesNoBit) {
  const std::size_t n = 60;
  auto spectrum = logarithmic_spectrum(n, 1e3);
  const LinearMap definite = dense(reference::with_spectrum(spectrum, 30));
  spectrum[3] = -0.01;
  const LinearMap indefinite = dense(reference::with_spectrum(spectrum, 30));
  const LinearMap broken = [&, calls = 0](ConstVectorView v, VectorView product) mutable {
    definite(v, product);
    if (++calls == 8) fill(stream_, {product.data, 1}, NAN);
  };
  const std::vector<float> b = uniform_floats(n, 31);
  const ConjugateGradientsProblem residual{.residual_tolerance = 0.05}, region{.radius = 8.0};
  const std::vector<std::pair<const LinearMap*, const ConjugateGradientsProblem*>> cases = {
      {&definite, &residual}, {&definite, &region}, {&indefinite, &region}, {&broken, &residual}};
  for (std::size_t i = 0; i < cases.size(); ++i) {
    const auto run = [&](int look_every) {
      const LinearMap a = *cases[i].first;  // a copy: some count their calls
      return everything(a, b, look_every, *cases[i].second);
    };
    const auto first = run(1);
    EXPECT_LT(first[0], 60.0) << "case " << i << " never stops: it would show nothing";
    for (const int look_every : {0, 2, 3, 7, 60, 1000})
      EXPECT_TRUE(run(look_every) == first) << "case " << i << ", every " << look_every;
  }
}

TEST_P(CgRepeatability, EveryScheduleGivesTheSameBits) {
  const std::size_t n = emulated() ? 17'003 : 100'003;  // several blocks
  std::vector<float> elements = uniform_floats(n, 32);
  for (float& element : elements) element += 1.5f;
  const std::vector<float> b = uniform_floats(n, 33), w(n, 0.7f);
  const DeviceArray<float> weights = upload(w);
  const LinearMap a = diagonal(elements);
  expect_same_on_every_schedule(GetParam(), [&] {
    return everything(a, b, 2, {.inverse_weights = view(weights), .residual_tolerance = 1e-2});
  });
}

CURVSEG_INSTANTIATE_DEVICES(CgRepeatability);

}  // namespace
}  // namespace curvseg::testing
