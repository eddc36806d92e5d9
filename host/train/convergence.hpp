// When training must stop and when it may. Functions of the progress that a checkpoint holds, so a
// resumed run decides as the uninterrupted one.
#pragma once

#include <cstdint>
#include <optional>

#include "curvseg/checkpoint.hpp"
#include "curvseg/train.hpp"

namespace curvseg {

/// Remembers the first loss that is not 0. \throws DivergenceError for a loss that is not finite,
/// or more than `factor` (0: any) times the first.
void check_loss(TrainingProgress& progress, double factor, std::uint64_t step, double loss,
                double learning_rate);

/// Takes in a validation mIoU; true if it is the best so far. A NaN never is.
bool record_evaluation(TrainingProgress& progress, const ConvergenceOptions& options,
                       double mean_iou);

/// Takes in the mean training loss of an epoch.
void record_epoch_loss(TrainingProgress& progress, const ConvergenceOptions& options, double loss);

/// The rule that says stop, if any.
std::optional<StopReason> converged(const TrainingProgress& progress,
                                    const ConvergenceOptions& options);

}  // namespace curvseg
