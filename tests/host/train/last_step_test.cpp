// The last step of a training, which no later loss judges, and gradients that overflow.
#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <vector>

#include "tests/host/data/fixtures.hpp"
#include "tests/host/train/fixtures.hpp"

namespace curvseg {
namespace {

using test::WavesDataset;

constexpr std::uint64_t kGood = 5;  // steps before the one that fails

/// From step kGood + 1 on a learning rate that ruins everything.
TrainerOptions ruined(const std::string& optimizer, std::uint64_t steps = kGood + 1) {
  return {.batch = 3,
          .epochs = 0,
          .max_steps = steps,
          .optimizer = {.name = optimizer},
          .schedule = {.kind = ScheduleKind::kStep, .step_every = kGood, .step_factor = 1e5},
          .log_every = 1,
          .evaluate_every = 0};
}

const std::vector<std::string>& late_judges() {
  static const std::vector<std::string> names{
      "gd", "preconditioned-gd", "damped-diagonal", "soap", "muon", "foof", "auto"};
  return names;
}

Trainer trainer_of(const TrainerOptions& options) {
  return {test::test_stream(), test::tiny_model(), options};
}

std::vector<float> all_values(const std::vector<NamedTensor>& tensors) {
  std::vector<float> all;
  for (const NamedTensor& each : tensors)
    all.insert(all.end(), each.values.begin(), each.values.end());
  return all;
}

void expect_near(const std::vector<NamedTensor>& a, const std::vector<NamedTensor>& b,
                 float tolerance) {
  const std::vector<float> x = all_values(a), y = all_values(b);
  ASSERT_EQ(x.size(), y.size());
  for (std::size_t i = 0; i < x.size(); ++i) EXPECT_NEAR(x[i], y[i], tolerance);
}

TEST(EndOfTraining, OneThatFailedIsTakenBackAtTheEnd) {
  const WavesDataset data({.count = 12});
  for (const std::string& name : late_judges()) {
    SCOPED_TRACE(name);
    Trainer good = trainer_of(ruined(name, kGood)), bad = trainer_of(ruined(name));
    EXPECT_FALSE(good.fit(data).taken_back);
    const FitResult result = bad.fit(data);
    ASSERT_TRUE(result.taken_back);
    EXPECT_FALSE(*result.taken_back < 1.0) << "the loss that the step led to";
    EXPECT_EQ(result.steps, kGood + 1);
    // θ + δ − δ, where δ is what is kept.
    expect_near(bad.state().parameters, good.state().parameters,
                name == "foof" || name == "auto" ? 1e-2f : 0.0f);
    EXPECT_TRUE(std::isfinite(bad.evaluate(data).loss));
  }
}

TEST(EndOfTraining, IsJudgedBeforeAnEvaluation) {
  const WavesDataset data({.count = 12});
  Trainer good = trainer_of(ruined("soap", kGood)), trainer = trainer_of(ruined("soap"));
  good.fit(data);
  const double before = good.evaluate(data).loss;
  int evaluations = 0;
  const FitResult result =
      trainer.fit(data, &data, {.on_evaluation = [&](const EvaluationReport& report) {
                    ++evaluations;
                    EXPECT_TRUE(report.taken_back);
                    EXPECT_EQ(report.result.loss, before);
                    return true;
                  }});
  EXPECT_EQ(evaluations, 1);
  EXPECT_TRUE(result.taken_back);
}

TEST(EndOfTraining, ATrainingThatGoesOnIsThatWithoutAnEnd) {
  const WavesDataset data({.count = 12}), validation({.count = 3});
  const test::TempDir folder;
  const auto path = folder / "state.safetensors";
  for (const std::string& name : late_judges()) {
    SCOPED_TRACE(name);
    Trainer whole = trainer_of(ruined(name, kGood + 5));
    whole.fit(data, &validation);
    Trainer first = trainer_of(ruined(name));
    ASSERT_TRUE(first.fit(data, &validation).taken_back);
    const TrainingState saved = first.state();
    EXPECT_FALSE(saved.continued_parameters.empty());
    save_checkpoint(path, saved);
    const TrainingState loaded = load_checkpoint(path);
    EXPECT_TRUE(test::same_bits(loaded.continued_parameters, saved.continued_parameters));
    Trainer resumed = trainer_of(ruined(name, kGood + 5));
    resumed.restore(loaded);
    EXPECT_TRUE(test::same_bits(resumed.state().parameters, saved.parameters));
    resumed.fit(data, &validation);
    EXPECT_TRUE(test::same_bits(resumed.state().parameters, whole.state().parameters));
    EXPECT_TRUE(
        test::same_bits(resumed.state().optimizer_tensors, whole.state().optimizer_tensors));
  }
}

TEST(EndOfTraining, AnEvaluationInBetweenChangesNothing) {
  const WavesDataset data({.count = 6}), validation({.count = 3});  // two steps an epoch
  for (const std::string& name : late_judges()) {
    SCOPED_TRACE(name);
    TrainerOptions options = ruined(name, kGood + 5);
    Trainer without = trainer_of(options);
    without.fit(data);
    options.evaluate_every = 1;
    Trainer evaluated = trainer_of(options);
    int taken_back = 0;
    evaluated.fit(data, &validation, {.on_evaluation = [&](const EvaluationReport& report) {
                    taken_back += report.taken_back ? 1 : 0;
                    return true;
                  }});
    EXPECT_GT(taken_back, 0);
    EXPECT_TRUE(
        test::same_bits(without.state().optimizer_tensors, evaluated.state().optimizer_tensors));
    EXPECT_TRUE(test::same_bits(without.state().parameters, evaluated.state().parameters));
  }
}

TEST(EndOfTraining, ParametersFromElsewhereAreNotPutBack) {
  const WavesDataset data({.count = 12});
  Trainer fresh = trainer_of(ruined("gd")), trainer = trainer_of(ruined("gd"));
  ASSERT_TRUE(trainer.fit(data).taken_back);
  trainer.load_parameters(fresh.state());
  EXPECT_TRUE(trainer.state().continued_parameters.empty());
  ASSERT_FALSE(trainer.state().parameters.empty());
  Trainer again = trainer_of(ruined("gd"));
  ASSERT_TRUE(again.fit(data).taken_back);
  again.theta();  // for somebody to write
  EXPECT_TRUE(again.state().continued_parameters.empty());
}

TEST(EndOfTraining, MethodsThatJudgeNothingLaterLeaveItAlone) {
  const WavesDataset data({.count = 12});
  for (const std::string name : {"adam", "hessian-free", "newton-cg", "newton"}) {
    SCOPED_TRACE(name);
    TrainerOptions options = ruined(name);
    options.schedule.step_factor = 0.5;
    Trainer trainer = trainer_of(options);
    EXPECT_FALSE(trainer.fit(data).taken_back);
  }
}

/// Images so bright that the square of the gradient is above all floats, the loss not.
Batch glaring() {
  Batch batch = test::batch_of(WavesDataset({.count = 4}), 0, 4);
  for (float& value : batch.images) value *= 1e30f;
  return batch;
}

TEST(OverflowInTraining, IsCountedAndTeachesNothing) {
  const Batch usual = test::batch_of(WavesDataset({.count = 4}), 0, 4);
  for (const std::string name : {"sgd", "adam", "adamw"}) {
    SCOPED_TRACE(name);
    TrainerOptions options = ruined(name, 100);
    options.schedule = {.kind = ScheduleKind::kConstant};
    options.divergence_factor = 0.0;
    Trainer trainer = trainer_of(options);
    trainer.step(usual);
    const TrainingState before = trainer.state();
    trainer.step(glaring());
    const StepReport report = trainer.last_step();
    EXPECT_TRUE(std::isfinite(report.loss));
    EXPECT_EQ(report.rejected_gradients, 1U);
    EXPECT_TRUE(test::same_bits(trainer.state().parameters, before.parameters));
    EXPECT_TRUE(test::same_bits(trainer.state().optimizer_tensors, before.optimizer_tensors));
    trainer.step(usual);
    EXPECT_EQ(trainer.last_step().rejected_gradients, 1U);
    EXPECT_FALSE(test::same_bits(trainer.state().parameters, before.parameters));
  }
}

TEST(OverflowInTraining, TenInARowEndTheTraining) {
  TrainerOptions options = ruined("adam", 100);
  options.divergence_factor = 0.0;
  Trainer trainer = trainer_of(options);
  for (int i = 0; i < 9; ++i) trainer.step(glaring());
  EXPECT_EQ(trainer.last_step().rejected_gradients, 9U);
  trainer.step(glaring());
  try {
    trainer.last_step();
    ADD_FAILURE() << "training went on";
  } catch (const DivergenceError& error) {
    EXPECT_EQ(error.step(), 10U);
    EXPECT_NE(std::string(error.what()).find("the gradient is not finite although the loss is"),
              std::string::npos)
        << error.what();
  }
}

}  // namespace
}  // namespace curvseg
