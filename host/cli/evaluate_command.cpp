#include <spdlog/fmt/fmt.h>
#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include <algorithm>

#include "host/cli/commands.hpp"
#include "host/cli/console.hpp"
#include "host/cli/help.hpp"
#include "host/cli/model_source.hpp"
#include "host/cli/report.hpp"
#include "host/cli/run_folder.hpp"
#include "host/io/atomic_file.hpp"

namespace curvseg::cli {
namespace {

constexpr const char* kResult = "evaluation.json";

constexpr const char* kEvaluateFooter = R"help(Examples:
  curvseg evaluate --checkpoint runs/cells-1/best.safetensors
      on the data of the training
  curvseg evaluate --checkpoint runs/cells-1/best.safetensors --data DIR --split test --json
      on other data, numbers for a program
)help";

struct EvaluateArguments {
  ModelArguments model;
  std::filesystem::path out;
  bool json = false;
};

/// The splits to evaluate on: the one asked for, else those that were not trained on.
std::vector<std::string> wanted_splits(const EvaluateArguments& arguments,
                                       const std::string& spec) {
  if (!arguments.model.split.empty()) {
    return {arguments.model.split};
  }
  std::vector<std::string> splits = available_splits(spec);
  if (splits.size() > 1) {
    splits.erase(std::remove(splits.begin(), splits.end(), "train"), splits.end());
  }
  if (splits.empty()) {
    throw InputError(spec + ": there is none of train, val, test, images in it");
  }
  return splits;
}

Json result_json(const EvaluateArguments& arguments, const TrainingState& state,
                 const std::string& spec, const std::vector<SplitResult>& results) {
  Json json = {{"checkpoint", arguments.model.checkpoint.string()},
               {"model", state.model},
               {"step", state.progress.step},
               {"data", spec},
               {"class_names", state.class_names}};
  for (const SplitResult& each : results) {
    Json split = to_json(each.result);
    split["confusion"] = each.result.confusion.counts();  // row: truth, column: prediction
    json["splits"][each.split] = split;
  }
  return json;
}

int evaluate(const EvaluateArguments& arguments) {
  start_console(arguments.model.quiet);
  const std::filesystem::path& checkpoint = arguments.model.checkpoint;
  const TrainingState state = load_model_state(arguments.model);
  const DataSettings settings = data_settings(arguments.model);
  if (!arguments.out.empty()) {
    check_writable_files(arguments.out, {kResult});
  }
  std::vector<std::pair<std::string, std::shared_ptr<const Dataset>>> datasets;
  for (const std::string& split : wanted_splits(arguments, settings.spec)) {
    datasets.emplace_back(split.empty() ? "all" : split,
                          open_for_model(settings, split, state, checkpoint));
    check_kind(make_model(state), *datasets.back().second);
    check_sizes(make_model(state), *datasets.back().second);
  }
  Trainer trainer = open_trainer(arguments.model, state);
  std::vector<SplitResult> results;
  for (const auto& [split, dataset] : datasets) {
    set_status(fmt::format("evaluating {} images ({})", dataset->size(), split));
    results.push_back({split, trainer.evaluate(*dataset)});
    clear_status();
    const EvaluationResult& result = results.back().result;
    say("{}: {} images in {}, {:.1f} images/s", split, result.images, duration_text(result.seconds),
        static_cast<double>(result.images) / result.seconds);
  }
  const Json json = result_json(arguments, state, settings.spec, results);
  if (!arguments.out.empty()) {
    make_folder(arguments.out);
    write_file_atomically(arguments.out / kResult, to_text(json, 2) + "\n");
  }
  const ReportStyle style{state.class_names, make_model(state).is_classifier(),
                          stdout_has_colors()};
  print(arguments.json ? to_text(json) + "\n" : result_table(results, style));
  return kSuccess;
}

}  // namespace

void add_evaluate(CLI::App& program, int& exit_code) {
  auto arguments = std::make_shared<EvaluateArguments>();
  CLI::App* app = program.add_subcommand(
      "evaluate",
      "Judge a trained network by images with masks.\n"
      "Prints IoU and Dice of each class, over whole images. Without --split: val and test, as far "
      "as they are there, else all there is.");
  app->add_option("--data", arguments->model.data,
                  "As for curvseg train. Default: the data of the training")
      ->type_name("DATA");
  add_model_options(*app, arguments->model);
  add_batch_option(*app, arguments->model);
  app->add_option("--out", arguments->out, "Write evaluation.json to this folder. Default: do not")
      ->type_name("DIR")
      ->check(not_empty());
  app->add_flag("--json", arguments->json,
                "Print JSON in place of the table, with the confusion matrix (row after row, a row "
                "per true class)");
  app->footer(kEvaluateFooter);
  app->callback([arguments, &exit_code] { exit_code = evaluate(*arguments); });
}

}  // namespace curvseg::cli
