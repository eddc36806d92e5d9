#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include <fstream>

#include "host/cli/commands.hpp"
#include "host/cli/help.hpp"
#include "host/cli/run_folder.hpp"

namespace curvseg::cli {
namespace {

constexpr const char* kDemoFooter = R"help(Afterwards, look at runs/demo/gallery.png, or try
  curvseg evaluate --checkpoint runs/demo/best.safetensors
  curvseg predict --checkpoint runs/demo/best.safetensors --out runs/demo/predictions
)help";

struct DemoArguments {
  std::filesystem::path out = std::filesystem::path("runs") / "demo";
  std::string device = "auto";
  std::uint64_t seed = 1;
  bool overwrite = false;
  bool quiet = false;
};

/// Whether the training in the folder is an earlier demo, which is soon repeated. One of
/// another kind may have taken days.
bool holds_demo(const TrainArguments& arguments) {
  std::ifstream file(RunPaths{arguments.out}.options());
  const Json json = Json::parse(file, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object()) {
    return false;
  }
  const auto same = [&](const char* pointer, const auto& value) {
    const Json::json_pointer place(pointer);
    return json.contains(place) && json.at(place) == Json(value);
  };
  return same("/data/spec", *arguments.data) &&
         same("/model", zoo::make(*arguments.model, 1, 3).name()) &&
         same("/epochs", *arguments.epochs) && same("/batch", *arguments.batch) &&
         same("/optimizer", *arguments.optimizer) && same("/augment", *arguments.augment);
}

/// Short enough to be waited for on two cores.
TrainArguments demo_training(const DemoArguments& demo) {
  TrainArguments arguments;
  arguments.data = "builtin:cells";
  arguments.model = "unet(width=12, depth=3)";
  arguments.epochs = 24;
  arguments.batch = 8;
  arguments.crop = "96";
  arguments.augment = "flip,vflip,rotate";
  arguments.optimizer = "auto";
  arguments.out = demo.out;
  arguments.overwrite = demo.overwrite || holds_demo(arguments);
  arguments.device = demo.device;
  arguments.seed = demo.seed;
  arguments.quiet = demo.quiet;
  return arguments;
}

}  // namespace

void add_demo(CLI::App& program, int& exit_code) {
  auto demo = std::make_shared<DemoArguments>();
  CLI::App* app = program.add_subcommand(
      "demo",
      "Train on generated images of cells, a short training.\n"
      "Each run has the same bits. Prints IoU per class and where the pictures are.");
  app->add_option("--out", demo->out,
                  "Folder for everything; an earlier demo in it is replaced. "
                  "Default runs/demo")
      ->type_name("DIR")
      ->check(not_empty());
  app->add_option("--device", demo->device, "As for curvseg train. Default auto")
      ->type_name("NAME");
  app->add_option("--seed", demo->seed, "Of everything random. Default 1")
      ->type_name("N")
      ->check(not_negative());
  app->add_flag("--overwrite", demo->overwrite,
                "Replace what --out holds, also when it is not an earlier demo");
  app->add_flag("--quiet", demo->quiet, "Print nothing but the final table and warnings");
  app->footer(kDemoFooter);
  app->callback([demo, &exit_code] { exit_code = run_training(demo_training(*demo)); });
}

}  // namespace curvseg::cli
