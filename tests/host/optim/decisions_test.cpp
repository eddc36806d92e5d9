// What the damped optimisers decide where a model is wrong: radius, negative curvature, steps that
// are skipped or taken back.
#include <algorithm>
#include <map>

#include "support/devices.hpp"
#include "support/random_data.hpp"
#include "tests/host/optim/linear_case.hpp"
#include "tests/host/train/fixtures.hpp"

namespace curvseg {
namespace {

using test::TrainingCase;
using Floats = std::vector<float>;

const std::vector<std::string>& guarded() {
  static const std::vector<std::string> names{
      "gd", "projected-gd", "preconditioned-gd", "damped-diagonal", "soap", "muon"};
  return names;
}

class Decisions : public ::testing::TestWithParam<std::string> {
 protected:
  /// Labels that the inputs say nothing about, and logits far from a half: a Newton step goes too
  /// far.
  static std::unique_ptr<TrainingCase> saturated() {
    auto result = std::make_unique<TrainingCase>(
        GetParam(), test::linear_model(1, 2), Shape{4, 1, 1, 1}, Floats{1, 1, 1, 1},
        std::vector<std::int32_t>{0, 1, 1, 0}, LossKind::kCrossEntropy);
    result->set_theta(saturated_theta(result->model()));
    return result;
  }
  static Floats saturated_theta(const Model& model) {
    Floats theta(static_cast<std::size_t>(model.parameter_count()));
    theta[0] = 8.0f;
    theta[1] = -8.0f;
    return theta;
  }
  /// A small network with ReLUs on noise.
  static std::unique_ptr<TrainingCase> network() {
    const Shape input{2, 5, 4, 1};
    const Floats x = testing::uniform_floats(40, 3);
    std::vector<std::int32_t> labels;
    for (const float value : x) labels.push_back(value > 0.2f ? 1 : 0);
    auto result = std::make_unique<TrainingCase>(GetParam(), test::tiny_model(1, 2, 4), input, x,
                                                 labels, LossKind::kCrossEntropy);
    Floats theta(static_cast<std::size_t>(result->model().parameter_count()));
    for (const Parameter& p : result->model().parameters())
      for (std::int64_t i = 0; i < p.size; ++i)
        theta[static_cast<std::size_t>(p.offset + i)] =
            0.5f * std::sin(1.3f * static_cast<float>(p.offset + i));
    result->set_theta(theta);
    return result;
  }
  static void expect_padding(const TrainingCase& on) {
    Floats theta = on.theta();
    for (const Parameter& p : on.model().parameters())
      std::fill_n(theta.begin() + p.offset, p.size, 0.0f);
    EXPECT_EQ(theta, Floats(theta.size())) << "between the parameters";
  }
};

TEST_P(Decisions, ARadiusThatIsTooLargeShrinksToAQuarterOfTheStep) {
  const auto on = saturated();
  OptimizerOptions options{.name = "newton-cg"};
  options.newton_cg.radius = 100.0f;
  on->use(options);
  const Floats start = on->theta();
  const double loss = on->step();
  EXPECT_LT(on->number("rho"), 0.25);
  EXPECT_EQ(on->number("rejected"), 1.0);
  EXPECT_EQ(on->theta(), start) << "a rejected step left something";
  EXPECT_NEAR(on->number("length"), 100.0, 1e-3);
  EXPECT_DOUBLE_EQ(on->number("radius"), 0.25 * on->number("length"));
  for (int step = 0; step < 20; ++step) on->step();
  EXPECT_NEAR(on->loss_now(), std::log(2.0), 1e-3) << "began at " << loss;
  expect_padding(*on);
}

// y = w₂·w₁·x near w = 0: along the gradient the loss curves down.
TEST_P(Decisions, NegativeCurvatureIsFollowedToTheBoundary) {
  ModelBuilder builder("saddle", 1);
  const int hidden = builder.conv(
      builder.input(), {.name = "first", .k = 1, .r = 1, .s = 1, .relu = false, .bias = false});
  const Model model = builder.build(builder.conv(
      hidden, {.name = "second", .k = 2, .r = 1, .s = 1, .relu = false, .bias = false}));
  TrainingCase on(GetParam(), model, Shape{2, 1, 1, 1}, {1.0f, 1.0f}, {0, 0},
                  LossKind::kMeanSquaredError);
  Floats theta(static_cast<std::size_t>(model.parameter_count()));
  theta[0] = theta[static_cast<std::size_t>(model.parameters()[1].offset)] = 0.01f;
  on.set_theta(theta);
  OptimizerOptions options{.name = "newton-cg"};
  options.newton_cg.radius = 0.25f;
  on.use(options);
  const double loss = on.step();
  EXPECT_EQ(on.text("cg_stop"), "negative curvature");
  EXPECT_NEAR(on.number("length"), 0.25, 1e-5);
  EXPECT_EQ(on.number("radius"), 0.5) << "the model was right";
  EXPECT_LT(on.loss_now(), loss - 0.01);
  EXPECT_GT(on.number("model_decrease"), 0.0);
  for (int step = 0; step < 12; ++step) on.step();
  EXPECT_NEAR(on.loss_now(), 0.0, 1e-5);
}

TEST_P(Decisions, NewtonRaisesDampingUntilTheHessianIsPositiveAndTheLossFalls) {
  const auto on = saturated();
  on->use({.name = "newton", .newton = {.damping = 0.0f}});
  const double loss = on->step();
  EXPECT_GT(on->number("tries"), 1.0);
  EXPECT_GT(on->number("lambda"), 0.0);
  EXPECT_EQ(on->number("rejected"), 0.0);
  EXPECT_LT(on->loss_now(), loss);
  for (int step = 0; step < 20; ++step) on->step();
  EXPECT_NEAR(on->loss_now(), std::log(2.0), 1e-3);
  expect_padding(*on);
}

TEST_P(Decisions, HessianFreeSkipsAStepThatNoLengthMakesGoodAndRaisesItsDamping) {
  const auto on = saturated();
  OptimizerOptions options{.name = "hessian-free"};
  options.hessian_free = {.damping = 1e-7f, .precondition = false, .line_steps = 3};
  on->use(options);
  const Floats start = on->theta();
  on->step();
  EXPECT_EQ(on->theta(), start);
  EXPECT_EQ(on->number("rejected"), 1.0);
  EXPECT_EQ(on->number("alpha"), 0.0);
  EXPECT_NEAR(on->number("lambda"), 1.5e-7, 1e-12);
  // With more lengths, one is good: ⅘ to some power, and the loss falls by Armijo's rule.
  options.hessian_free.line_steps = 100;
  on->use(options);
  const double loss = on->step();
  const double power = std::log(on->number("alpha")) / std::log(double{0.8f});
  EXPECT_NEAR(power, std::round(power), 1e-6);
  EXPECT_GT(power, 2.5);
  EXPECT_LT(on->loss_now(), loss);
  expect_padding(*on);
}

// The minimum of a quadratic is at 1, and beyond 2 the loss rises.
TEST_P(Decisions, WhatIsJudgedIsTheStepAtItsLearningRate) {
  const auto on = test::linear_case(GetParam());
  for (const std::string name : {"hessian-free", "newton-cg", "newton"}) {
    SCOPED_TRACE(name);
    OptimizerOptions options{.name = name};
    options.hessian_free.damping = 1e-6f;
    options.newton_cg = {.radius = 100.0f, .residual_tolerance = 1e-3f};
    options.newton.damping = 1e-6f;
    for (const float rate : {0.1f, 1.9f, 2.5f}) {
      SCOPED_TRACE(rate);
      on->use(options);
      const Floats start(static_cast<std::size_t>(on->model().parameter_count()));
      on->set_theta(start);
      const double loss = on->step(rate);
      const bool is_rejected = name == "newton-cg" && rate > 2.0f;
      EXPECT_EQ(on->number("rejected"), is_rejected ? 1.0 : 0.0);
      if (is_rejected)
        EXPECT_EQ(on->theta(), start);
      else
        EXPECT_LT(on->loss_now(), loss);
    }
    on->use(options);
    const Floats start = on->theta();
    on->step(0.0f);
    EXPECT_EQ(on->theta(), start);
    EXPECT_EQ(on->number("rejected"), 0.0) << "of a schedule that has ended";
  }
}

TEST_P(Decisions, EveryMethodReducesTheLossOfANetwork) {
  const int more = GetParam() == "host" ? 7 : 2;  // steps
  for (const char* name : {"gd", "projected-gd", "preconditioned-gd", "damped-diagonal",
                           "hessian-free", "newton-cg", "newton"}) {
    SCOPED_TRACE(name);
    const auto on = network();
    on->use({.name = name});
    const auto rate = static_cast<float>(default_learning_rate(name));
    const double before = on->step(rate);
    for (int step = 0; step < more; ++step) on->step(rate);
    EXPECT_LT(on->loss_now(), before);
    expect_padding(*on);
  }
  for (const char* preset : {"sophia-h", "adahessian"}) {
    SCOPED_TRACE(preset);
    const auto on = network();
    OptimizerOptions options{.name = "damped-diagonal"};
    options.damped_diagonal.preset = preset;
    on->use(options);
    const auto rate = static_cast<float>(default_learning_rate(options));
    const double before = on->step(rate);
    for (int step = 0; step < more; ++step) on->step(rate);
    EXPECT_LT(on->loss_now(), before);
    expect_padding(*on);
  }
}

TEST_P(Decisions, AStepThatRuinsTheLossIsTakenBackAndTheNextAreShorter) {
  for (const std::string& name : guarded()) {
    SCOPED_TRACE(name);
    const auto on = network();
    on->use({.name = name});
    on->step(1e-3f);
    const Floats before = on->theta();
    on->step(name == "projected-gd" ? 1e6f : 1e38f);
    EXPECT_NE(on->theta(), before);
    const double ruined = on->step(1e-3f);
    EXPECT_FALSE(ruined < 2.0);
    EXPECT_EQ(on->theta(), before) << "not taken back";
    EXPECT_EQ(on->number("rejected"), 1.0);
    EXPECT_EQ(on->number("trust"), 0.5);
    on->step(1e-3f);
    EXPECT_NE(on->theta(), before);
    for (const float each : on->theta()) EXPECT_TRUE(std::isfinite(each));
    EXPECT_NEAR(on->number("trust"), 0.55, 1e-6) << "it does not grow back";
  }
}

TEST_P(Decisions, ABatchOfNansChangesNothing) {
  std::vector<std::string> names = guarded();
  names.insert(names.end(), {"hessian-free", "newton-cg", "newton"});
  for (const std::string& name : names) {
    SCOPED_TRACE(name);
    const auto on = network();
    on->use({.name = name});
    on->step(1e-3f);
    const bool is_guarded = std::count(guarded().begin(), guarded().end(), name) > 0;
    Floats before = on->theta();
    const auto damping = [&] {
      return is_guarded ? 0.0 : on->number(name == "newton-cg" ? "radius" : "lambda");
    };
    const double damping_before = damping();
    if (is_guarded) {  // they take the blame: the step before is undone
      on->step(1e-3f);
      on->poison_images();
      on->step(1e-3f);
    } else {
      on->poison_images();
      on->step();
    }
    EXPECT_EQ(on->theta(), before);
    EXPECT_EQ(on->number("rejected"), 1.0);
    const std::map<std::string, double> factor = {
        {"newton-cg", 0.25}, {"hessian-free", 1.5}, {"newton", 4.0}};
    EXPECT_EQ(damping(), is_guarded ? 0.0 : factor.at(name) * damping_before);
    on->heal_images();
    on->step(1e-3f);
    EXPECT_NE(on->theta(), before);
    for (const float each : on->theta()) EXPECT_TRUE(std::isfinite(each));
  }
}

// Gauss-Newton-Bartlett: h is the square of a gradient with sampled labels times its denominator.
TEST_P(Decisions, SophiaEstimatesTheGaussNewtonDiagonal) {
  const auto on = network();
  const Floats theta = on->theta();
  on->use({.name = "damped-diagonal"});
  on->step(0.0f);
  const Floats h = on->tensor("h");
  const Floats expected = on->sampled_square(/*seed=*/1);
  double sum = 0.0;
  for (std::size_t i = 0; i < h.size(); ++i) {
    EXPECT_NEAR(h[i], expected[i], 1e-5f * expected[i]) << i;
    sum += double{h[i]};
  }
  EXPECT_GT(sum, 0.0);
  for (int step = 2; step <= 10; ++step) on->step(0.0f);
  EXPECT_EQ(on->tensor("h"), h) << "refreshed before its time";
  on->step(0.0f);
  EXPECT_NE(on->tensor("h"), h);
}

TEST_P(Decisions, AdaHessianAveragesOverTheTapsOfAFilter) {
  const auto on = network();
  OptimizerOptions options{.name = "damped-diagonal"};
  options.damped_diagonal.preset = "adahessian";
  on->use(options);
  on->step(0.15f);
  const Floats h = on->tensor("h");
  const Parameter& filter = on->model().parameters()[0];
  ASSERT_EQ(filter.shape[0], 3);
  const std::int64_t taps = 9, channels = filter.size / taps;
  for (std::int64_t i = 0; i < filter.size; ++i)
    EXPECT_EQ(h[static_cast<std::size_t>(filter.offset + i)],
              h[static_cast<std::size_t>(filter.offset + i % channels)]);
}

INSTANTIATE_TEST_SUITE_P(Devices, Decisions, ::testing::ValuesIn(testing::cheap_devices()),
                         [](const auto& instance) { return instance.param; });

}  // namespace
}  // namespace curvseg
