// What a Trainer is made of.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "curvseg/checkpoint.hpp"
#include "curvseg/train.hpp"
#include "host/train/engine.hpp"

namespace curvseg {

/// \throws InputError for an option out of range.
void check_trainer_options(const TrainerOptions& options, const Model& model);

/// \throws InputError, which begins with @p source, unless @p normalisation serves for @p model.
void check_normalisation_of(const Model& model, const std::optional<Normalisation>& normalisation,
                            const std::string& source);

struct TrainerCore {
  TrainerCore(Stream stream, Model model, TrainerOptions trainer_options);

  /// Enqueues a step on `batch`, whose memory is taken and replaced by that of an older batch, then
  /// checks the step before. `counts`: the loss goes into the mean of the epoch.
  void run(Batch& batch, bool counts);
  /// The same on a copy of `batch`, in the memory of an older one.
  void run(const Batch& batch);
  /// The same on memory of the caller.
  void run(ConstTensorView x, const std::int32_t* labels);
  /// Waits for the last step and checks its loss.
  void finish_pending();
  /// Judges the last step by the loss of its own batch, if that is still there: Engine::settle().
  std::optional<double> settle();
  /// Drops it instead: the state that it led to is replaced.
  void forget_pending();

  LoaderOptions make_training_loader_options() const;
  EvaluationResult evaluate(const Dataset& dataset);
  /// \throws InputError unless model and data set agree on channels, classes and kind.
  void check_dataset(const Dataset& dataset) const;

  TrainerOptions options;
  ScheduleOptions schedule;  // of the options, with its defaults filled in
  Engine engine;
  TrainingProgress progress;
  std::optional<Normalisation> normalisation;  // none: not known yet
  const Normalisation& normalisation_or_none() const;
  std::vector<std::string> class_names;
  std::optional<DataFingerprint> train_data;  // none: not known yet
  StepReport last_report;                     // of the last step that was checked
  std::optional<DivergenceError> divergence;  // that it ended with: the state is not worth keeping

 private:
  /// A step that is enqueued and whose loss has not been seen.
  struct Pending {
    std::uint64_t step = 0;
    std::uint64_t epoch = 0;
    double learning_rate = 0.0;
    bool counts = false;
    BatchSlot* slot = nullptr;
  };
  void enqueue(const DeviceBatch& batch, BatchSlot& slot, bool counts);
  /// The same on a batch in the slot, which stays there.
  void enqueue_own(BatchSlot& slot, bool counts);
  void check(const Pending& step);
  /// Whether the loss counts.
  bool check_convergence(const Pending& step, double loss);

  std::optional<Pending> pending_;
  std::optional<DeviceBatch> last_batch_;  // of the last step, in a slot; none: it is gone
};

}  // namespace curvseg
