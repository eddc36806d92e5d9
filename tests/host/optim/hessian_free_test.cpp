// Hessian-free optimisation step by step against its rules in double, and each rule forced by an
// objective made for it.
#include <set>

#include "reference/symmetric.hpp"
#include "support/devices.hpp"
#include "tests/host/optim/linear_case.hpp"

namespace curvseg {
namespace {

using reference::Symmetric;
using test::Doubles;
using test::Floats;
using test::TrainingCase;

Doubles plus(Doubles x, double scale, const Doubles& y) {
  for (std::size_t i = 0; i < x.size(); ++i) x[i] += scale * y[i];
  return x;
}

/// HessianFreeOptions on a linear model, its curvature from the first `images`.
class LinearHessianFree {
 public:
  struct Step {
    double rho = 0.0, alpha = 0.0;
    int iterate = 0;
  };

  LinearHessianFree(const TrainingCase& on, const HessianFreeOptions& options, int images)
      : lambda(double{options.damping}),
        theta(static_cast<std::size_t>(on.model().parameter_count())),
        on_(on),
        o_(options),
        images_(images),
        solution_(theta) {}

  /// At a learning rate of `factor`.
  Step step(double factor) {
    const Doubles g = plus(on_.gradient(theta), double{o_.l2}, theta);
    const Symmetric a = matrix();
    const Doubles b = plus(Doubles(g.size()), -1.0, g);
    const std::vector<Doubles> iterates = solve(a, b);
    solution_ = iterates.back();
    const double loss = objective(theta);
    std::size_t best = iterates.size() - 1;  // backtracking
    const auto value = [&](std::size_t i) { return objective(plus(theta, factor, iterates[i])); };
    while (best > 0 && value(best - 1) < value(best)) --best;
    const Doubles& d = iterates[best];
    const Doubles whole = plus(Doubles(d.size()), factor, d);  // as it is taken
    const double change = value(best) - loss, slope = test::inner(g, d);
    double predicted = reference::quadratic_model(a, b, whole);
    if (!o_.damping_in_ratio) predicted -= 0.5 * lambda * test::inner(whole, whole);
    Step result{change / predicted, factor, static_cast<int>(best) + 1};
    if (change > 0.0 || result.rho < 0.25)
      lambda *= 1.5;
    else if (result.rho > 0.75)
      lambda *= 2.0 / 3.0;
    while (objective(plus(theta, result.alpha, d)) >
           loss + double{o_.armijo} * result.alpha * slope)
      result.alpha *= double{o_.line_shrink};
    theta = plus(theta, result.alpha, d);
    return result;
  }

  double lambda;
  Doubles theta;

 private:
  double objective(const Doubles& at) const {
    return on_.loss(at) + 0.5 * double{o_.l2} * test::inner(at, at);
  }
  /// G + (λ + l2)·I
  Symmetric matrix() const {
    Symmetric a(theta.size());
    for (std::size_t i = 0; i < a.n; ++i) {
      for (std::size_t j = 0; j < a.n; ++j) a.at(i, j) = on_.form(unit(i), unit(j), images_);
      a.at(i, i) += lambda + double{o_.l2};
    }
    return a;
  }
  Doubles unit(std::size_t i) const {
    Doubles e(theta.size());
    e[i] = 1.0;
    return e;
  }
  /// (Σ_n grad_n² + λ + l2)^−¾
  Doubles inverse_weights() const {
    Doubles squares(theta.size(), lambda + double{o_.l2});
    const std::size_t each = on_.pixels_per_image();
    for (std::size_t n = 0; n < static_cast<std::size_t>(images_); ++n)
      for (const Doubles g = on_.gradient(theta, n * each, (n + 1) * each);
           double& square : squares) {
        const double part = 3.0 / images_ * g[static_cast<std::size_t>(&square - squares.data())];
        square += part * part;
      }
    for (double& square : squares) square = o_.precondition ? std::pow(square, -0.75) : 1.0;
    return squares;
  }
  /// After 1, 2, … iterations.
  std::vector<Doubles> solve(const Symmetric& a, const Doubles& b) const {
    const Doubles start = plus(Doubles(b.size()), double{o_.warm_start}, solution_);
    const Doubles rest = plus(b, -1.0, a * start), ones(b.size(), 1.0);
    std::vector<Doubles> iterates;
    for (int i = 1; i <= o_.max_iterations; ++i)
      iterates.push_back(
          plus(start, 1.0, reference::steihaug(a, rest, inverse_weights(), ones, 1e30, 0.0, i)));
    return iterates;
  }

  const TrainingCase& on_;
  HessianFreeOptions o_;
  int images_;
  Doubles solution_;
};

class HessianFreeTest : public ::testing::TestWithParam<std::string> {
 protected:
  /// Every iterate of so few is kept.
  static HessianFreeOptions few_iterations() {
    return {.damping = 0.3f, .warm_start = 0.7f, .max_iterations = 4, .armijo = 0.2f, .l2 = 0.1f};
  }

