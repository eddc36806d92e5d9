#include <spdlog/fmt/fmt.h>
#include <CLI/CLI.hpp>

#include <algorithm>
#include <chrono>
#include <system_error>

#include "host/cli/commands.hpp"
#include "host/cli/console.hpp"
#include "host/cli/help.hpp"
#include "host/cli/model_source.hpp"
#include "host/cli/pictures.hpp"
#include "host/cli/report.hpp"
#include "host/cli/text.hpp"
#include "host/io/atomic_file.hpp"
#include "host/io/overlay.hpp"

namespace curvseg::cli {
namespace {

namespace fs = std::filesystem;

constexpr const char* kPredictFooter = R"help(Examples:
  curvseg predict --checkpoint runs/first/best.safetensors --data photo.jpg --out predicted
  curvseg predict --checkpoint runs/first/best.safetensors --data FOLDER --out predicted
      every PNG and JPEG in FOLDER, or in FOLDER/images; masks are not needed
  curvseg predict --checkpoint runs/cells-1/best.safetensors --data builtin:cells --split val

Grey images fit a network for colour: they are taken three times.
)help";

struct PredictArguments {
  ModelArguments model;
  fs::path out;
  bool no_overlays = false;
};

/// The split of a data set that is to be predicted: the one asked for, else the one that training
/// saw least of.
std::string split_to_predict(const ModelArguments& arguments, const std::string& spec) {
  if (!arguments.split.empty()) {
    return arguments.split;
  }
  const std::vector<std::string> splits = available_splits(spec);
  for (const char* split : {"test", "val", "train", ""}) {
    if (std::find(splits.begin(), splits.end(), split) != splits.end()) {
      return split;
    }
  }
  return "test";
}

struct Images {
  std::shared_ptr<const Dataset> dataset;
  std::string skipped;  // names of files that were passed over
};

std::string file_names(const std::vector<fs::path>& files) {
  constexpr std::size_t kMost = 8;
  std::vector<std::string> names;
  names.reserve(files.size());
  for (const fs::path& file : files) {
    names.push_back(file.filename().string());
  }
  return join_some(names, kMost);
}

Images open_images(const ModelArguments& arguments, const TrainingState& state) {
  DataSettings settings = data_settings(arguments);
  const std::string& spec = settings.spec;
  std::error_code error;
  if (!has_scheme(spec)) {
    if (fs::is_regular_file(spec, error)) {
      return {open_image_files({fs::path(spec)}, state), {}};
    }
    if (!fs::is_directory(spec, error)) {
      throw InputError(spec + ": no such file or folder");
    }
    if (arguments.split.empty() && available_splits(spec).empty()) {
      const ImageFolder folder = list_image_files(spec);
      const std::string others = file_names(folder.others);
      if (folder.images.empty()) {
        throw InputError(spec + ": holds no PNG or JPEG file, nor a folder images" +
                         (others.empty() ? "" : "; there is " + others));
      }
      return {open_image_files(folder.images, state), others};
    }
  }
  return {open_for_model(settings, split_to_predict(arguments, spec), state, arguments.checkpoint,
                         /*masks_optional=*/true),
          {}};
}

void write_segmentation(const ImagePrediction& prediction, const PredictArguments& arguments) {
  const Sample& sample = prediction.sample;
  write_index_png(arguments.out / "classes" / (sample.name + ".png"), sample.height, sample.width,
                  std::span<const std::int32_t>(prediction.labels), default_palette());
  if (!arguments.no_overlays) {
    write_png(arguments.out / "overlays" / (sample.name + ".png"), overlay(prediction));
  }
}

constexpr const char* kTable = "predictions.csv";
constexpr const char* kLegend = "legend.png";  // beside the overlays, not among them

fs::path legend_path(const PredictArguments& arguments) { return arguments.out / kLegend; }

/// RFC 4180: in quotes when it must be.
std::string csv_field(const std::string& text) {
  if (text.find_first_of(",\"\n") == std::string::npos) {
    return text;
  }
  std::string quoted = "\"";
  for (const char letter : text) {
    quoted += letter == '"' ? "\"\"" : std::string(1, letter);
  }
  return quoted + "\"";
}

std::string csv_line(const ImagePrediction& prediction, const std::vector<std::string>& names) {
  const auto label = static_cast<std::size_t>(prediction.labels.front());
  const std::int32_t truth = prediction.sample.labels.front();
  return fmt::format("{},{},{},{:.6f},{}\n", csv_field(prediction.sample.name), label,
                     csv_field(names[label]), prediction.probabilities[label],
                     truth >= 0 ? csv_field(names[static_cast<std::size_t>(truth)]) : "");
}

void make_folders(const PredictArguments& arguments, bool is_classifier) {
  make_folder(arguments.out);
  if (!is_classifier) {
    make_folder(arguments.out / "classes");
    if (!arguments.no_overlays) {
      make_folder(arguments.out / "overlays");
    }
  }
}

/// Predicts everything. \returns the counts against the truth, as far as there is one.
ConfusionCounts predict_all(Trainer& trainer, const Dataset& dataset,
                            const PredictArguments& arguments,
                            const std::vector<std::string>& names) {
  const bool is_classifier = trainer.model().is_classifier();
  ConfusionCounts confusion(trainer.model().classes());
  std::string csv = "image,index,class,probability,truth\n";
  for (std::size_t i = 0; i < dataset.size(); ++i) {
    set_status(fmt::format("predicting image {}/{}", i + 1, dataset.size()));
    const ImagePrediction prediction = predict_sample(trainer, dataset, i);
    confusion += prediction.confusion;
    if (is_classifier) {
      csv += csv_line(prediction, names);
    } else {
      write_segmentation(prediction, arguments);
    }
  }
  clear_status();
  if (!is_classifier && !arguments.no_overlays) {
    constexpr int kLegendWidth = 1024;
    write_png(legend_path(arguments), legend(names, confusion.total() > 0, kLegendWidth));
  }
  if (is_classifier) {
    write_file_atomically(arguments.out / kTable, csv);
  }
  return confusion;
}

std::string summary(const PredictArguments& arguments, const Dataset& dataset, double seconds,
                    const ConfusionCounts& confusion, bool is_classifier) {
  std::string text =
      fmt::format("{} images in {}, {:.1f} images/s\n", dataset.size(), duration_text(seconds),
                  static_cast<double>(dataset.size()) / seconds);
  if (confusion.total() > 0) {
    const EvaluationResult result{.confusion = confusion};
    text += fmt::format("{} {:.4f} against the truth that is there\n", headline_name(is_classifier),
                        headline(result, is_classifier));
  }
  if (is_classifier) {
    return text + (arguments.out / kTable).string() + "  a line per image\n";
  }
  text +=
      (arguments.out / "classes").string() + "  a PNG per image, its pixels are class indices\n";
  if (!arguments.no_overlays) {
    text += (arguments.out / "overlays").string() + "  the image beside what was found in it\n";
    text += legend_path(arguments).string() + "  which colour is which class\n";
  }
  return text;
}

/// What is written must not be what is read, as with --data X/classes --out X.
void check_apart_from_inputs(const PredictArguments& arguments, const std::string& spec) {
  std::vector<fs::path> inputs = {spec};
  for (const char* split : {"", "train", "val", "test"}) {
    for (const char* kind : {"images", "masks"}) {
      inputs.push_back(fs::path(spec) / split / kind);
    }
  }
  std::error_code error;
  if (fs::is_regular_file(spec, error)) {
    inputs = {fs::absolute(spec, error).parent_path()};
  }
  for (const char* name : {"classes", "overlays"}) {
    for (const fs::path& input : inputs) {
      if (fs::equivalent(arguments.out / name, input, error)) {
        throw InputError((arguments.out / name).string() + ": is read from (" + input.string() +
                         ") and would be written to, another --out is needed");
      }
    }
  }
}

int predict(PredictArguments arguments) {
  start_console(arguments.model.quiet);
  const fs::path& checkpoint = arguments.model.checkpoint;
  const TrainingState state = load_model_state(arguments.model);
  if (arguments.out.empty()) {
    arguments.out = checkpoint.parent_path() / "predictions";
  }
  check_writable_files(arguments.out, {kLegend, kTable});
  const bool is_classifier = make_model(state).is_classifier();
  if (!is_classifier) {
    check_writable_folder(arguments.out / "classes");
    check_writable_folder(arguments.out / "overlays");
  }
  check_apart_from_inputs(arguments, data_settings(arguments.model).spec);
  const auto [dataset, skipped] = open_images(arguments.model, state);
  Trainer trainer = open_trainer(arguments.model, state);
  check_kind(trainer.model(), *dataset);
  check_sizes(trainer.model(), *dataset);
  dataset->validate_pixels();  // a damaged file shows before anything is written
  if (!skipped.empty()) {
    spdlog::warn("skipped, since only PNG and JPEG are read: {}", skipped);
  }
  make_folders(arguments, is_classifier);
  const auto start = std::chrono::steady_clock::now();
  const ConfusionCounts confusion = predict_all(trainer, *dataset, arguments, state.class_names);
  const double seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  print(summary(arguments, *dataset, seconds, confusion, is_classifier));
  return kSuccess;
}

}  // namespace

