/// \file
/// Training, evaluation and prediction.
///
/// ```
/// auto train = curvseg::open_dataset("builtin:cells", "train");
/// auto val = curvseg::open_dataset("builtin:cells", "val");
/// curvseg::Trainer trainer(curvseg::Stream(curvseg::Device::open()),
///                          curvseg::zoo::unet(train->channels(), train->classes()),
///                          {.epochs = 20, .augment = {.crop_height = 96, .crop_width = 96}});
/// trainer.fit(*train, val.get(), {.on_step = [](const curvseg::StepReport& report) {
///   std::printf("step %llu: loss %g\n", (unsigned long long)report.step, report.loss);
///   return true;
/// }});
/// std::printf("mIoU %.3f\n", trainer.evaluate(*val).confusion.mean_iou());
/// ```
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "curvseg/data.hpp"
#include "curvseg/device.hpp"
#include "curvseg/error.hpp"
#include "curvseg/loss.hpp"
#include "curvseg/metrics.hpp"
#include "curvseg/model.hpp"
#include "curvseg/optim.hpp"
#include "curvseg/tensor.hpp"

namespace curvseg {

struct TrainingState;  // curvseg/checkpoint.hpp
struct TrainerCore;    // host/train

/// Training cannot go on: the loss is not a number, infinite, or far above where it began. The
/// message begins with the step: `step 37: the loss is nan (…)`.
class DivergenceError : public Error {
 public:
  /// \param step  1 for the first
  DivergenceError(std::uint64_t step, const std::string& message) : Error(message), step_(step) {}
  std::uint64_t step() const { return step_; }  ///< 1 for the first

