// FOOF over a dozen steps on changing batches, against its formulas in double.
#include <set>

#include "host/optim/input_factors.hpp"
#include "reference/dense.hpp"
#include "reference/patches.hpp"
#include "reference/quadratic.hpp"
#include "support/devices.hpp"
#include "tests/host/optim/linear_case.hpp"

namespace curvseg {
namespace {

using reference::DenseMatrix;
using test::Doubles;
using test::Floats;
using test::TrainingCase;

/// docs/second_order.md on a linear model, from the whole history of what it averages. Every loss
/// is acceptable unless reject() is called.
class LinearFoof {
 public:
  LinearFoof(const TrainingCase& on, const FoofOptions& options, std::set<int> observed,
             std::set<int> inverted)
      : on_(on),
        o_(options),
        observed_(std::move(observed)),
        inverted_(std::move(inverted)),
        model_(double{o_.model_damping} + double{o_.l2}, double{o_.smoothing}, double{o_.radius}),
        theta(static_cast<std::size_t>(on.model().parameter_count())),
        previous_(theta),
        inverse_(1, 1) {}

  void step(int t, double factor) {
    Doubles g = on_.gradient(theta);
    for (std::size_t i = 0; i < g.size(); ++i) g[i] += double{o_.l2} * theta[i];
    if (observed_.count(t) > 0) factors_.push_back(observation(t));
    if (inverted_.count(t) > 0) inverse_ = damped_inverse();
    gradients_.push_back(g);
    const Doubles m = mean_gradient(), d = preconditioned(m);
    const int images = static_cast<int>(std::ceil(3.0 * double{o_.batch_fraction}));
    const Doubles& p = previous_;
    const reference::Measured measured{
        on_.form(d, d, images), on_.form(d, p, images), on_.form(p, p, images),
        test::inner(g, d),      test::inner(g, p),      test::inner(d, d),
        test::inner(d, p),      test::inner(p, p),      test::inner(m, d)};
    last = o_.previous_direction ? model_.step(measured, has_previous_)
                                 : model_.smoothed_step(measured, double{o_.curvature_smoothing},
                                                        t <= 10 || t % o_.model_every == 0);
    for (std::size_t i = 0; i < theta.size(); ++i) {
      previous_[i] = factor * last.scale * (last.mu * p[i] - last.alpha * d[i]);
      theta[i] += previous_[i];
    }
    has_previous_ = true;
  }

  /// The last step is taken back, and this batch counts nowhere.
  void reject(int t) {
    if (inverted_.count(t) > 0) inverse_ = damped_inverse();
    for (std::size_t i = 0; i < theta.size(); ++i) theta[i] -= previous_[i];
    has_previous_ = false;
  }

 private:
  /// Mean of f·fᵀ, f = (channels, 1), over the positions that step t draws.
  DenseMatrix observation(int t) const {
    const auto n = static_cast<std::size_t>(on_.rows());
    const std::vector<std::int64_t> positions = reference::patch_positions(
        static_cast<std::int64_t>(on_.pixels()), o_.positions, 0, static_cast<std::uint64_t>(t), 0);
    DenseMatrix mean(n, n);
    for (const std::int64_t position : positions)
      for (std::size_t i = 0; i < n; ++i)
        for (std::size_t j = 0; j < n; ++j)
          mean.at(i, j) += on_.feature(static_cast<std::size_t>(position), static_cast<int>(i)) *
                           on_.feature(static_cast<std::size_t>(position), static_cast<int>(j)) /
                           static_cast<double>(positions.size());
    return mean;
  }

  /// (A + damping·trace(A)/n·I)⁻¹
  DenseMatrix damped_inverse() const {
    DenseMatrix mean = factors_.front();
    for (std::size_t i = 0; i < mean.values.size(); ++i) {
      Doubles history;
      for (const DenseMatrix& each : factors_) history.push_back(each.values[i]);
      mean.values[i] = reference::weighted_mean(history, double{o_.factor_decay});
    }
    double trace = 0.0;
    for (std::size_t i = 0; i < mean.rows; ++i) trace += mean.at(i, i);
    for (std::size_t i = 0; i < mean.rows; ++i)
      mean.at(i, i) += double{o_.damping} * trace / static_cast<double>(mean.rows);
    return reference::inverse(mean);
  }

