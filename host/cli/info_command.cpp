#include <spdlog/fmt/fmt.h>
#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include <filesystem>
#include <string>
#include <thread>
#include <vector>

#include "curvseg/checkpoint.hpp"
#include "curvseg/device.hpp"
#include "host/cli/commands.hpp"
#include "host/cli/console.hpp"
#include "host/cli/crop_and_augment.hpp"
#include "host/cli/help.hpp"
#include "host/cli/run_folder.hpp"

namespace curvseg::cli {
namespace {

constexpr const char* kInfoFooter = R"help(Examples:
  curvseg info
  curvseg info --checkpoint runs/cells-1/best.safetensors
)help";

struct InfoArguments {
  std::filesystem::path checkpoint;
  bool json = false;
};

/// Whether or not there is a device for them here.
std::vector<std::string> compiled_targets() {
  std::vector<std::string> names = {"host"};
#ifdef CURVSEG_HAS_EMULATED
  names.emplace_back("emulated");
#endif
#ifdef CURVSEG_HAS_CUDA
  names.emplace_back("cuda");
#endif
  return names;
}

Json machine_json() {
  Json json = {{"curvseg", CURVSEG_VERSION}, {"cores", std::thread::hardware_concurrency()}};
  json["targets"] = compiled_targets();
  for (const DeviceInfo& device : Device::list()) {
    json["devices"].push_back({{"device", device.device},
                               {"name", device.name},
                               {"instruction_set", device.instruction_set},
                               {"processors", device.processors},
                               {"memory_bytes", device.memory_bytes}});
  }
  json["default_device"] = Device::open("auto").info().device;
  return json;
}

std::string machine_text(const Json& json) {
  std::string text = fmt::format("curvseg {}\ncores    {}\ntargets ", CURVSEG_VERSION,
                                 json["cores"].get<unsigned>());
  for (const Json& target : json["targets"]) {
    text += " " + target.get<std::string>();
  }
  text += "  (kernels in this build)\n\n";
  text += fmt::format("{:<10} {:<18} {:>10} {:>8}  {}\n", "device", "instruction set", "processors",
                      "memory", "name");
  for (const Json& device : json["devices"]) {
    const double gigabytes = device["memory_bytes"].get<double>() / (1024.0 * 1024.0 * 1024.0);
    text +=
        fmt::format("{:<10} {:<18} {:>10} {:>8}  {}\n", device["device"].get<std::string>(),
                    device["instruction_set"].get<std::string>(), device["processors"].get<int>(),
                    fmt::format("{:.1f} GiB", gigabytes), device["name"].get<std::string>());
  }
  text += fmt::format("\n--device auto is {} here\n", json["default_device"].get<std::string>());
  return text;
}

Json checkpoint_json(const std::filesystem::path& path) {
  const TrainingState state = load_checkpoint(path);
  std::size_t parameters = 0;
  for (const NamedTensor& each : state.parameters) {
    parameters += each.values.size();
  }
  const TrainerOptions& options = state.options;
  Json json = {{"checkpoint", path.string()},
               {"model", state.model},
               {"channels", state.in_channels},
               {"classes", state.class_names},
               {"parameters", parameters},
               {"optimizer", state.optimizer},
               {"step", state.progress.step},
               {"epoch", state.progress.epoch},
               {"best_step", state.progress.best_step},
               {"batch", options.batch},
               {"crop", crop_text(options.augment)},
               {"augment", augmentation_text(options.augment)},
               {"seed", options.seed}};
  json["best_mean_iou"] =
      state.progress.best_mean_iou ? Json(*state.progress.best_mean_iou) : Json();
  if (const auto data = read_data_settings(path)) {
    json["data"] = data->spec;
  }
  return json;
}

std::string pairs_text(const Json& json) {
  std::string text;
  for (const auto& [key, value] : json.items()) {
    text += fmt::format("{:<14} {}\n", key,
                        value.is_string() ? value.get<std::string>() : to_text(value));
  }
  return text;
}

void info(const InfoArguments& arguments) {
  start_console(false);
  const bool of_machine = arguments.checkpoint.empty();
  const Json json = of_machine ? machine_json() : checkpoint_json(arguments.checkpoint);
  print(arguments.json ? to_text(json) + "\n" : of_machine ? machine_text(json) : pairs_text(json));
}

}  // namespace

void add_info(CLI::App& program, int& exit_code) {
  auto arguments = std::make_shared<InfoArguments>();
  CLI::App* app = program.add_subcommand(
      "info",
      "Show what curvseg can run on here, or what a checkpoint holds.\n"
      "Devices are what --device takes. The host's instruction set is the widest that this "
      "processor has; CURVSEG_INSTRUCTION_SET asks for a narrower one.");
  app->add_option("--checkpoint", arguments->checkpoint,
                  "Describe this file. Default: describe this machine")
      ->type_name("FILE")
      ->check(not_empty());
  app->add_flag("--json", arguments->json, "Print JSON");
  app->footer(kInfoFooter);
  app->callback([arguments, &exit_code] {
    info(*arguments);
    exit_code = kSuccess;
  });
}

}  // namespace curvseg::cli
