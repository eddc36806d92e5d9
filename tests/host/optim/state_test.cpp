// What optimisers remember across a checkpoint, and which options they refuse.
#include "curvseg/error.hpp"
#include "curvseg/solvers.hpp"
#include "host/train/options_json.hpp"
#include "support/devices.hpp"
#include "tests/host/data/fixtures.hpp"
#include "tests/host/optim/training_case.hpp"
#include "tests/host/train/fixtures.hpp"

namespace curvseg {
namespace {

using test::TrainingCase;

TrainerOptions short_training(const OptimizerOptions& optimizer) {
  return {.seed = 3,
          .batch = 3,
          .epochs = 0,
          .max_steps = 7,
          .augment = {.flip_horizontal = true},
          .optimizer = optimizer,
          .log_every = 1};
}

/// The training to its end; or, saved after `saved` steps, from there on in another trainer.
/// `rejected` becomes how many steps it had taken back before its last one.
TrainingState trained(const TrainerOptions& options, bool interrupted, double* rejected = nullptr,
                      std::uint64_t saved = 3) {
  const test::WavesDataset data({.count = 10, .ignore = true});
  const test::TempDir folder;
  const auto path = folder / "state.safetensors";
  Trainer first(test::test_stream(), test::tiny_model(1, 2, 4), options);
  first.fit(data, nullptr, {.on_step = [&](const StepReport& report) {
              if (interrupted && report.step == saved) save_checkpoint(path, first.state());
              for (const NamedNumber& number : report.optimizer)
                if (rejected && number.name == "rejected") *rejected = number.value;
              return !interrupted || report.step < saved;
            }});
  if (!interrupted) return first.state();
  Trainer second(test::test_stream(), test::tiny_model(1, 2, 4), options);
  second.restore(load_checkpoint(path), path.string());
  second.fit(data);
  return second.state();
}

void expect_resumes(const TrainerOptions& options, std::uint64_t saved = 3) {
  const TrainingState whole = trained(options, false);
  const TrainingState resumed = trained(options, true, nullptr, saved);
  EXPECT_TRUE(test::same_bits(whole.parameters, resumed.parameters));
  EXPECT_TRUE(test::same_bits(whole.optimizer_tensors, resumed.optimizer_tensors));
  EXPECT_EQ(whole.optimizer_scalars, resumed.optimizer_scalars);
}

void expect_resumes(const OptimizerOptions& optimizer) {
  expect_resumes(short_training(optimizer));
}

TEST(OptimizerState, EveryOptimizerResumesBitByBit) {
  for (const std::string& name : optimizer_names()) {
    SCOPED_TRACE(name);
    expect_resumes({.name = name});
  }
  OptimizerOptions options{.name = "damped-diagonal"};
  options.damped_diagonal.preset = "adahessian";
  expect_resumes(options);
  options.name = "hessian-free";
  options.hessian_free.batch_fraction = 0.5f;
  expect_resumes(options);
}

// Saved after 3 of 7 steps: what SOAP has watched, and the rate that is not measured any more.
TEST(OptimizerState, AutoResumesInItsLaterPhases) {
  OptimizerOptions options{.name = "auto"};
  options.automatic.foof_steps = 2;
  options.automatic.watched_steps = 1;
  options.automatic.measured_steps = 1;
  expect_resumes(options);
  options.automatic.foof_steps = 4;
  options.automatic.watched_steps = 3;
  expect_resumes(options);
}

// Saved after 13 of 25 steps: between two observations, inversions, bases and estimates, and after
// a step of auto that measured no curvature.
TEST(OptimizerState, WhatIsRefreshedNowAndThenResumesInBetween) {
  for (const std::string name : {"auto", "foof", "soap", "damped-diagonal"}) {
    SCOPED_TRACE(name);
    TrainerOptions options = short_training({.name = name});
    options.max_steps = 25;
    expect_resumes(options, 13);
  }
}

// Their damping and radius follow the steps as the schedule shortens them.
TEST(OptimizerState, MethodsThatTryTheirStepsResumeUnderASchedule) {
  for (const std::string name : {"hessian-free", "newton-cg", "newton"}) {
    SCOPED_TRACE(name);
    TrainerOptions options = short_training({.name = name});
    options.schedule = {.kind = ScheduleKind::kCosine, .warmup_steps = 2};
    expect_resumes(options);
  }
}

// The step after which the state is saved ruins the loss: what it began at comes back.
TEST(OptimizerState, AStepIsTakenBackAfterResuming) {
  for (const std::string name : {"gd", "projected-gd", "preconditioned-gd", "damped-diagonal",
                                 "foof", "soap", "muon", "auto"}) {
    SCOPED_TRACE(name);
    TrainerOptions options = short_training({.name = name});
    options.schedule = {.kind = ScheduleKind::kConstant, .learning_rate = 1e4};
    double rejected = 0.0;
    const TrainingState whole = trained(options, false, &rejected);
    EXPECT_GT(rejected, 0.0) << "there is nothing to take back";
    EXPECT_TRUE(test::same_bits(whole.parameters, trained(options, true).parameters));
  }
}

TEST(OptimizerState, RefusesScalarsThatAreNone) {
  const Stream stream(Device::open("host"));
  const auto optimizer = make_optimizer(stream, {.name = "newton-cg"}, 16);
  EXPECT_THROW(optimizer->restore_scalars({{"rejected", "0x0p+0"}}), InputError);
  EXPECT_THROW(optimizer->restore_scalars({{"rejected", "0x0p+0"}, {"radius", "wide"}}),
               InputError);
  optimizer->restore_scalars({{"rejected", "0x1p+1"}, {"radius", "0x1.8p-3"}});
  EXPECT_EQ(optimizer->state().scalars.at("radius"), "0x1.8p-3");
  stream.synchronise();
}

TEST(OptimizerState, OptionsSurviveACheckpoint) {
  TrainerOptions options;
  options.optimizer.gd.l2 = 0.5f;
  options.optimizer.preconditioned_gd.damping = 0.25f;
  options.optimizer.projected_gd = {.lower = -0.5f, .upper = 0.75f, .radius = 2.0f, .l2 = 0.125f};
  options.optimizer.damped_diagonal = damped_diagonal_preset("adahessian");
  options.optimizer.hessian_free.damping_in_ratio = false;
  options.optimizer.newton_cg.acceptance = 0.125f;
  options.optimizer.newton.largest = 7;
  options.optimizer.foof.positions = 77;
  options.optimizer.soap.factor_every = 3;
  options.optimizer.automatic.foof.curvature_smoothing = 0.25f;
  options.optimizer.automatic.foof.model_every = 5;
  options.optimizer.automatic.soap.factor_every = 4;
  const std::string text = to_json(options);
  const OptimizerOptions back = trainer_options_from_json(text).optimizer;
  EXPECT_EQ(to_json(trainer_options_from_json(text)), text);
  EXPECT_EQ(back.projected_gd.upper, 0.75f);
  EXPECT_EQ(back.damped_diagonal.estimator, DiagonalEstimator::kHutchinson);
  EXPECT_EQ(back.damped_diagonal.epsilon, 1e-4f);
  EXPECT_FALSE(back.hessian_free.damping_in_ratio);
  EXPECT_EQ(back.newton.largest, 7);
  EXPECT_EQ(back.foof.positions, 77);
  EXPECT_EQ(back.soap.factor_every, 3);
  EXPECT_EQ(back.automatic.foof.curvature_smoothing, 0.25f);
  EXPECT_EQ(back.automatic.foof.model_every, 5);
  EXPECT_EQ(back.automatic.soap.factor_every, 4);
}

// Of the papers, see docs/optimisers.md and docs/solvers.md.
TEST(OptimizerState, PublishedSettingsAreTheDefaults) {
  const OptimizerOptions o;
  EXPECT_EQ(o.hessian_free.warm_start, 0.95f);
  EXPECT_EQ(o.hessian_free.model_tolerance, 5e-4f);
  EXPECT_EQ(o.hessian_free.armijo, 1e-2f);
  EXPECT_EQ(o.hessian_free.line_shrink, 0.8f);
  EXPECT_TRUE(o.hessian_free.precondition);
  EXPECT_EQ(o.newton_cg.model_tolerance, 5e-4f);
  const ConjugateGradientsOptions solver;
  EXPECT_EQ(solver.model_tolerance, 5e-4);
  EXPECT_EQ(solver.model_window, 10);
  EXPECT_EQ(solver.recompute_residual_every, 10);
  EXPECT_EQ(o.soap.beta2, 0.95f);
  EXPECT_EQ(o.soap.factor_every, 1);
  EXPECT_EQ(o.muon.momentum, 0.95f);
}

// Chosen by what docs/second_order.md measures.
TEST(OptimizerState, OurOwnSettingsAreTheDefaults) {
  const OptimizerOptions o;
  EXPECT_EQ(o.foof.damping, 0.01f);
  EXPECT_EQ(o.foof.factor_decay, 0.95f);
  EXPECT_EQ(o.foof.positions, 256);
  EXPECT_TRUE(o.foof.previous_direction);
  EXPECT_EQ(o.foof.model_every, 1);
  EXPECT_EQ(o.foof.curvature_smoothing, 0.0f);
  EXPECT_EQ(o.automatic.foof_steps, 240u);
  EXPECT_FALSE(o.automatic.foof.previous_direction);
  EXPECT_EQ(o.automatic.foof.model_every, 2);
  EXPECT_EQ(o.automatic.foof.curvature_smoothing, 0.5f);
  EXPECT_EQ(o.automatic.soap.factor_every, 2);
}

// ---- options -----------------------------------------------------------------------------------

void expect_own_rules(const OptimizerOptions& options, const std::string& part) {
  try {
    make_optimizer(Stream(Device::open("host")), options, test::tiny_model(1, 2, 4));
    ADD_FAILURE() << part << " was accepted";
  } catch (const InputError& error) {
    EXPECT_NE(std::string(error.what()).find(part), std::string::npos) << error.what();
  }
}

TEST(DampedOptions, RefusesWhatMakesNoSense) {
  expect_own_rules({.name = "gd", .gd = {.l2 = -1.0f}}, "l2");
  expect_own_rules({.name = "preconditioned-gd", .preconditioned_gd = {.damping = 0.0f}},
                   "damping");
  expect_own_rules({.name = "projected-gd", .projected_gd = {.lower = 0.5f}}, "must have 0 in it");
  expect_own_rules({.name = "foof", .foof = {.model_every = 2}}, "model_every 2");
  expect_own_rules({.name = "foof", .foof = {.curvature_smoothing = 0.5f}}, "curvature_smoothing");
  expect_own_rules({.name = "soap", .soap = {.factor_every = 0}}, "factor_every");
  expect_own_rules({.name = "damped-diagonal", .damped_diagonal = {.preset = "adam"}},
                   "sophia-h, adahessian");
  DampedDiagonalOptions own;
  own.preset = "";
  own.mean_square = true;
  expect_own_rules({.name = "damped-diagonal", .damped_diagonal = own}, "mean_square");
  expect_own_rules({.name = "hessian-free", .hessian_free = {.damping = 0.0f}}, "damping");
  expect_own_rules({.name = "hessian-free", .hessian_free = {.line_shrink = 1.0f}}, "line_shrink");
  expect_own_rules({.name = "newton-cg", .newton_cg = {.acceptance = 0.5f}}, "acceptance");
  expect_own_rules({.name = "newton-cg", .newton_cg = {.radius = 200.0f}}, "largest_radius");
  expect_own_rules({.name = "newton", .newton = {.largest = 100'000}}, "at most 16384");
  expect_own_rules({.name = "newton", .newton = {.largest = 49}}, "50 parameters");
}

TEST(DampedOptions, NewtonNeedsASmallModelAndSophiaLabelsToSample) {
  const Stream stream(Device::open("host"));
  try {
    make_optimizer(stream, {.name = "newton"}, zoo::unet(1, 2, {.width = 4, .depth = 2}));
    ADD_FAILURE() << "a Hessian of a U-Net";
  } catch (const InputError& error) {
    EXPECT_NE(std::string(error.what()).find("newton-cg and hessian-free"), std::string::npos);
  }
  TrainingCase on("host", test::linear_model(1, 2), Shape{1, 1, 1, 1}, {1.0f}, {0},
                  LossKind::kMeanSquaredError);
  on.use({.name = "damped-diagonal"});
  EXPECT_THROW(on.step(), InputError);
}

}  // namespace
}  // namespace curvseg