  Doubles mean_gradient() const {
    Doubles mean(theta.size());
    for (std::size_t i = 0; i < mean.size(); ++i) {
      Doubles history;
      for (const Doubles& each : gradients_) history.push_back(each[i]);
      mean[i] = reference::weighted_mean(history, double{o_.momentum});
    }
    return mean;
  }

  Doubles preconditioned(const Doubles& m) const {
    Doubles d(m.size());
    for (int k = 0; k < on_.model().classes(); ++k)
      for (int i = 0; i < on_.rows(); ++i)
        for (int j = 0; j < on_.rows(); ++j)
          d[on_.place(i, k)] +=
              inverse_.at(static_cast<std::size_t>(i), static_cast<std::size_t>(j)) *
              m[on_.place(j, k)];
    return d;
  }

  const TrainingCase& on_;
  FoofOptions o_;
  std::set<int> observed_, inverted_;
  reference::QuadraticModel model_;

 public:
  Doubles theta;
  reference::Step last;

 private:
  Doubles previous_;
  bool has_previous_ = false;
  DenseMatrix inverse_;
  std::vector<DenseMatrix> factors_;
  std::vector<Doubles> gradients_;
};

/// With factor_every 4 and inverse_every 6: what 16 steps look at and invert.
const std::set<int> kObserved{1, 2, 3, 4, 5, 6, 8, 12, 16}, kInverted{1, 2, 3, 5, 6, 12};

FoofOptions short_periods() {
  return {.factor_decay = 0.8f,
          .factor_every = 4,
          .inverse_every = 6,
          .momentum = 0.3f,
          .batch_fraction = 0.5f,
          .radius = 1e6f};
}

class FoofTrajectory : public ::testing::TestWithParam<std::string> {
 protected:
  void SetUp() override { on_ = test::linear_case(GetParam()); }

  /// Steps on the batches of `seed`; returns in how many μ was inside its bounds.
  int follow(const FoofOptions& options) {
    on_->use({.name = "foof", .foof = options});
    on_->set_theta(Floats(static_cast<std::size_t>(on_->model().parameter_count())));
    LinearFoof expected(*on_, options, kObserved, kInverted);
    int inside = 0;
    for (int t = 1; t <= 16; ++t) {
      SCOPED_TRACE("step " + std::to_string(t));
      test::set_batch(*on_, 100 + static_cast<unsigned>(t));
      const float factor = 1.0f - 0.05f * static_cast<float>(t);
      on_->step(factor);
      expected.step(t, double{factor});
      test::expect_near(on_->theta(), expected.theta, 2e-5);
      EXPECT_NEAR(on_->number("alpha"), expected.last.alpha, 1e-4 * expected.last.alpha);
      EXPECT_NEAR(on_->number("mu"), expected.last.mu, 1e-4);
      if (expected.last.mu > 0.0 && expected.last.mu < 1.0) ++inside;
      scaled_ = scaled_ || expected.last.scale < 1.0;
    }
    EXPECT_EQ(on_->number("rejected"), 0.0);
    return inside;
  }

  /// Steps until two after `failing`, whose batch is far too bright.
  void reject(const FoofOptions& options, int failing) {
    on_->use({.name = "foof", .foof = options});
    LinearFoof expected(*on_, options, kObserved, kInverted);
    for (int t = 1; t <= failing + 2; ++t) {
      SCOPED_TRACE("step " + std::to_string(t));
      test::set_batch(*on_, 100 + static_cast<unsigned>(t), t == failing ? 1e3f : 1.0f);
      on_->step();
      if (t == failing) {
        expected.reject(t);
        EXPECT_EQ(on_->number("radius"), double{options.radius} / 4.0);
        EXPECT_EQ(on_->number("model_decrease"), 0.0);
      } else {
        expected.step(t, 1.0);
      }
      test::expect_near(on_->theta(), expected.theta, 2e-5);
    }
    EXPECT_EQ(on_->number("rejected"), 1.0);
    EXPECT_NEAR(on_->number("radius"), double{options.radius} / 4.0 * 1.21, 1.0);
  }