void add_predict(CLI::App& program, int& exit_code) {
  auto arguments = std::make_shared<PredictArguments>();
  CLI::App* app = program.add_subcommand(
      "predict",
      "Segment images with a trained network.\n"
      "Writes OUT/classes/NAME.png, whose pixels are class indices (with a palette, so that "
      "viewers "
      "show colours), and OUT/overlays/NAME.png, the image beside the image with its classes in "
      "colour; OUT/legend.png tells which is which. Where there are masks, the overlays also show "
      "the truth and the errors. Of a "
      "classifier: OUT/predictions.csv. Images of any size are taken whole.\n"
      "Without --split: test, else val, else train.");
  app->add_option(
         "--data", arguments->model.data,
         "An image, a folder of images, or data as for curvseg train. Default: the data of "
         "the training")
      ->type_name("DATA");
  add_model_options(*app, arguments->model);
  app->add_option("--out", arguments->out,
                  "Folder for the predictions. Default: predictions, beside the checkpoint")
      ->type_name("DIR")
      ->check(not_empty());
  app->add_flag("--no-overlays", arguments->no_overlays, "Write the class indices only");
  app->footer(kPredictFooter);
  app->callback([arguments, &exit_code] { exit_code = predict(*arguments); });
}

}  // namespace curvseg::cli
