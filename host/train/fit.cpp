#include "host/train/fit.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "host/train/convergence.hpp"

namespace curvseg {
namespace {

std::string to_text(const DataFingerprint& data) {
  return std::to_string(data.samples) + " samples of fingerprint " + data.hash;
}

/// The data sets fit, and the trainer knows what it takes from the training set.
TrainerCore& prepare(TrainerCore& trainer, const Dataset& train, const Dataset* validation) {
  trainer.check_dataset(train);
  if (validation) trainer.check_dataset(*validation);
  DataFingerprint data = fingerprint(train);
  if (trainer.progress.batch_in_epoch > 0 && trainer.train_data && *trainer.train_data != data)
    throw InputError(train.name() + ": has " + to_text(data) +
                     ", the training stopped inside an epoch over " + to_text(*trainer.train_data));
  if (!trainer.normalisation) trainer.normalisation = measure_normalisation(train);
  trainer.class_names = train.class_names();
  trainer.train_data = std::move(data);
  return trainer;
}

/// Steps from the first to the end; 0 when neither is known.
std::uint64_t planned_steps(const TrainerOptions& options, std::uint64_t steps_in_epoch) {
  constexpr std::uint64_t kMost = std::numeric_limits<std::uint64_t>::max();
  const bool fits = steps_in_epoch == 0 || options.epochs <= kMost / steps_in_epoch;
  const std::uint64_t all = fits ? options.epochs * steps_in_epoch : kMost;
  if (all == 0 || options.max_steps == 0) return std::max(all, options.max_steps);
  return std::min(all, options.max_steps);
}

}  // namespace

Fit::Fit(TrainerCore& trainer, const Dataset& train, const Dataset* validation,
         const TrainingEvents& events)
    : trainer_(prepare(trainer, train, validation)),
      validation_(validation),
      events_(events),
      loader_(train, trainer.make_training_loader_options()) {
  // From epoch 0, so that a resumed run plans what the uninterrupted one did.
  planned_steps_ = planned_steps(trainer_.options, loader_.batches(0));
  if (trainer_.options.schedule.total_steps == 0) trainer_.schedule.total_steps = planned_steps_;
  const std::uint64_t samples = trainer_.options.samples_per_epoch;
  largest_batch_ = static_cast<int>(std::min<std::uint64_t>(
      samples > 0 ? samples : train.size(), static_cast<std::uint64_t>(trainer_.options.batch)));
}

FitResult Fit::run() {
  TrainingProgress& progress = trainer_.progress;
  if (const auto reason = converged(progress, trainer_.options.convergence)) stop(*reason);
  if (!stopped_ && !all_done()) reserve();
  while (!stopped_ && !all_done()) run_epoch();
  trainer_.finish_pending();
  settle();
  FitResult result;
  result.reason = stopped_.value_or(StopReason::kFinished);
  result.steps = progress.step;
  result.epochs = progress.epoch;
  result.best_mean_iou = progress.best_mean_iou;
  result.best_step = progress.best_step;
  result.seconds = seconds();
  result.taken_back = taken_back_;
  return result;
}

void Fit::reserve() const {
  const Augment& augment = trainer_.options.augment;
  if (augment.crop_height == 0 || augment.crop_width == 0 || largest_batch_ == 0) return;
  trainer_.engine.reserve({largest_batch_, augment.crop_height, augment.crop_width,
                           trainer_.engine.model().in_channels()});
}

void Fit::run_epoch() {
  TrainingProgress& progress = trainer_.progress;
  steps_in_epoch_ = loader_.batches(progress.epoch);
  loader_.start_epoch(progress.epoch, progress.batch_in_epoch);
  Batch batch;
  while (!steps_done() && loader_.next(batch)) {
    training_.start();  // an epoch's first batch was waited for while the loader began anew
    const int images = batch.n;
    taken_back_.reset();
    trainer_.run(batch, /*counts=*/true);
    ++progress.batch_in_epoch;
    after_step(images);
    if (stopped_) return;
  }
  if (progress.batch_in_epoch < steps_in_epoch_)
    end_inside_epoch();
  else
    end_epoch();
}

void Fit::after_step(int images) {
  images_since_report_ += static_cast<std::uint64_t>(images);
  if (!events_.on_step || trainer_.progress.step % trainer_.options.log_every != 0) return;
  trainer_.finish_pending();
  StepReport report = trainer_.last_report;
  report.optimizer = trainer_.engine.optimizer().report(trainer_.engine.stream());
  report.steps_planned = planned_steps_;
  report.steps_per_epoch = steps_in_epoch_;
  const Clock::time_point now = Clock::now();
  const double since = std::chrono::duration<double>(now - last_report_).count();
  report.images_per_second = since > 0.0 ? static_cast<double>(images_since_report_) / since : 0.0;
  report.seconds = seconds();
  training_.stop();
  report.training_seconds = training_.seconds();
  last_report_ = now;
  images_since_report_ = 0;
  tell(events_.on_step(report));
  training_.start();
}

void Fit::end_epoch() {
  TrainingProgress& progress = trainer_.progress;
  const TrainerOptions& options = trainer_.options;
  trainer_.finish_pending();
  training_.stop();
  EpochReport report;
  report.epoch = progress.epoch;
  report.step = progress.step;
  report.loss = progress.epoch_weight == 0.0 ? 0.0 : progress.epoch_loss / progress.epoch_weight;
  // Everything is counted before anyone is told, so that a checkpoint taken by a callback stands
  // where this run stands.
  record_epoch_loss(progress, options.convergence, report.loss);
  ++progress.epoch;
  progress.batch_in_epoch = 0;
  progress.epoch_loss = progress.epoch_weight = 0.0;

  const bool due = options.evaluate_every > 0 && progress.epoch % options.evaluate_every == 0;
  const bool last = all_done() || converged(progress, options.convergence);
  if (validation_ && (due || last))
    report.validation = evaluate(report.epoch);
  else if (last)
    settle();
  report.seconds = seconds();
  if (events_.on_epoch) tell(events_.on_epoch(report));
  if (const auto reason = converged(progress, options.convergence)) stop(*reason);
}

void Fit::end_inside_epoch() {
  trainer_.finish_pending();
  training_.stop();
  if (!validation_) return;
  // A training that goes on from here would not have had this evaluation: it may be the best, but
  // takes nobody's patience.
  std::uint64_t& since_best = trainer_.progress.evaluations_since_best;
  const std::uint64_t before = since_best;
  evaluate(trainer_.progress.epoch);
  since_best = std::min(since_best, before);
}

void Fit::settle() {
  if (const auto loss = trainer_.settle()) taken_back_ = loss;
}

EvaluationResult Fit::evaluate(std::uint64_t epoch) {
  TrainingProgress& progress = trainer_.progress;
  settle();
  EvaluationReport report;
  report.taken_back = taken_back_;
  report.step = progress.step;
  report.epoch = epoch;
  report.training_seconds = training_.seconds();
  report.result = trainer_.evaluate(*validation_);
  // The last update of all is seen by no training loss.
  if (!std::isfinite(report.result.loss))
    throw DivergenceError(progress.step, "step " + std::to_string(progress.step) +
                                             ": the validation loss is " +
                                             std::to_string(report.result.loss));
  report.best =
      record_evaluation(progress, trainer_.options.convergence, report.result.confusion.mean_iou());
  if (events_.on_evaluation) tell(events_.on_evaluation(report));
  // Evaluation is not part of the images per second.
  last_report_ = Clock::now();
  images_since_report_ = 0;
  return std::move(report.result);
}

bool Fit::steps_done() const {
  const std::uint64_t limit = trainer_.options.max_steps;
  return limit > 0 && trainer_.progress.step >= limit;
}

bool Fit::all_done() const {
  const std::uint64_t epochs = trainer_.options.epochs;
  return steps_done() || (epochs > 0 && trainer_.progress.epoch >= epochs);
}

void Fit::stop(StopReason reason) {
  if (!stopped_) stopped_ = reason;
}

void Fit::tell(bool carry_on) {
  if (!carry_on) stop(StopReason::kCallback);
}

double Fit::seconds() const { return std::chrono::duration<double>(Clock::now() - start_).count(); }

}  // namespace curvseg