  void follow(const HessianFreeOptions& options, int images, float rate = 0.9f) {
    const auto on = test::linear_case(GetParam());
    on->use({.name = "hessian-free", .hessian_free = options});
    LinearHessianFree expected(*on, options, images);
    for (int t = 1; t <= 8; ++t) {
      SCOPED_TRACE("step " + std::to_string(t));
      test::set_batch(*on, 40 + static_cast<unsigned>(t));
      on->step(rate);
      const LinearHessianFree::Step step = expected.step(double{rate});
      test::expect_near(on->theta(), expected.theta, 2e-4);
      EXPECT_NEAR(on->number("lambda"), expected.lambda, 1e-6 * expected.lambda);
      EXPECT_NEAR(on->number("rho"), step.rho, 1e-3);
      EXPECT_EQ(on->number("taken_iterate"), step.iterate);
      EXPECT_NEAR(on->number("alpha"), step.alpha, 1e-6);
      taken_.insert(step.iterate);
      if (step.alpha < double{rate}) ++shortened_;
    }
  }

  std::set<int> taken_;
  int shortened_ = 0;
};

TEST_P(HessianFreeTest, FollowsItsRulesWithCurvatureOfAPartOfTheBatch) {
  HessianFreeOptions options = few_iterations();
  options.batch_fraction = 0.3f;
  follow(options, 1);
  follow(options, 1, 1.4f);
  EXPECT_EQ(taken_, (std::set<int>{1, 2, 3, 4})) << "backtracking has little to do";
  EXPECT_GE(shortened_, 1) << "Armijo's rule has nothing to do";
}

TEST_P(HessianFreeTest, FollowsItsRulesWithoutDampingInTheRatio) {
  HessianFreeOptions options = few_iterations();
  options.max_iterations = 3;
  options.damping_in_ratio = false;
  follow(options, 3);
}

TEST_P(HessianFreeTest, FollowsItsRulesWithoutAPreconditioner) {
  HessianFreeOptions options = few_iterations();
  options.max_iterations = 2;
  options.batch_fraction = 0.6f;
  options.precondition = false;
  follow(options, 2);
}

/// w·x for two classes, without a bias, of two images: one pixel of 1, one of √(2r − 1). Curvature
/// of the first alone is 1/r of the whole: a step along it has ρ = 2 − r.
class Ratio {
 public:
  Ratio(const std::string& device, double r)
      : on_(device, model(), {2, 1, 1, 1}, {1.0f, static_cast<float>(std::sqrt(2.0 * r - 1.0))},
            {0, 1}, LossKind::kMeanSquaredError) {}
  TrainingCase& on() { return on_; }
  /// One step; returns the factor of λ.
  double step(float armijo, float rate = 1.0f) {
    OptimizerOptions options{.name = "hessian-free"};
    options.hessian_free = {.damping = 1e-5f,
                            .precondition = false,  // the matrix is a multiple of I
                            .batch_fraction = 0.5f,
                            .max_iterations = 1,
                            .armijo = armijo};
    on_.use(options);
    on_.step(rate);
    return on_.number("lambda") / double{1e-5f};
  }

