// The published settings of damped-diagonal as numbers, and its bounds step by step.
#include "curvseg/error.hpp"
#include "support/devices.hpp"
#include "tests/host/optim/linear_case.hpp"

namespace curvseg {
namespace {

using test::Doubles;
using test::Floats;

void expect_sophia(const DampedDiagonalOptions& o, DiagonalEstimator estimator, float gamma) {
  EXPECT_EQ(o.preset, "");
  EXPECT_EQ(o.estimator, estimator);
  EXPECT_EQ(o.beta1, 0.96f);
  EXPECT_EQ(o.beta2, 0.99f);
  EXPECT_EQ(o.gamma, gamma);
  EXPECT_EQ(o.epsilon, 1e-12f);
  EXPECT_EQ(o.clip, 1.0f);
  EXPECT_EQ(o.clip_norm, 1.0f);
  EXPECT_EQ(o.refresh_every, 10);
  EXPECT_FALSE(o.mean_square || o.unbiased || o.spatial_mean);
  EXPECT_EQ(o.decoupled_l2, 0.2f);
}

TEST(DampedDiagonalPresets, AreThePublishedNumbers) {
  for (const char* name : {"sophia", "sophia-g"}) {
    SCOPED_TRACE(name);
    expect_sophia(damped_diagonal_preset(name), DiagonalEstimator::kGaussNewtonBartlett, 0.05f);
  }
  expect_sophia(damped_diagonal_preset("sophia-h"), DiagonalEstimator::kHutchinson, 0.01f);
  const DampedDiagonalOptions o = damped_diagonal_preset("adahessian");
  EXPECT_EQ(o.preset, "");
  EXPECT_EQ(o.estimator, DiagonalEstimator::kHutchinson);
  EXPECT_EQ(o.beta1, 0.9f);
  EXPECT_EQ(o.beta2, 0.999f);
  EXPECT_EQ(o.gamma, 1.0f);
  EXPECT_EQ(o.epsilon, 1e-4f);
  EXPECT_EQ(o.clip, 0.0f);
  EXPECT_EQ(o.clip_norm, 0.0f);
  EXPECT_EQ(o.refresh_every, 1);
  EXPECT_TRUE(o.mean_square && o.unbiased && o.spatial_mean);
  EXPECT_EQ(o.decoupled_l2, 5e-4f);
  OptimizerOptions options{.name = "damped-diagonal"};
  options.damped_diagonal.preset = "adahessian";
  EXPECT_EQ(static_cast<float>(default_learning_rate(options)), 0.15f);
  EXPECT_THROW(damped_diagonal_preset("sophia-i"), InputError);
}

TEST(DampedDiagonalPresets, TheFieldsByDefaultAreSophias) {
  DampedDiagonalOptions o;
  EXPECT_EQ(o.preset, "sophia");
  o.preset = "";
  o.decoupled_l2 = 0.2f;
  expect_sophia(o, DiagonalEstimator::kGaussNewtonBartlett, 0.05f);
}

class DampedDiagonalTest : public ::testing::TestWithParam<std::string> {
 protected:
  /// How often each bound was met over six steps that follow the formula in double.
  struct Met {
    int epsilon = 0, curvature = 0, clip = 0, unclipped = 0, norm = 0;
  };

  static DampedDiagonalOptions own_options() {
    DampedDiagonalOptions o;
    o.preset = "";
    o.estimator = DiagonalEstimator::kHutchinson;
    o.beta1 = 0.8f;
    o.beta2 = 0.7f;
    o.gamma = 0.5f;
    o.epsilon = 0.1f;
    o.clip = 0.5f;
    o.clip_norm = 0.0f;
    o.refresh_every = 2;
    o.decoupled_l2 = 0.3f;
    return o;
  }

  /// `max_norm` is given with every step; the smaller of it and o.clip_norm counts.
  static Met follow(const DampedDiagonalOptions& o, float max_norm, bool gives_norm = true) {
    const auto on = test::diagonal_case(GetParam());
    on->use({.name = "damped-diagonal", .damped_diagonal = o});
    Met met;
    Doubles theta(static_cast<std::size_t>(on->model().parameter_count())), m(theta), h(theta);
    for (int t = 1; t <= 6; ++t) {
      SCOPED_TRACE("step " + std::to_string(t));
      on->step(0.1f, max_norm, gives_norm);
      const Doubles g = on->gradient(theta);
      const double norm = std::sqrt(test::inner(g, g));
      double scale = 1.0;
      for (const float largest : {max_norm, o.clip_norm})
        if (largest > 0.0f) scale = std::min(scale, double{largest} / norm);
      if (scale < 1.0) ++met.norm;
      const double correction = o.unbiased ? 1.0 - std::pow(double{o.beta1}, t) : 1.0;
      for (int k = 0; k < 2; ++k)
        for (int r = 0; r < on->rows(); ++r) {
          const std::size_t i = on->place(r, k);
          m[i] = double{o.beta1} * m[i] + (1.0 - double{o.beta1}) * scale * g[i];
          if (o.unbiased)
            h[i] = on->hessian(r, r);  // a mean of one value
          else if (t % o.refresh_every == 1)
            h[i] = double{o.beta2} * h[i] + (1.0 - double{o.beta2}) * on->hessian(r, r);
          const double bent = double{o.gamma} * h[i];
          ++(bent < double{o.epsilon} ? met.epsilon : met.curvature);
          double ratio = m[i] / correction / std::max(bent, double{o.epsilon});
          ++(std::fabs(ratio) > double{o.clip} ? met.clip : met.unclipped);
          ratio = std::clamp(ratio, -double{o.clip}, double{o.clip});
          theta[i] -= double{0.1f} * (ratio + double{o.decoupled_l2} * theta[i]);
        }
      test::expect_near(on->theta(), theta, 1e-5);
    }
    EXPECT_EQ(on->number("rejected"), 0.0);
    return met;
  }
};

TEST_P(DampedDiagonalTest, FollowsItsFormulaAtEveryBound) {
  const Met met = follow(own_options(), 0.0f);
  EXPECT_GT(met.epsilon, 5);
  EXPECT_GT(met.curvature, 5);
  EXPECT_GT(met.clip, 5);
  EXPECT_GT(met.unclipped, 5);
}

TEST_P(DampedDiagonalTest, ClipsTheGradientByItsNorm) {
  EXPECT_GT(follow(own_options(), 0.2f).norm, 3);
  DampedDiagonalOptions o = own_options();
  o.clip_norm = 0.2f;
  EXPECT_GT(follow(o, 0.0f).norm, 3);
  EXPECT_GT(follow(o, 0.1f).norm, 3);
  EXPECT_GT(follow(o, 0.3f).norm, 3);
}

TEST_P(DampedDiagonalTest, LooksForTheNormItselfWhereNobodyGivesIt) {
  DampedDiagonalOptions o = own_options();
  o.clip_norm = 0.2f;
  EXPECT_GT(follow(o, 0.0f, /*gives_norm=*/false).norm, 3);
}

TEST_P(DampedDiagonalTest, DividesMeansByTheirWeights) {
  DampedDiagonalOptions o = own_options();
  o.unbiased = true;
  EXPECT_GT(follow(o, 0.0f).unclipped, 5);
}

INSTANTIATE_TEST_SUITE_P(Devices, DampedDiagonalTest, ::testing::ValuesIn(testing::cheap_devices()),
                         [](const auto& instance) { return instance.param; });

}  // namespace
}  // namespace curvseg
