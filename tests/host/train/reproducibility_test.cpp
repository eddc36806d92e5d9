// The same seed gives the same bits: twice, whatever the threads, interrupted or not.
#include <gtest/gtest.h>
#include <omp.h>

#include <string>
#include <thread>
#include <vector>

#include "tests/host/data/fixtures.hpp"
#include "tests/host/train/fixtures.hpp"

namespace curvseg {
namespace {

using test::WavesDataset;

/// Everything that moves: shuffled crops, a partial last batch, clipping, a schedule.
TrainerOptions busy(const std::string& optimizer) {
  TrainerOptions options{.seed = 7,
                         .batch = 3,
                         .epochs = 0,
                         .max_steps = 10,
                         .augment = {.crop_height = 8, .crop_width = 8, .flip_horizontal = true},
                         .optimizer = {.name = optimizer},
                         .clip_norm = 0.3f,
                         .log_every = 1};
  options.schedule = {.kind = ScheduleKind::kCosine, .learning_rate = 0.01, .warmup_steps = 3};
  if (optimizer != "sgd" && optimizer != "adam" && optimizer != "adamw") {
    options.clip_norm = 0.0f;                    // they refuse it
    options.schedule.learning_rate = 0.0;        // their own
    options.optimizer.automatic.foof_steps = 3;  // so that both phases are seen
    options.optimizer.automatic.watched_steps = 2;
    options.optimizer.automatic.measured_steps = 3;
    options.optimizer.soap.basis_every = options.optimizer.automatic.soap.basis_every = 4;
  }
  return options;
}

Model small_model() { return test::tiny_model(1, 2, 4); }

TrainingState train(const TrainerOptions& options) {
  const WavesDataset data({.count = 10, .ignore = true});
  Trainer trainer(test::test_stream(), small_model(), options);
  trainer.fit(data);
  return trainer.state();
}

void expect_same(const TrainingState& a, const TrainingState& b) {
  EXPECT_TRUE(test::same_bits(a.parameters, b.parameters));
  EXPECT_TRUE(test::same_bits(a.optimizer_tensors, b.optimizer_tensors));
  EXPECT_EQ(a.optimizer_scalars, b.optimizer_scalars);
  EXPECT_EQ(a.progress, b.progress);
}

TEST(Reproducibility, TwoRunsAreEqualAndTheSeedMatters) {
  const TrainingState first = train(busy("adam"));
  expect_same(first, train(busy("adam")));
  TrainerOptions other = busy("adam");
  other.seed = 8;
  EXPECT_FALSE(test::same_bits(first.parameters, train(other).parameters));
}

TEST(Reproducibility, ThreadsDoNotMatter) {
  const TrainingState expected = train(busy("adam"));
  const int threads = omp_get_max_threads();
  for (const int loader_threads : {0, 3}) {
    TrainerOptions options = busy("adam");
    options.loader_threads = loader_threads;
    options.log_every = 1000;
    omp_set_num_threads(loader_threads + 1);
    expect_same(expected, train(options));
  }
  omp_set_num_threads(threads);
}

TEST(Reproducibility, ThreadsDoNotMatterToAnyOptimizer) {
  const int threads = omp_get_max_threads();
  for (const std::string& optimizer : optimizer_names()) {
    SCOPED_TRACE(optimizer);
    omp_set_num_threads(1);
    const TrainingState expected = train(busy(optimizer));
    omp_set_num_threads(3);
    expect_same(expected, train(busy(optimizer)));
  }
  omp_set_num_threads(threads);
}

TEST(Reproducibility, TrainersInTwoThreadsDoNotDisturbEachOther) {
  const TrainingState adam = train(busy("adam")), sgd = train(busy("sgd"));
  for (int round = 0; round < 3; ++round) {
    TrainingState from_thread;
    std::thread other([&] { from_thread = train(busy("sgd")); });
    expect_same(adam, train(busy("adam")));
    other.join();
    expect_same(sgd, from_thread);
  }
}

/// Saves after `steps`, in the way a program would, and carries on in a new trainer.
TrainingState train_interrupted(const TrainerOptions& options, const WavesDataset& data,
                                const Dataset* validation, std::uint64_t steps,
                                const std::filesystem::path& path) {
  {
    Trainer first(test::test_stream(), small_model(), options);
    first.fit(data, validation, {.on_step = [&](const StepReport& report) {
                if (report.step == steps) save_checkpoint(path, first.state());
                return report.step < steps;
              }});
  }
  const TrainingState saved = load_checkpoint(path);
  EXPECT_EQ(saved.progress.step, steps);
  TrainerOptions resumed_options = options;
  resumed_options.seed = 12345;  // the one in the checkpoint counts
  Trainer second(test::test_stream(), small_model(), resumed_options);
  second.restore(saved, path.string());
  second.fit(data, validation);
  return second.state();
}

TEST(Reproducibility, AnInterruptedRunIsEqualToTheWholeOne) {
  const WavesDataset data({.count = 10, .ignore = true});  // 4 steps an epoch
  const WavesDataset validation({.count = 3});
  const test::TempDir folder;
  for (const std::string& optimizer : optimizer_names()) {
    SCOPED_TRACE(optimizer);
    Trainer whole(test::test_stream(), small_model(), busy(optimizer));
    whole.fit(data, &validation);
    const TrainingState expected = whole.state();
    for (const std::uint64_t steps : {1U, 4U, 5U, 9U})
      expect_same(expected, train_interrupted(busy(optimizer), data, &validation, steps,
                                              folder / "run.safetensors"));
  }
}

TEST(Reproducibility, ACheckpointTakenByAnyCallbackStandsWhereTheRunStands) {
  const WavesDataset data({.count = 10}), validation({.count = 3});
  TrainerOptions options = busy("adam");
  options.convergence = {.patience = 5, .plateau_epochs = 5};
  std::vector<TrainingState> states;
  Trainer whole(test::test_stream(), small_model(), options);
  const auto keep = [&] {
    states.push_back(whole.state());
    return true;
  };
  whole.fit(data, &validation,
            {.on_evaluation = [&](const EvaluationReport&) { return keep(); },
             .on_epoch = [&](const EpochReport&) { return keep(); }});
  ASSERT_EQ(states.size(), 5U) << "two epochs, and the end of the third inside";
  for (const TrainingState& state : states) {
    Trainer resumed(test::test_stream(), small_model(), options);
    resumed.restore(state);
    resumed.fit(data, &validation);
    expect_same(whole.state(), resumed.state());
  }
}

TEST(Reproducibility, AConvergedRunStaysConverged) {
  const WavesDataset data({.count = 4});
  TrainerOptions options = busy("sgd");
  options.schedule = {.learning_rate = 1e-12};
  options.convergence.patience = 1;
  Trainer trainer(test::test_stream(), small_model(), options);
  EXPECT_EQ(trainer.fit(data, &data).reason, StopReason::kConverged);
  Trainer resumed(test::test_stream(), small_model(), options);
  resumed.restore(trainer.state());
  const FitResult again = resumed.fit(data, &data);
  EXPECT_EQ(again.reason, StopReason::kConverged);
  EXPECT_EQ(again.steps, trainer.steps_done());
}

}  // namespace
}  // namespace curvseg
