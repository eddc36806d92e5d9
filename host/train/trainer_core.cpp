#include "host/train/trainer_core.hpp"

#include <algorithm>
#include <cmath>
#include <utility>

#include "host/train/convergence.hpp"
#include "host/train/evaluation.hpp"

namespace curvseg {
namespace {

/// Far enough for a schedule to stand at its beginning for ever.
constexpr std::uint64_t kEndless = std::uint64_t{1} << 62;

ScheduleOptions complete(ScheduleOptions schedule, const TrainerOptions& options) {
  if (schedule.learning_rate == 0.0)
    schedule.learning_rate = default_learning_rate(options.optimizer);
  if (schedule.total_steps == 0) schedule.total_steps = options.max_steps;
  // Until fit() counts the steps: a decay without an end is none.
  const bool decays = schedule.kind == ScheduleKind::kCosine ||
                      schedule.kind == ScheduleKind::kPolynomial ||
                      (schedule.kind == ScheduleKind::kStep && schedule.step_every == 0);
  if (schedule.total_steps == 0 && decays) schedule.total_steps = kEndless;
  return schedule;
}

/// Checked before the engine allocates anything.
const TrainerOptions& checked(const TrainerOptions& options, const Model& model) {
  check_trainer_options(options, model);
  return options;
}

}  // namespace

TrainerCore::TrainerCore(Stream stream, Model model, TrainerOptions trainer_options)
    : options(std::move(trainer_options)),
      schedule(complete(checked(options, model).schedule, options)),
      engine(std::move(stream), std::move(model), options) {
  normalisation = options.normalisation;
}

void TrainerCore::run(Batch& batch, bool counts) {
  BatchSlot& slot = engine.slot(progress.step + 1);
  slot.settle();  // at once, unless an exception has left copies of its memory under way
  std::swap(slot.batch, batch);
  enqueue_own(slot, counts);
}

void TrainerCore::run(const Batch& batch) {
  BatchSlot& slot = engine.slot(progress.step + 1);
  slot.settle();
  slot.batch = batch;
  enqueue_own(slot, /*counts=*/false);
}

void TrainerCore::enqueue_own(BatchSlot& slot, bool counts) {
  const DeviceBatch batch = engine.upload(slot);
  enqueue(batch, slot, counts);
  last_batch_ = batch;
}

void TrainerCore::run(ConstTensorView x, const std::int32_t* labels) {
  BatchSlot& slot = engine.slot(progress.step + 1);
  enqueue(engine.adopt(x, labels), slot, /*counts=*/false);
}

void TrainerCore::enqueue(const DeviceBatch& batch, BatchSlot& slot, bool counts) {
  last_batch_.reset();
  const double rate = learning_rate(schedule, progress.step);
  const std::uint64_t step = progress.step + 1;
  engine.train(batch, slot, step, static_cast<float>(rate));
  progress.step = step;
  // The step before is looked at only now, so the device has work while the host waits for it.
  const auto before = std::exchange(pending_, Pending{step, progress.epoch, rate, counts, &slot});
  if (before) check(*before);
}

void TrainerCore::finish_pending() {
  if (const auto last = std::exchange(pending_, std::nullopt)) check(*last);
}

std::optional<double> TrainerCore::settle() {
  finish_pending();
  const auto batch = std::exchange(last_batch_, std::nullopt);
  return batch ? engine.settle(*batch) : std::nullopt;
}

void TrainerCore::forget_pending() {
  engine.stream().synchronise();
  if (pending_) pending_->slot->settle();
  pending_.reset();
  last_batch_.reset();
  divergence.reset();
  engine.begin_from_theta();
  last_report = {};
}

void TrainerCore::check(const Pending& step) {
  step.slot->wait();
  const double loss = step.slot->loss_value();
  last_report = {.step = step.step, .epoch = step.epoch, .loss = loss};
  last_report.learning_rate = step.learning_rate;
  if (options.clip_norm > 0.0f)
    last_report.gradient_norm = std::sqrt(step.slot->squared_norm_value());
  const bool good = check_convergence(step, loss);
  last_report.rejected_gradients = progress.rejected_gradients;
  if (!step.counts || !good) return;
  progress.epoch_loss += loss * step.slot->denominator_value();
  progress.epoch_weight += step.slot->denominator_value();
}

bool TrainerCore::check_convergence(const Pending& step, double loss) {
  const LossLimits limits{options.divergence_factor, engine.optimizer().recovers()};
  divergence.reset();
  try {
    const bool good = check_loss(progress, limits, step.step, loss, step.learning_rate);
    if (std::isfinite(loss))
      check_gradient(progress, step.step, std::isfinite(step.slot->squared_norm_value()));
    return good;
  } catch (const DivergenceError& error) {
    divergence = error;
    throw;
  }
}

void TrainerCore::check_dataset(const Dataset& dataset) const {
  const Model& model = engine.model();
  const auto refuse = [&](const std::string& data, const std::string& network) {
    throw InputError(dataset.name() + ": " + data + ", model " + model.name() + " " + network);
  };
  if (dataset.channels() != model.in_channels())
    refuse("images have " + std::to_string(dataset.channels()) + " channels",
           "takes " + std::to_string(model.in_channels()));
  if (dataset.classes() > model.classes())
    refuse("there are " + std::to_string(dataset.classes()) + " classes",
           "has " + std::to_string(model.classes()));
  if (dataset.is_classification() != model.is_classifier())
    refuse(dataset.is_classification() ? "an image has one label" : "every pixel has a label",
           model.is_classifier() ? "classifies images" : "classifies pixels");
}

const Normalisation& TrainerCore::normalisation_or_none() const {
  static const Normalisation none;
  return normalisation ? *normalisation : none;
}

LoaderOptions TrainerCore::make_training_loader_options() const {
  return {.batch = options.batch,
          .shuffle = true,
          .seed = options.seed,
          .augment = options.augment,
          .normalisation = normalisation_or_none(),
          .threads = options.loader_threads,
          .samples_per_epoch = options.samples_per_epoch};
}

EvaluationResult TrainerCore::evaluate(const Dataset& dataset) {
  check_dataset(dataset);
  finish_pending();  // its slot is needed
  last_batch_.reset();
  int batch = options.evaluation_batch;
  if (batch == 0)
    batch = options.images_at_once > 0 ? std::min(options.images_at_once, options.batch)
                                       : options.batch;
  DataLoader loader(dataset, {.batch = batch,
                              .normalisation = normalisation_or_none(),
                              .threads = options.loader_threads});
  return curvseg::evaluate(engine, loader);
}

}  // namespace curvseg
