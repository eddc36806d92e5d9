#include "host/cli/model_source.hpp"

#include <CLI/CLI.hpp>

#include <algorithm>
#include <cmath>

#include "host/cli/help.hpp"
#include "host/cli/run_folder.hpp"

namespace curvseg::cli {

void add_model_options(CLI::App& app, ModelArguments& arguments) {
  app.add_option("--checkpoint", arguments.checkpoint,
                 "What curvseg train wrote: best.safetensors or checkpoint.safetensors. Needed")
      ->type_name("FILE")
      ->check(not_empty())
      ->required();
  app.add_option("--split", arguments.split, "train, val or test. Default: see above")
      ->type_name("NAME")
      ->check(CLI::IsMember({"train", "val", "test"}));
  app.add_option(
         "--ignore-index", arguments.ignore_index,
         "Value in a mask that means \"not labelled\", -1 for none. Default: as in training, "
         "else 255")
      ->type_name("N")
      ->check(CLI::Range(-1, 255));
  app.add_option("--device", arguments.device,
                 "auto, host, cuda, cuda:1 or emulated; see curvseg info. Default auto: the first "
                 "GPU, else the host")
      ->type_name("NAME");
  app.add_flag("--quiet", arguments.quiet, "Print results and warnings only");
}

void add_batch_option(CLI::App& app, ModelArguments& arguments) {
  app.add_option("--batch", arguments.batch,
                 "Images at once. Default 1: needs the least memory, and an image is work enough")
      ->type_name("N")
      ->check(CLI::Range(1, 1 << 20));
}

DataSettings data_settings(const ModelArguments& arguments) {
  DataSettings settings;
  if (const auto recorded = read_data_settings(arguments.checkpoint)) {
    settings = *recorded;
    // The number of classes is the model's; what was asked for in training may be another set's.
    settings.classes = arguments.data ? 0 : recorded->classes;
  }
  if (arguments.data) {
    settings.spec = *arguments.data;
  }
  if (arguments.ignore_index) {
    settings.ignore_index = *arguments.ignore_index;
  }
  if (settings.spec.empty()) {
    throw InputError(arguments.checkpoint.string() +
                     ": there is no options.json beside it that names the data, --data is needed");
  }
  return settings;
}

TrainingState load_model_state(const ModelArguments& arguments) {
  TrainingState state = load_checkpoint(arguments.checkpoint);
  std::vector<std::string>& names = state.class_names;
  const auto classes = static_cast<std::size_t>(state.classes);
  if (names.size() > classes) {
    throw InputError(arguments.checkpoint.string() +
                     ": damaged metadata: " + std::to_string(names.size()) + " class names for " +
                     std::to_string(state.classes) + " classes");
  }
  for (const NamedTensor& tensor : state.parameters) {
    const auto bad = std::find_if(tensor.values.begin(), tensor.values.end(),
                                  [](float value) { return !std::isfinite(value); });
    if (bad != tensor.values.end()) {
      throw InputError(arguments.checkpoint.string() + ": parameter " + tensor.name + " has " +
                       std::to_string(*bad) + " in it, every value must be finite");
    }
  }
  while (names.size() < classes) {
    names.push_back("class " + std::to_string(names.size()));
  }
  return state;
}

Trainer open_trainer(const ModelArguments& arguments, const TrainingState& state) {
  TrainerOptions options;
  options.batch = arguments.batch;
  options.evaluation_batch = arguments.batch;
  options.loss = state.options.loss;
  Trainer trainer(Stream(Device::open(arguments.device)), make_model(state), std::move(options));
  trainer.load_parameters(state, arguments.checkpoint.string());
  return trainer;
}

}  // namespace curvseg::cli
