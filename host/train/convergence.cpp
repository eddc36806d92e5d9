#include "host/train/convergence.hpp"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <string>

namespace curvseg {
namespace {

/// A step taken back leads to the loss before it; more in a row are no matter of the step.
constexpr std::uint64_t kMostBadLosses = 10;
/// Training that goes on from a network that is nearly right begins with a loss of nearly nothing,
/// which one hard batch exceeds a thousand times.
constexpr double kLeastFirstLoss = 0.01;

std::string number(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.4g", value);
  return text;
}

}  // namespace

bool check_loss(TrainingProgress& progress, const LossLimits& limits, std::uint64_t step,
                double loss, double learning_rate) {
  const bool finite = std::isfinite(loss);
  const double usual = std::max(progress.first_loss.value_or(0.0), kLeastFirstLoss);
  const bool high = limits.factor > 0.0 && progress.first_loss && loss > limits.factor * usual;
  if (finite && !high) {
    if (!progress.first_loss && loss > 0.0) progress.first_loss = loss;
    progress.bad_losses = 0;
    return true;
  }
  if (limits.recovers && ++progress.bad_losses < kMostBadLosses) return false;
  const std::string head = "step " + std::to_string(step) + ": the loss is " + number(loss);
  const std::string advice =
      limits.recovers ? ", the " + std::to_string(progress.bad_losses) +
                            "th such loss in a row although the steps were taken back"
                      : " (learning rate " + number(learning_rate) +
                            "); a lower learning rate, a warm-up or a clip norm may help";
  if (!finite) throw DivergenceError(step, head + advice);
  const bool began_so = usual == *progress.first_loss;
  throw DivergenceError(
      step, head + ", more than " + number(limits.factor) + " times " +
                (began_so ? "the " + number(usual) + " it began with" : number(usual)) + advice);
}

void check_gradient(TrainingProgress& progress, std::uint64_t step, bool finite) {
  if (finite) {
    progress.bad_gradients = 0;
    return;
  }
  ++progress.rejected_gradients;
  if (++progress.bad_gradients < kMostBadLosses) return;
  throw DivergenceError(step, "step " + std::to_string(step) +
                                  ": the gradient is not finite although the loss is, the " +
                                  std::to_string(progress.bad_gradients) +
                                  "th such step in a row, and nothing is learned from them");
}

bool record_evaluation(TrainingProgress& progress, const ConvergenceOptions& options,
                       double mean_iou) {
  const bool first = !progress.best_mean_iou && !std::isnan(mean_iou);
  const bool best = first || (progress.best_mean_iou && mean_iou > *progress.best_mean_iou);
  const bool improved = first || (progress.best_mean_iou &&
                                  mean_iou > *progress.best_mean_iou + options.min_improvement);
  if (improved) {
    progress.evaluations_since_best = 0;
  } else {
    ++progress.evaluations_since_best;
  }
  if (best) {
    progress.best_mean_iou = mean_iou;
    progress.best_step = progress.step;
  }
  return best;
}

void record_epoch_loss(TrainingProgress& progress, const ConvergenceOptions& options, double loss) {
  const bool lower =
      !progress.best_epoch_loss || loss < *progress.best_epoch_loss * (1.0 - options.min_decrease);
  if (lower) {
    progress.best_epoch_loss = loss;
    progress.epochs_since_best_loss = 0;
  } else {
    ++progress.epochs_since_best_loss;
  }
}

std::optional<StopReason> converged(const TrainingProgress& progress,
                                    const ConvergenceOptions& options) {
  const auto reached = [](std::uint64_t count, int limit) {
    return limit > 0 && count >= static_cast<std::uint64_t>(limit);
  };
  if (reached(progress.evaluations_since_best, options.patience)) return StopReason::kConverged;
  if (reached(progress.epochs_since_best_loss, options.plateau_epochs)) return StopReason::kPlateau;
  return std::nullopt;
}

}  // namespace curvseg
