/// \file
/// The options of `curvseg train` and what they mean.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

#include "curvseg/checkpoint.hpp"
#include "curvseg/train.hpp"
#include "host/cli/inputs.hpp"

namespace CLI {
class App;
}

namespace curvseg::cli {

/// The command line of `curvseg train`. An option that was not given is empty, so that a resumed
/// training can tell a default from a wish.
struct TrainArguments {
  std::optional<std::string> data;
  std::optional<int> ignore_index;
  std::optional<int> classes;
  std::optional<double> holdout;
  bool no_check = false;

  std::optional<std::string> model;
  std::filesystem::path checkpoint;  // parameters to begin with
  std::filesystem::path resume;      // training to continue

  std::optional<std::string> optimizer;
  std::optional<double> lr;
  std::optional<std::string> schedule;
  std::optional<std::uint64_t> warmup;
  std::optional<float> weight_decay;
  std::optional<float> momentum;
  std::optional<std::string> preset;
  std::optional<float> clip;

  std::optional<float> label_smoothing;
  std::optional<std::string> class_weights;

  std::optional<std::uint64_t> epochs;
  std::optional<std::uint64_t> steps;
  std::optional<int> batch;
  std::optional<int> images_at_once;
  std::optional<std::string> crop;
  std::optional<std::string> augment;
  std::optional<std::size_t> samples_per_epoch;
  std::optional<int> patience;
  std::optional<std::uint64_t> seed;

  std::string device = "auto";
  std::filesystem::path out;
  bool overwrite = false;
  std::optional<std::uint64_t> eval_every;
  std::uint64_t save_every = 1;
  int pictures = 8;
  bool quiet = false;
  bool json = false;
};

/// `--epochs 0`: nothing is trained, the state before the first step is wanted.
bool wants_initial_state(const TrainArguments& arguments);

void add_train_options(CLI::App& app, TrainArguments& arguments);

/// The set that the arguments name; on a resume, what they leave open is taken from @p recorded.
/// \throws InputError when there is none, or the arguments disagree with @p recorded.
DataSettings data_settings(const TrainArguments& arguments,
                           const std::optional<DataSettings>& recorded);

/// Options for a new training on @p train.
/// \throws InputError for values that make no sense.
TrainerOptions new_options(const TrainArguments& arguments, const Dataset& train);

/// Options for continuing @p state: those it was saved with, but for what is given again.
/// \throws InputError, with both sides, for an option that cannot change in the midst of a
/// training.
TrainerOptions resumed_options(const TrainArguments& arguments, const Dataset& train,
                               const TrainingState& state);

/// Name of the model for a new training on @p train, as zoo::make() takes it.
std::string model_name(const TrainArguments& arguments, const Dataset& train);

/// \param suggest  whether another --model may be taken
/// \throws InputError for newton and a @p model whose Hessian is too large to be formed.
void check_newton_size(const OptimizerOptions& optimizer, const Model& model, bool suggest);

}  // namespace curvseg::cli
