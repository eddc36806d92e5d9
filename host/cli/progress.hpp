/// \file
/// What a training shows while it runs.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

#include "curvseg/train.hpp"

namespace curvseg::cli {

/// The status line (a bar, on a terminal) and one log line per epoch.
class Progress {
 public:
  /// \param options  of the training, for the number of epochs
  /// \param first_step  steps done before this run
  Progress(const TrainerOptions& options, std::uint64_t first_step, bool is_classification);

  void on_step(const StepReport& report);
  void on_evaluation(const EvaluationReport& report);
  void on_epoch(const EpochReport& report);
  /// Training is over: logs an evaluation that no epoch has reported, since --steps ended within
  /// it.
  void finish();

  /// Mean images per second of the training steps, without evaluations.
  [[nodiscard]] double images_per_second() const;

 private:
  using Clock = std::chrono::steady_clock;

  void draw(const StepReport& report);
  void log(std::uint64_t epoch, std::uint64_t step, double loss, bool is_evaluated) const;
  [[nodiscard]] std::string epoch_text(std::uint64_t epoch) const;
  [[nodiscard]] std::string time_left() const;

  std::uint64_t epochs_;
  std::uint64_t first_step_;
  bool is_classification_;
  Clock::time_point start_ = Clock::now();
  Clock::time_point drawn_;
  StepReport last_;
  double smooth_loss_ = 0.0;
  double smooth_rate_ = 0.0;
  double seconds_per_image_ = 0.0;  // summed over reports
  std::uint64_t reports_ = 0;
  std::optional<EvaluationReport> evaluation_;  // the latest
  bool is_logged_ = true;                       // evaluation_ is
};

}  // namespace curvseg::cli
