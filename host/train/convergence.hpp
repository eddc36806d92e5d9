// When training must stop and when it may. Functions of the progress that a checkpoint holds, so a
// resumed run decides as the uninterrupted one.
#pragma once

#include <cstdint>
#include <optional>

#include "curvseg/checkpoint.hpp"
#include "curvseg/train.hpp"

namespace curvseg {

/// What a loss is held against.
struct LossLimits {
  double factor = 0.0;    // times the first loss; 0: any
  bool recovers = false;  // the optimiser takes back the step that led to a bad one
};

/// Remembers the first loss that is not 0; false for a bad loss that the optimiser recovers from:
/// one that is not finite, or more than `factor` times the first. \throws DivergenceError for a bad
/// loss otherwise, or for too many of them in a row.
bool check_loss(TrainingProgress& progress, const LossLimits& limits, std::uint64_t step,
                double loss, double learning_rate);

/// Counts a gradient that is not finite under a finite loss, of which nothing is learned.
/// \throws DivergenceError for too many of them in a row.
void check_gradient(TrainingProgress& progress, std::uint64_t step, bool finite);

/// Takes in a validation mIoU; true if it is the best so far. A NaN never is.
bool record_evaluation(TrainingProgress& progress, const ConvergenceOptions& options,
                       double mean_iou);

/// Takes in the mean training loss of an epoch.
void record_epoch_loss(TrainingProgress& progress, const ConvergenceOptions& options, double loss);

/// The rule that says stop, if any.
std::optional<StopReason> converged(const TrainingProgress& progress,
                                    const ConvergenceOptions& options);

}  // namespace curvseg
