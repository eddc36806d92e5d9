/// \file
/// What `evaluate` and `predict` have in common: a checkpoint, data for it, a device.
#pragma once

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

struct ModelArguments {
  std::filesystem::path checkpoint;
  std::optional<std::string> data;
  std::optional<int> ignore_index;
  std::string split;  // empty: the command's default
  std::string device = "auto";
  int batch = 1;
  bool quiet = false;
};

/// Adds --checkpoint, --split, --ignore-index, --device and --quiet.
void add_model_options(CLI::App& app, ModelArguments& arguments);
/// Adds --batch, for what looks at several images at once.
void add_batch_option(CLI::App& app, ModelArguments& arguments);

/// The data that the arguments name, else that of the training.
/// \throws InputError when there is neither.
DataSettings data_settings(const ModelArguments& arguments);

/// What --checkpoint holds, with one name per class: "class 3" for those that have none, as after a
/// training by Trainer::step(), which sees no data set.
/// \throws InputError for a file that is none, or holds more names than classes.
TrainingState load_model_state(const ModelArguments& arguments);

/// A trainer that holds the checkpoint's parameters.
Trainer open_trainer(const ModelArguments& arguments, const TrainingState& state);

}  // namespace curvseg::cli