 private:
  std::uint64_t step_;
};

// ---- options -----------------------------------------------------------------------------------

/// When to stop before all epochs are done. Both rules are off by default.
struct ConvergenceOptions {
  /// Stop after this many evaluations in a row without a validation mIoU above the best one by
  /// `min_improvement`; 0: off.
  int patience = 0;
  double min_improvement = 1e-4;  ///< of a mIoU in 0..1, at least 0
  /// Stop after this many epochs in a row whose training loss is not below the best epoch's by the
  /// fraction `min_decrease`; 0: off.
  int plateau_epochs = 0;
  double min_decrease = 1e-3;  ///< relative, at least 0
};

/// Everything that a training can be told; the defaults train.
struct TrainerOptions {
  std::uint64_t seed = 1;  ///< of the parameters, the order of samples, augmentation
  int batch = 8;           ///< images per step; the last step of an epoch may see fewer
  /// Gradients are computed of so many images of the batch after each other and added up, in a
  /// fixed order: of fewer they take less memory, for methods that look at no curvature as little
  /// as a batch of so many, beside the images. 0: as suits the method, which is all of them or
  /// half. (hessian-free takes half of the part of a batch that its products are over.)
  int images_at_once = 0;
  std::uint64_t epochs = 20;          ///< 0: until max_steps
  std::uint64_t max_steps = 0;        ///< stop after this many steps in all; 0: after the epochs
  std::size_t samples_per_epoch = 0;  ///< 0: each sample of the set once
  Augment augment = {};               ///< of training images alone; by default none
  std::optional<Normalisation> normalisation = {};  ///< none: fit() measures it on the training set
  OptimizerOptions optimizer = {};  ///< by default "auto", without a learning rate to set
  ScheduleOptions schedule = {.kind = ScheduleKind::kCosine};  ///< by default a cosine down to 0
  LossOptions loss = {};                ///< that training and evaluation measure
  float clip_norm = 0.0f;               ///< largest norm of the gradient, finite; 0: as it is
  ConvergenceOptions convergence = {};  ///< by default training goes on to its end
  /// The loss counts as diverged above this many times its first value, or times 0.01 where that
  /// is more; 0: never.
  double divergence_factor = 1e3;
  std::uint64_t log_every = 10;      ///< steps between calls of on_step
  std::uint64_t evaluate_every = 1;  ///< epochs between evaluations; 0: only at the end
  /// Images of one size at once; 0: as many as in training, `images_at_once` or `batch`.
  int evaluation_batch = 0;
  int loader_threads = 1;  ///< background threads that make batches; 0: none
};

// ---- reports -----------------------------------------------------------------------------------

/// One training step.
struct StepReport {
  std::uint64_t step = 0;                    ///< 1 for the first
  std::uint64_t epoch = 0;                   ///< 0 for the first
  std::uint64_t steps_planned = 0;           ///< of the whole run; 0 when it has no known end
  std::uint64_t steps_per_epoch = 0;         ///< 0 outside of fit()
  double loss = 0.0;                         ///< of this batch, before the update
  double learning_rate = 0.0;                ///< η of this step, as the schedule has it
  std::optional<double> gradient_norm = {};  ///< before clipping; only when clip_norm is set
  /// Steps so far whose gradient was not finite while the loss was: rejected, nothing was learned
  /// from them.
  std::uint64_t rejected_gradients = 0;
  std::vector<NamedNumber> optimizer = {};  ///< Optimizer::report(), in calls of on_step
  double images_per_second = 0.0;           ///< since the last report
  double seconds = 0.0;                     ///< since fit() began
  /// Of the steps alone since fit() began, waiting for data included: without evaluations,
  /// callbacks, and the wait for an epoch's first batch.
  double training_seconds = 0.0;
};

/// What evaluate() found on a data set.
struct EvaluationResult {
  double loss = 0.0;          ///< over all labelled pixels; 0 when there are none
  ConfusionCounts confusion;  ///< over the same pixels
  std::size_t images = 0;     ///< all of the set, labelled or not
  double seconds = 0.0;       ///< that it took, waiting for data included
};

/// An evaluation on the validation set in the course of fit().
struct EvaluationReport {
  std::uint64_t step = 0;         ///< steps done
  std::uint64_t epoch = 0;        ///< epochs begun, minus one
  EvaluationResult result;        ///< on the whole validation set
  bool best = false;              ///< the highest mean IoU so far
  double training_seconds = 0.0;  ///< as in StepReport
  /// The loss that the last step led to on its own batch, where the optimiser finds that it failed:
  /// evaluated is what was before that step. Training goes on from what it led to, and then takes
  /// it back as it does within. None: the step stands.
  std::optional<double> taken_back = {};
};

/// One pass over the training set.
struct EpochReport {
  std::uint64_t epoch = 0;  ///< 0 for the first
  std::uint64_t step = 0;   ///< steps done
  double loss = 0.0;        ///< mean over the epoch's labelled pixels, as it went
  double seconds = 0.0;     ///< since fit() began
  std::optional<EvaluationResult> validation = {};  ///< if there was one after this epoch
};

/// Called by fit(), on its own thread, between steps: the trainer stands exactly behind the step
/// that is reported, so state() may be called for a checkpoint. Any may be empty. Returning false
/// stops the training; an exception leaves fit() as it is.
struct TrainingEvents {
  std::function<bool(const StepReport&)> on_step = {};  ///< every log_every steps
  /// After every evaluation, also that at the end.
  std::function<bool(const EvaluationReport&)> on_evaluation = {};
  std::function<bool(const EpochReport&)> on_epoch = {};  ///< after the evaluation, if any
};

/// Why fit() returned.
enum class StopReason {
  kFinished,   ///< all epochs or max_steps are done
  kConverged,  ///< the validation mIoU did not improve any more
  kPlateau,    ///< the training loss did not fall any more
  kCallback,   ///< a callback returned false
};
std::string_view to_string(StopReason reason);  ///< "finished", "converged" …

/// How a call of fit() ended.
struct FitResult {
  StopReason reason = StopReason::kFinished;  ///< the first that held
  std::uint64_t steps = 0;                    ///< in all, those before a resume included
  std::uint64_t epochs = 0;                   ///< completed, likewise
  /// The highest of the validation set, before a resume too; none: not measured.
  std::optional<double> best_mean_iou = {};
  std::uint64_t best_step = 0;  ///< steps done where that was
  double seconds = 0.0;         ///< of this call
  /// As EvaluationReport::taken_back, of the last step of all.
  std::optional<double> taken_back = {};
};

/// What predict() returns besides labels.
struct PredictOptions {
  bool logits = false;         ///< fill Prediction::logits
  bool probabilities = false;  ///< fill Prediction::probabilities
};

/// What predict() found.
struct Prediction {
  Shape shape;                       ///< of the logits, [N,H,W,classes]
  std::vector<std::int32_t> labels;  ///< [N,H,W]: the class of the largest logit
  std::vector<float> logits;         ///< as `shape`, or empty
  std::vector<float> probabilities;  ///< as `shape`, or empty
};

// ---- the trainer -------------------------------------------------------------------------------

/// Trains one model on one device.
///
/// Two runs with the same seed, options, data and device give the same bits, whatever the number of
/// threads; so does a run that was saved, loaded and carried on. Device memory is allocated when a
/// shape of batch is first seen and reused afterwards; gradients and optimiser state are allocated
/// by the first step, so that evaluation and prediction alone do without.
///
/// Used by one thread at a time; different trainers by different threads at the same time.
class Trainer {
 public:
  /// Initial parameters from `options.seed`. All work goes to `stream`, in order.
  /// \throws InputError for an option out of range or an unknown optimiser.
  Trainer(Stream stream, Model model, TrainerOptions options = {});
  ~Trainer();                              ///< waits for the device
  Trainer(Trainer&&) noexcept;             ///< the other can then only be assigned to or destroyed
  Trainer& operator=(Trainer&&) noexcept;  ///< as the move constructor

