// The checks of a trainer's options.
#include <cmath>
#include <string>

#include "host/data/augment.hpp"
#include "host/nn/loss.hpp"
#include "host/optim/check_options.hpp"
#include "host/optim/newton.hpp"
#include "host/train/trainer_core.hpp"

namespace curvseg {
namespace {

void require(bool condition, const std::string& why) {
  if (!condition) throw InputError("trainer: " + why);
}

void check_schedule(ScheduleOptions schedule) {
  schedule.total_steps = 1;  // known later
  try {
    learning_rate(schedule, 0);
  } catch (const std::invalid_argument& error) {
    throw InputError(error.what());
  }
}

void check_convergence(const ConvergenceOptions& options) {
  require(options.patience >= 0 && options.plateau_epochs >= 0,
          "patience is " + std::to_string(options.patience) + " and plateau_epochs " +
              std::to_string(options.plateau_epochs) + ", they must be at least 0");
  require(options.min_improvement >= 0.0 && options.min_decrease >= 0.0,
          "min_improvement and min_decrease must be at least 0");
}

}  // namespace

void check_normalisation_of(const Model& model, const std::optional<Normalisation>& normalisation,
                            const std::string& source) {
  if (!normalisation) return;
  try {
    check_normalisation(*normalisation, model.in_channels());
  } catch (const Error& error) {
    throw InputError(source + ": " + error.what());
  }
}

void check_trainer_options(const TrainerOptions& options, const Model& model) {
  require(options.batch >= 1,
          "batch is " + std::to_string(options.batch) + ", it must be at least 1");
  require(
      options.images_at_once >= 0,
      "images_at_once is " + std::to_string(options.images_at_once) + ", it must not be negative");
  require(options.epochs > 0 || options.max_steps > 0,
          "epochs and max_steps are both 0, one must say when training ends");
  require(options.clip_norm >= 0.0f && std::isfinite(options.clip_norm),
          "clip_norm is " + std::to_string(options.clip_norm) + ", it " + kFiniteNotNegative);
  const std::string& optimizer = options.optimizer.name;
  require(options.clip_norm == 0.0f || takes_clipping(optimizer),
          "clip_norm is " + std::to_string(options.clip_norm) + ", but the steps of " + optimizer +
              " do not depend on the length of the gradient; it must be 0");
  require(options.divergence_factor >= 0.0, "divergence_factor must be at least 0");
  require(options.log_every >= 1, "log_every is 0, it must be at least 1");
  require(options.evaluation_batch >= 0, "evaluation_batch is " +
                                             std::to_string(options.evaluation_batch) +
                                             ", it must be at least 0");
  require(
      options.loader_threads >= 0,
      "loader_threads is " + std::to_string(options.loader_threads) + ", it must be at least 0");
  constexpr std::size_t kMostSamples = 1'000'000'000;
  require(options.samples_per_epoch <= kMostSamples,
          "samples_per_epoch is " + std::to_string(options.samples_per_epoch) +
              ", it must be at most " + std::to_string(kMostSamples));
  check_convergence(options.convergence);
  check_schedule(options.schedule);
  check_optimizer_options(options.optimizer);
  if (optimizer == "newton") check_newton_size(options.optimizer.newton, model);
  check_loss_options(options.loss, model.classes());
  check_normalisation_of(model, options.normalisation, "trainer");
}

}  // namespace curvseg
