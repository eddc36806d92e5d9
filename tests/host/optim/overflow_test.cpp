// Gradients that are not finite under a finite loss, for every optimiser: the step is rejected, and
// nothing of them enters what it remembers.
#include <cmath>
#include <limits>

#include "support/devices.hpp"
#include "tests/host/optim/linear_case.hpp"

namespace curvseg {
namespace {

using test::Floats;
using test::TrainingCase;

constexpr float kInfinity = std::numeric_limits<float>::infinity();

std::unique_ptr<TrainingCase> cross_entropy_case(const std::string& device) {
  const test::LinearBatch batch(5);
  return std::make_unique<TrainingCase>(device, test::linear_model(3, 2),
                                        test::LinearBatch::shape(), batch.x, batch.labels,
                                        LossKind::kCrossEntropy);
}

/// Steps small enough to be accepted, also where the method has a rate of its own.
float rate_of(const std::string& name) {
  return static_cast<float>(default_learning_rate(name)) * 0.5f;
}

bool all_finite(const Floats& values) {
  return std::all_of(values.begin(), values.end(), [](float x) { return std::isfinite(x); });
}

class Overflow : public ::testing::TestWithParam<std::string> {
 protected:
  /// Three steps, one on a gradient with `value` in it, four more.
  static void follow(const OptimizerOptions& options, float value) {
    SCOPED_TRACE(options.name + ", " + std::to_string(value));
    const auto on = cross_entropy_case(GetParam());
    Optimizer& method = on->use(options);
    const float rate = rate_of(options.name);
    const double first = on->step(rate);
    on->step(rate);
    const Floats before = on->theta();
    on->step(rate);
    const Floats after = on->theta();
    on->poison_gradients(value);
    EXPECT_TRUE(std::isfinite(on->step(rate)));
    // A step is taken back by the methods that learn of it later.
    test::expect_near(on->theta(), to_doubles(learns_later(options.name) ? before : after),
                      learns_later(options.name) ? 1e-6 : 0.0);
    EXPECT_TRUE(all_finite(on->state()));
    if (method.recovers()) {
      EXPECT_EQ(on->number("rejected"), 1.0);
    }
    on->poison_gradients(std::nullopt);
    for (int i = 0; i < 4; ++i) on->step(rate);
    EXPECT_TRUE(all_finite(on->theta()));
    EXPECT_TRUE(all_finite(on->state()));
    EXPECT_LT(on->loss_now(), first);
    if (method.recovers()) {
      EXPECT_EQ(on->number("rejected"), 1.0);
    }
  }

  static bool learns_later(const std::string& name) {
    for (const std::string_view each :
         {"sgd", "adam", "adamw", "hessian-free", "newton-cg", "newton"})
      if (name == each) return false;
    return true;
  }
  static test::Doubles to_doubles(const Floats& values) { return {values.begin(), values.end()}; }
};

TEST_P(Overflow, NothingOfAGradientThatIsNotFiniteIsRemembered) {
  for (const std::string& name : optimizer_names()) {
    OptimizerOptions options{.name = name};
    options.sgd.momentum = 0.9f;
    // The last is finite, but its square is not.
    for (const float value : {kInfinity, -kInfinity, NAN, 1e30f}) follow(options, value);
  }
}

TEST_P(Overflow, TheLaterPhaseOfAutoRejectsThemToo) {
  OptimizerOptions options{.name = "auto"};
  options.automatic.foof_steps = 2;
  options.automatic.watched_steps = 1;
  options.automatic.measured_steps = 1;
  for (const float value : {kInfinity, NAN, 1e30f}) follow(options, value);
}

TEST_P(Overflow, HutchinsonsEstimateRejectsThemToo) {
  OptimizerOptions options{.name = "damped-diagonal"};
  options.damped_diagonal.preset = "adahessian";
  for (const float value : {kInfinity, NAN, 1e30f}) follow(options, value);
}

TEST_P(Overflow, AtTheFirstStepThereIsNothingToTakeBack) {
  for (const std::string& name : optimizer_names()) {
    SCOPED_TRACE(name);
    const auto on = cross_entropy_case(GetParam());
    on->use({.name = name});
    const Floats start = on->theta();
    on->poison_gradients(NAN);
    const double first = on->step(rate_of(name));
    EXPECT_EQ(on->theta(), start);
    EXPECT_TRUE(all_finite(on->state()));
    on->poison_gradients(std::nullopt);
    for (int i = 0; i < 4; ++i) on->step(rate_of(name));
    EXPECT_LT(on->loss_now(), first);
  }
}

INSTANTIATE_TEST_SUITE_P(Devices, Overflow, ::testing::ValuesIn(testing::cheap_devices()),
                         [](const auto& instance) { return instance.param; });

// ---- the last step of a training
// -----------------------------------------------------------------

class LastStep : public ::testing::TestWithParam<std::string> {
 protected:
  static std::vector<OptimizerOptions> methods() {
    std::vector<OptimizerOptions> result;
    for (const std::string name : {"gd", "projected-gd", "preconditioned-gd", "damped-diagonal",
                                   "soap", "muon", "foof", "auto", "auto"})
      result.push_back({.name = name});
    result.back().automatic.foof_steps = 2;
    result.back().automatic.watched_steps = 1;
    for (OptimizerOptions& each : result) each.projected_gd = {.lower = -1e6f, .upper = 1e6f};
    return result;
  }
};

TEST_P(LastStep, OneThatFailedIsTakenBackAndTheStateStaysAsItIs) {
  for (const OptimizerOptions& options : methods()) {
    SCOPED_TRACE(options.name);
    const auto on = cross_entropy_case(GetParam());
    on->use(options);
    const float rate = rate_of(options.name);
    for (int i = 0; i < 4; ++i) on->step(rate);
    Floats theta = on->theta(), state = on->state();
    EXPECT_FALSE(on->last_step_failed());
    EXPECT_EQ(on->theta(), theta);
    EXPECT_EQ(on->state(), state);
    // Far up the hill; SOAP in auto goes down alone, and that far beyond the minimum.
    const bool is_soap = options.name == "auto" && options.automatic.foof_steps < 4;
    on->step((is_soap ? 1e5f : -1e5f) * rate);
    EXPECT_NE(on->theta(), theta);
    state = on->state();
    EXPECT_TRUE(on->last_step_failed());
    on->take_back();
    double largest = 0.0;
    for (const float each : on->state()) largest = std::max(largest, std::fabs(double{each}));
    test::expect_near(on->theta(), {theta.begin(), theta.end()}, 1e-6 * (1.0 + largest));
    EXPECT_EQ(on->state(), state);
  }
}

TEST_P(LastStep, BeforeAnyStepThereIsNothingToTakeBack) {
  for (const OptimizerOptions& options : methods()) {
    SCOPED_TRACE(options.name);
    const auto on = cross_entropy_case(GetParam());
    on->use(options);
    on->poison_images();
    EXPECT_FALSE(on->last_step_failed());
  }
}

INSTANTIATE_TEST_SUITE_P(Devices, LastStep, ::testing::ValuesIn(testing::cheap_devices()),
                         [](const auto& instance) { return instance.param; });

}  // namespace
}  // namespace curvseg