  const Model& model() const;             ///< that is trained
  const TrainerOptions& options() const;  ///< of the constructor, with the seed of restore()
  const Stream& stream() const;           ///< that all work goes to

  /// Trains from where the trainer stands (the beginning, or a restored state) until the epochs or
  /// steps of the options are done, in batches of `train`, evaluating on `validation` (may be
  /// nullptr) in between.
  /// \throws DivergenceError; the parameters are then those after the bad step. InputError when a
  ///         data set does not fit the model, or a sample is damaged.
  FitResult fit(const Dataset& train, const Dataset* validation = nullptr,
                const TrainingEvents& events = {});

  /// Loss and confusion over a data set: whole images, without augmentation, normalised as in
  /// training. Waits.
  EvaluationResult evaluate(const Dataset& dataset);

  /// Predicts images that are normalised already. Waits.
  /// \throws std::invalid_argument when `images` has not the size of `shape`, or the channels are
  ///         not the model's.
  Prediction predict(const std::vector<float>& images, const Shape& shape,
                     const PredictOptions& options = {});
  /// The images of a DataLoader; its labels are not looked at.
  Prediction predict(const Batch& batch, const PredictOptions& options = {});

  // One step at a time, for training loops of one's own.

  /// One step on a batch of normalised images. Returns once everything is enqueued; the loss of the
  /// step before is checked on the way. Without `max_steps` a schedule that decays to an end knows
  /// none here, and stays at its first learning rate.
  /// \throws DivergenceError for the step before; std::invalid_argument when the batch does not fit
  ///         the model.
  void step(const Batch& batch);
  /// The same on memory of the caller on the stream's device: `x` [N,H,W,C] with pixel stride C,
  /// `labels` one per pixel of the output. Both must stay until last_step() has returned.
  void step(ConstTensorView x, const std::int32_t* labels);
  /// Waits for the last step. \throws DivergenceError if its loss is bad.
  StepReport last_step();

  std::uint64_t steps_done() const;  ///< in all, those before a restore() included

  /// theta on the device, [Model::parameter_count()]: read or write it in the order of stream().
  /// Training goes on from it, also after a fit() that took its last step back.
  VectorView theta();
  /// Device memory of this trainer: parameters, gradient, optimiser state, plans, batches.
  std::size_t memory_bytes() const;

  /// Of the images: as in the options, or as measured by fit(); else empty.
  const Normalisation& normalisation() const;
  /// As fit() got them from the training set; else empty.
  const std::vector<std::string>& class_names() const;

  /// Everything that a bitwise exact continuation needs. Waits.
  /// \throws DivergenceError if the last step's loss is bad: such a state is not worth keeping.
  TrainingState state();
  /// Continues from `state`, its seed included; the other options stay those of this trainer.
  /// `source` names it in messages, for instance the file.
  /// \throws InputError, with both sides, when it is of another model or optimiser, or stands
  ///         in the middle of an epoch of other batches.
  void restore(const TrainingState& state, const std::string& source = "checkpoint");
  /// Takes parameters, normalisation and class names only: for evaluation, prediction, or to train
  /// from there anew. \throws InputError when it is of another model.
  void load_parameters(const TrainingState& state, const std::string& source = "checkpoint");

 private:
  std::unique_ptr<TrainerCore> core_;
};

}  // namespace curvseg