  std::unique_ptr<TrainingCase> on_;
  bool scaled_ = false;  // by the trust region
};

/// Directions that are nearly gradients leave something to the previous one.
FoofOptions with_momentum_of_the_model() {
  FoofOptions options = short_periods();
  options.damping = 3.0f;
  options.momentum = 0.1f;
  options.batch_fraction = 0.6f;
  return options;
}

TEST_P(FoofTrajectory, FollowsItsFormulasWithThePreviousDirection) {
  EXPECT_GE(follow(with_momentum_of_the_model()), 3) << "μ was at a bound";
  EXPECT_FALSE(scaled_) << "the trust region hides λ";
}

TEST_P(FoofTrajectory, FollowsItsFormulasAlongOneDirection) {
  FoofOptions options = short_periods();
  options.previous_direction = false;
  options.momentum = 0.7f;
  EXPECT_EQ(follow(options), 0);
}

TEST_P(FoofTrajectory, SmoothsACurvatureThatItMeasuresInEveryOtherStep) {
  FoofOptions options = short_periods();
  options.previous_direction = false;
  options.curvature_smoothing = 0.6f;
  options.model_every = 2;
  follow(options);
}

TEST_P(FoofTrajectory, RegularisationIsInGradientAndModel) {
  FoofOptions options = with_momentum_of_the_model();
  options.l2 = 0.1f;
  EXPECT_GE(follow(options), 2);
}

TEST_P(FoofTrajectory, LooksAtOtherPositionsInEveryObservation) {
  FoofOptions options = short_periods();
  options.positions = 7;
  follow(options);
}

TEST_P(FoofTrajectory, StepsEndAtTheTrustRegion) {
  FoofOptions options = short_periods();
  options.radius = 1e-3f;
  follow(options);
  EXPECT_TRUE(scaled_) << "the trust region was no limit";
}

// In a step that would observe and invert: the image is a thousand times as bright.
TEST_P(FoofTrajectory, AStepThatFailsIsTakenBackAndItsBatchCountsNowhere) {
  reject(short_periods(), 6);
}

// Step 12 would measure the curvature that step 13 does without.
TEST_P(FoofTrajectory, ACurvatureOfABatchThatFailsDoesNotCount) {
  FoofOptions options = short_periods();
  options.previous_direction = false;
  options.curvature_smoothing = 0.6f;
  options.model_every = 2;
  reject(options, 12);
}

TEST_P(FoofTrajectory, ABatchWithoutLabelsMovesNothingAndLeavesNoTrace) {
  const FoofOptions options = short_periods();
  on_->use({.name = "foof", .foof = options});
  const test::LinearBatch batch(101);
  on_->set_batch(batch.x, std::vector<std::int32_t>(batch.labels.size(), -1));
  const Floats start = on_->theta();
  on_->step();
  EXPECT_EQ(on_->theta(), start);
  EXPECT_EQ(on_->number("alpha"), 0.0);
  test::set_batch(*on_, 102);
  on_->step();
  EXPECT_NE(on_->theta(), start);
  EXPECT_GT(on_->number("alpha"), 0.0);
  EXPECT_GT(on_->number("model_decrease"), 0.0);
  EXPECT_EQ(on_->number("rejected"), 0.0);
}

INSTANTIATE_TEST_SUITE_P(Devices, FoofTrajectory, ::testing::ValuesIn(testing::cheap_devices()),
                         [](const auto& instance) { return instance.param; });

}  // namespace
}  // namespace curvseg
