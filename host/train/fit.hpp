// The loop over epochs.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>

#include "host/train/stopwatch.hpp"
#include "host/train/trainer_core.hpp"

namespace curvseg {

/// One call of Trainer::fit().
class Fit {
 public:
  Fit(TrainerCore& trainer, const Dataset& train, const Dataset* validation,
      const TrainingEvents& events);

  FitResult run();

 private:
  using Clock = std::chrono::steady_clock;

  /// Takes the memory of a step where its shape is known: what is too large for the device is found
  /// out before images are read.
  void reserve() const;
  void run_epoch();
  void after_step(int images);
  void end_epoch();
  /// Ends between two batches, when max_steps are done.
  void end_inside_epoch();
  /// Judges the last step, which no later loss does.
  void settle();
  /// Evaluates, remembers what came out and tells the callback.
  EvaluationResult evaluate(std::uint64_t epoch);

  bool steps_done() const;
  bool all_done() const;
  void stop(StopReason reason);
  void tell(bool carry_on);  // what a callback answered
  double seconds() const;

  TrainerCore& trainer_;
  const Dataset* validation_;
  const TrainingEvents& events_;
  DataLoader loader_;
  int largest_batch_ = 0;
  std::uint64_t planned_steps_ = 0;
  std::uint64_t steps_in_epoch_ = 0;
  std::optional<StopReason> stopped_;
  std::optional<double> taken_back_;  // the loss by which the last step failed
  Stopwatch training_;
  Clock::time_point start_ = Clock::now();
  Clock::time_point last_report_ = start_;
  std::uint64_t images_since_report_ = 0;
};

}  // namespace curvseg
