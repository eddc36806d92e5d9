// The quadratic model of conjugate gradients: its values, the rule that stops on it, kept iterates,
// recomputed residuals, and truncation at a trust region.
#include <cmath>

#include "host/solvers/conjugate_gradients_case.hpp"
#include "support/random_data.hpp"

namespace curvseg::testing {
namespace {

using Stop = ConjugateGradientsStop;

using CgModel = ConjugateGradientsTest;

TEST_P(CgModel, ModelsAreThoseOfTheIteratesThatWereKept) {
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

TEST_P(CgModel, StopsWhereMartensRuleSaysSo) {
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

// Without, the recurrence goes on to shrink when float has no better solution any more, and ends
// there.
TEST_P(CgModel, RecomputedResidualsAreTrueOnes) {
  const std::size_t n = size();
  const auto a = reference::with_spectrum(logarithmic_spectrum(n, 2e3), 10);
  const std::vector<float> b = uniform_floats(n, 11);
  const auto claimed_of_true = [&](int every) {
    std::vector<float> x;
    const auto report = solve(
        dense(a), b,
        {.max_iterations = 500, .model_tolerance = 0.0, .recompute_residual_every = every}, {}, x);
    EXPECT_EQ(report.stop, every == 0 ? Stop::kConverged : Stop::kIterations);
    const int recomputed = every == 0 ? 0 : report.iterations / every;
    // Where it ends by itself, some more were asked for before the host looked.
    EXPECT_GE(report.products, report.iterations + recomputed);
    if (every > 0) {
      EXPECT_EQ(report.products, report.iterations + recomputed);
    }
    reference::Vector r = a * doubles(x);
    for (std::size_t i = 0; i < n; ++i) r[i] = b[i] - r[i];
    return report.residual / reference::norm(r);
  };
  EXPECT_GT(claimed_of_true(10), 0.1);
  EXPECT_LT(claimed_of_true(0), 0.01) << "the case is too easy to show anything";
}

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

CURVSEG_INSTANTIATE_DEVICES(CgModel);
CURVSEG_INSTANTIATE_DEVICES(Truncation);

}  // namespace
}  // namespace curvseg::testing
