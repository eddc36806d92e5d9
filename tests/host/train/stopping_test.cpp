// When training ends early: convergence, callbacks, a loss that is no number or runs away.
#include <gtest/gtest.h>

#include <cmath>
#include <stdexcept>
#include <string>

#include "host/train/convergence.hpp"
#include "tests/host/train/fixtures.hpp"

namespace curvseg {
namespace {

using test::WavesDataset;

/// Learns nothing, so nothing improves.
TrainerOptions standstill() {
  return {.batch = 4,
          .epochs = 20,
          .optimizer = {.name = "sgd"},
          .schedule = {.learning_rate = 1e-12},
          .log_every = 1};
}

TEST(Stopping, PatienceOnTheValidationScore) {
  const WavesDataset data({.count = 4});
  TrainerOptions options = standstill();
  options.convergence.patience = 3;
  Trainer trainer(test::test_stream(), test::tiny_model(), options);
  const FitResult result = trainer.fit(data, &data);
  EXPECT_EQ(result.reason, StopReason::kConverged);
  EXPECT_EQ(result.epochs, 4U) << "the first is the best, three do not improve on it";
  EXPECT_EQ(result.best_step, 1U);
}

TEST(Stopping, PlateauOfTheTrainingLoss) {
  const WavesDataset data({.count = 4});
  TrainerOptions options = standstill();
  options.convergence.plateau_epochs = 2;
  options.evaluate_every = 0;
  Trainer trainer(test::test_stream(), test::tiny_model(), options);
  int evaluations = 0;
  const FitResult result =
      trainer.fit(data, &data, {.on_evaluation = [&](const EvaluationReport& report) {
                    ++evaluations;
                    EXPECT_EQ(report.epoch, 2U);
                    return true;
                  }});
  EXPECT_EQ(result.reason, StopReason::kPlateau);
  EXPECT_EQ(result.epochs, 3U);
  EXPECT_EQ(evaluations, 1) << "the end is evaluated";
}

TEST(Stopping, CallbacksMayStop) {
  const WavesDataset data({.count = 7});
  TrainerOptions options = standstill();
  for (const int which : {0, 1, 2}) {
    Trainer trainer(test::test_stream(), test::tiny_model(), options);
    TrainingEvents events;
    if (which == 0) events.on_step = [](const StepReport& r) { return r.step < 3; };
    if (which == 1) events.on_evaluation = [](const EvaluationReport&) { return false; };
    if (which == 2) events.on_epoch = [](const EpochReport& r) { return r.epoch < 1; };
    const FitResult result = trainer.fit(data, &data, events);
    EXPECT_EQ(result.reason, StopReason::kCallback);
    EXPECT_EQ(result.steps, which == 0 ? 3U : which == 1 ? 2U : 4U);
  }
}

TEST(Stopping, AnExceptionOfACallbackLeavesTheTrainerUsable) {
  const WavesDataset data({.count = 7});
  Trainer trainer(test::test_stream(), test::tiny_model(), standstill());
  EXPECT_THROW(trainer.fit(data, nullptr, {.on_step = [](const StepReport&) -> bool {
                             throw std::runtime_error("enough");
                           }}),
               std::runtime_error);
  EXPECT_EQ(trainer.fit(data).steps, 40U);
}

TEST(Stopping, ALossThatIsNoNumberNamesTheStep) {
  const WavesDataset data({.count = 8});
  for (const std::uint64_t log_every : {1U, 1000U}) {
    TrainerOptions options = standstill();
    options.schedule.learning_rate = 1e25;
    options.divergence_factor = 0.0;
    options.log_every = log_every;
    Trainer trainer(test::test_stream(), test::tiny_model(), options);
    try {
      trainer.fit(data);
      ADD_FAILURE() << "training went on";
    } catch (const DivergenceError& error) {
      const std::string head = "step " + std::to_string(error.step()) + ": the loss is ";
      EXPECT_EQ(std::string(error.what()).rfind(head, 0), 0U) << error.what();
      EXPECT_GE(error.step(), 2U);
      EXPECT_LE(error.step(), 4U);
      EXPECT_LE(trainer.steps_done(), error.step() + 1) << "at most one step late";
    }
    EXPECT_THROW(trainer.state(), DivergenceError) << "not worth a checkpoint";
  }
}

TEST(Stopping, TheLastUpdateIsCheckedToo) {
  const WavesDataset data({.count = 4});
  TrainerOptions options = standstill();
  options.schedule.learning_rate = 1e38;
  options.optimizer.sgd.regularisation.l2 = 1e6F;  // an update beyond what a float holds
  options.max_steps = 1;
  Trainer alone(test::test_stream(), test::tiny_model(), options);
  alone.fit(data);
  EXPECT_THROW(alone.state(), DivergenceError);
  Trainer validated(test::test_stream(), test::tiny_model(), options);
  EXPECT_THROW(validated.fit(data, &data), DivergenceError);
}

TEST(Stopping, ALossFarAboveItsBeginningStops) {
  const WavesDataset data({.count = 8});
  TrainerOptions options = standstill();
  options.divergence_factor =
      1e-3;  // the second loss is as large as the first, which is above 0.01
  Trainer trainer(test::test_stream(), test::tiny_model(), options);
  try {
    trainer.fit(data);
    ADD_FAILURE() << "training went on";
  } catch (const DivergenceError& error) {
    EXPECT_EQ(error.step(), 2U);
    EXPECT_NE(std::string(error.what()).find("more than 0.001 times"), std::string::npos)
        << error.what();
  }
}

TEST(Stopping, ALossThatBeganAtNearlyNothingMayRiseToTheUsual) {
  TrainingProgress progress;
  const LossLimits limits{.factor = 1e3};
  EXPECT_TRUE(check_loss(progress, limits, 1, 1e-4, 0.1));
  EXPECT_TRUE(check_loss(progress, limits, 2, 9.0, 0.1));
  try {
    check_loss(progress, limits, 3, 11.0, 0.1);
    ADD_FAILURE() << "training went on";
  } catch (const DivergenceError& error) {
    EXPECT_NE(std::string(error.what()).find("more than 1000 times 0.01 (learning rate"),
              std::string::npos)
        << error.what();
  }
}

TEST(Stopping, TheFirstLossThatIsNotZeroIsTheMeasure) {
  TrainingProgress progress;
  const LossLimits ten{.factor = 10.0}, none{};
  EXPECT_TRUE(check_loss(progress, ten, 1, 0.0, 1.0));
  EXPECT_FALSE(progress.first_loss.has_value());
  EXPECT_TRUE(check_loss(progress, ten, 2, 1.5, 1.0));
  EXPECT_TRUE(check_loss(progress, ten, 3, 15.0, 1.0));
  EXPECT_EQ(progress.first_loss, 1.5);
  EXPECT_THROW(check_loss(progress, ten, 4, 15.1, 1.0), DivergenceError);
  EXPECT_TRUE(check_loss(progress, none, 4, 1e30, 1.0));
  EXPECT_THROW(check_loss(progress, none, 4, NAN, 1.0), DivergenceError);
  EXPECT_THROW(check_loss(progress, none, 4, -INFINITY, 1.0), DivergenceError);
}

TEST(Stopping, AnOptimizerThatRecoversMayHaveBadLossesButNotTenInARow) {
  TrainingProgress progress;
  const LossLimits limits{.factor = 10.0, .recovers = true};
  EXPECT_FALSE(check_loss(progress, limits, 1, NAN, 1.0));
  EXPECT_TRUE(check_loss(progress, limits, 2, 1.0, 1.0));
  EXPECT_EQ(progress.first_loss, 1.0);
  EXPECT_EQ(progress.bad_losses, 0U);
  for (std::uint64_t step = 3; step < 12; ++step)
    EXPECT_FALSE(check_loss(progress, limits, step, step % 2 ? 11.0 : INFINITY, 1.0));
  EXPECT_THROW(check_loss(progress, limits, 12, 11.0, 1.0), DivergenceError);
}

TEST(Stopping, SmallGainsAreTheBestButDoNotBuyPatience) {
  TrainingProgress progress;
  const ConvergenceOptions options{.patience = 2, .min_improvement = 0.1};
  EXPECT_FALSE(record_evaluation(progress, options, NAN)) << "nothing labelled";
  EXPECT_TRUE(record_evaluation(progress, options, 0.50));
  EXPECT_FALSE(converged(progress, options));
  EXPECT_TRUE(record_evaluation(progress, options, 0.55));
  EXPECT_FALSE(record_evaluation(progress, options, 0.40));
  EXPECT_EQ(converged(progress, options), StopReason::kConverged);
  EXPECT_EQ(progress.best_mean_iou, 0.55);
}

}  // namespace
}  // namespace curvseg