 private:
  static Model model() {
    ModelBuilder builder("scalar", 1);
    return builder.build(builder.conv(
        builder.input(), {.name = "w", .k = 2, .r = 1, .s = 1, .relu = false, .bias = false}));
  }
  TrainingCase on_;
};

// At a learning rate η the step is η·δ, and ρ = (1 − ηr/2) / (1 − η/2).
TEST_P(HessianFreeTest, DampingFollowsTheRatioOfTheStepThatIsTaken) {
  for (const double eta : {1.0, 0.5, 1.5})
    for (const auto& [ratio, factor] : {std::pair{-0.5, 1.5},
                                        std::pair{0.1, 1.5},
                                        {0.24, 1.5},
                                        {0.26, 1.0},
                                        {0.74, 1.0},
                                        {0.76, 2.0 / 3.0},
                                        {1.0, 2.0 / 3.0}}) {
      SCOPED_TRACE(std::to_string(ratio) + " at " + std::to_string(eta));
      Ratio objective(GetParam(), 2.0 * (1.0 - ratio * (1.0 - 0.5 * eta)) / eta);
      EXPECT_NEAR(objective.step(1e-2f, static_cast<float>(eta)), factor, 1e-6);
      EXPECT_NEAR(objective.on().number("rho"), ratio, 1e-3);
    }
}

// L(θ + αδ) = L(θ) + α·slope·(1 − αr/2): Armijo's rule holds for α ≤ 2(1 − c)/r. The learning rate
// is the first α that is tried.
TEST_P(HessianFreeTest, ArmijosConstantAndTheLearningRateMakeTheStep) {
  struct Case {
    double r;
    float armijo, rate;
    int power;  // of line_shrink
  };
  for (const Case& each :
       {Case{1.98, 1e-2f, 1.0f, 0}, Case{1.99, 1e-2f, 1.0f, 1}, Case{1.6, 0.25f, 1.0f, 1},
        Case{1.6, 0.45f, 1.0f, 2}, Case{2.3, 1e-2f, 1.0f, 1}, Case{1.99, 1e-2f, 0.5f, 0},
        Case{4.1, 1e-2f, 0.5f, 1}, Case{1.6, 0.25f, 1.5f, 3}}) {
    SCOPED_TRACE(std::to_string(each.r) + " at " + std::to_string(each.rate));
    Ratio objective(GetParam(), each.r), unit(GetParam(), each.r);
    objective.step(each.armijo, each.rate);
    unit.step(1e-2f, 0.1f);  // δ/10
    const double alpha = double{each.rate} * std::pow(0.8, each.power);
    EXPECT_NEAR(objective.on().number("alpha"), alpha, 1e-6);
    const Floats moved = objective.on().theta(), tenth = unit.on().theta();
    ASSERT_NE(moved[0], 0.0f);
    for (std::size_t i = 0; i < moved.size(); ++i)
      EXPECT_NEAR(moved[i], 10.0 * alpha * double{tenth[i]}, 1e-5 * std::fabs(moved[i]));
  }
}

TEST_P(HessianFreeTest, WhatIsNotFiniteRaisesTheDamping) {
  const auto on = test::linear_case(GetParam());
  on->use({.name = "hessian-free", .hessian_free = {.precondition = false}});
  const Floats start = on->theta();
  on->poison_images();
  on->step();
  EXPECT_NEAR(on->number("lambda"), 1.5 * double{0.1f}, 1e-12) << "of a loss";
  // A gradient of about 1e18, and its product with the curvature is infinite.
  test::set_batch(*on, 5, 1e18f);
  on->step();
  EXPECT_EQ(on->text("cg_stop"), "not finite");
  EXPECT_NEAR(on->number("lambda"), 2.25 * double{0.1f}, 1e-12) << "of conjugate gradients";
  EXPECT_EQ(on->number("rejected"), 2.0);
  EXPECT_EQ(on->theta(), start);
}

// At such a learning rate every trial overflows, though the batch and its gradient do not.
TEST_P(HessianFreeTest, ATrialThatIsNotFiniteRaisesTheDampingAndIsNotTaken) {
  const auto on = test::linear_case(GetParam());
  on->use({.name = "hessian-free"});
  const Floats start = on->theta();
  on->step(1e30f);
  EXPECT_NEAR(on->number("lambda"), 1.5 * double{0.1f}, 1e-12);
  EXPECT_EQ(on->number("alpha"), 0.0);
  EXPECT_EQ(on->number("rejected"), 1.0);
  EXPECT_EQ(on->theta(), start);
}

TEST_P(HessianFreeTest, TheToleranceOfTheModelEndsASolve) {
  const Shape input{8, 2, 2, 15};
  std::vector<std::int32_t> labels;
  for (int i = 0; i < 32; ++i) labels.push_back(i % 3 % 2);
  TrainingCase on(GetParam(), test::linear_model(15, 2), input, testing::uniform_floats(480, 3),
                  labels, LossKind::kMeanSquaredError);
  OptimizerOptions options{.name = "hessian-free"};
  options.hessian_free = {.damping = 1e-3f, .max_iterations = 13, .model_tolerance = 0.2f};
  on.use(options);
  on.step();
  EXPECT_EQ(on.text("cg_stop"), "model");
  EXPECT_EQ(on.number("cg_iterations"), 11.0);  // the first that has one ten before it
  options.hessian_free.model_tolerance = 0.0f;
  on.use(options);
  on.step();
  EXPECT_EQ(on.text("cg_stop"), "iterations");
}

// A weight and a bias of each of two classes: after two iterations nothing is left but rounding.
TEST_P(HessianFreeTest, ASolveOfFewParametersEndsConverged) {
  for (const bool precondition : {false, true}) {
    SCOPED_TRACE(precondition);
    TrainingCase on(GetParam(), test::linear_model(1, 2), Shape{3, 1, 1, 1}, {1.0f, -0.5f, 0.25f},
                    {0, 1, 1}, LossKind::kMeanSquaredError);
    OptimizerOptions options{.name = "hessian-free"};
    options.hessian_free = {.precondition = precondition, .model_tolerance = 0.0f};
    on.use(options);
    for (int step = 1; step <= 12; ++step) {
      SCOPED_TRACE(step);
      on.step();
      EXPECT_EQ(on.text("cg_stop"), "converged");
      EXPECT_LE(on.number("cg_iterations"), 8.0);
      EXPECT_EQ(on.number("rejected"), 0.0);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Devices, HessianFreeTest, ::testing::ValuesIn(testing::cheap_devices()),
                         [](const auto& instance) { return instance.param; });

}  // namespace
}  // namespace curvseg
