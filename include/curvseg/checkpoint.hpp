/// \file
/// Checkpoints: the state of a training as one safetensors file.
///
/// The file can be read by any safetensors library: parameters under their own names, unpadded, in
/// this library's layout ([R,S,C,K] for convolutions); the optimiser's vectors as
/// `optimizer.<vector>.<parameter>`; the rest as text in `__metadata__`.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "curvseg/data.hpp"
#include "curvseg/model.hpp"
#include "curvseg/train.hpp"

namespace curvseg {

/// A tensor in host memory, float32, dense.
struct NamedTensor {
  std::string name;                 ///< as in the file, but without `optimizer.`
  std::vector<std::int64_t> shape;  ///< extents, the one that is contiguous in memory last
  std::vector<float> values;        ///< as many as the product of the extents
  /// Member by member; a NaN equals nothing.
  friend bool operator==(const NamedTensor&, const NamedTensor&) = default;
};

/// Where a training stands between two steps, as Trainer::fit() counts.
struct TrainingProgress {
  std::uint64_t step = 0;            ///< steps done
  std::uint64_t epoch = 0;           ///< the epoch that the next step belongs to
  std::uint64_t batch_in_epoch = 0;  ///< batches of that epoch done
  double epoch_loss = 0.0;           ///< Σ loss · denominator over those batches
  double epoch_weight = 0.0;         ///< Σ denominator
  std::optional<double> first_loss;  ///< what divergence is measured against
  /// Losses in a row that count as diverged, while the optimiser takes its steps back.
  std::uint64_t bad_losses = 0;
  std::uint64_t rejected_gradients = 0;  ///< StepReport::rejected_gradients
  std::uint64_t bad_gradients = 0;       ///< of these, the last ones in a row
  std::optional<double> best_mean_iou;   ///< the highest of the validation set; none: not measured
  std::uint64_t best_step = 0;           ///< `step` at that evaluation
  /// Evaluations in a row that improved too little, which ConvergenceOptions::patience limits.
  std::uint64_t evaluations_since_best = 0;
  /// The last mean loss of an epoch that was lower by ConvergenceOptions::min_decrease than the one
  /// here before; none before the end of the first epoch.
  std::optional<double> best_epoch_loss;
  std::uint64_t epochs_since_best_loss = 0;  ///< ConvergenceOptions::plateau_epochs limits them
  /// Member by member.
  friend bool operator==(const TrainingProgress&, const TrainingProgress&) = default;
};

/// Everything that a bitwise exact continuation needs.
struct TrainingState {
  std::string model;                    ///< Model::name()
  int in_channels = 0;                  ///< Model::in_channels()
  int classes = 0;                      ///< Model::classes()
  int image_h = 0;                      ///< rows of a classifier's images; 0: any
  int image_w = 0;                      ///< columns of a classifier's images; 0: any
  std::vector<NamedTensor> parameters;  ///< one for each Parameter, found by its name
  /// Likewise; what training goes on from where that is not `parameters`, since fit() took its last
  /// step back. Empty: it is.
  std::vector<NamedTensor> continued_parameters;
  std::string optimizer;  ///< OptimizerOptions::name
  /// OptimizerState::tensors; what is laid out as theta is cut into `<name>.<parameter>`.
  std::vector<NamedTensor> optimizer_tensors;
  std::map<std::string, std::string> optimizer_scalars;  ///< OptimizerState::scalars
  TrainerOptions options;                                ///< those of the trainer that was saved
  TrainingProgress progress;                             ///< where Trainer::fit() carries on
  std::optional<Normalisation> normalisation;            ///< none: not known yet
  std::vector<std::string> class_names;  ///< of the training set; empty before fit()
  /// Of the set that fit() trained on; none: it has not been called, or by an older version.
  std::optional<DataFingerprint> train_data;
};

/// Writes `state` to `path`, whole or not at all: the old file stays until the new one is complete.
/// \throws InputError when the folder cannot be written to, Error when writing fails.
void save_checkpoint(const std::filesystem::path& path, const TrainingState& state);

/// Reads what save_checkpoint() wrote.
/// \throws InputError with one line that names the file and what is wrong with it: not there, cut
///         off, a damaged header, not a checkpoint of curvseg, of a newer version, another dtype.
TrainingState load_checkpoint(const std::filesystem::path& path);

/// The model of the zoo that a checkpoint was made with; its parameters are not in it yet.
/// \throws InputError when the zoo has no such model.
Model make_model(const TrainingState& state);

}  // namespace curvseg
