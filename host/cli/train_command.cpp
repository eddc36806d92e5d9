#include <CLI/CLI.hpp>

#include <optional>

#include "host/cli/commands.hpp"
#include "host/cli/console.hpp"
#include "host/cli/interrupt.hpp"
#include "host/cli/train_run.hpp"

namespace curvseg::cli {

int run_training(const TrainArguments& arguments) {
  start_console(arguments.quiet);
  TrainRun run(arguments);  // checks everything, writes nothing
  // Until the checkpoint is written; what comes after it can be had again with `evaluate`.
  std::optional<InterruptGuard> guard(std::in_place);
  run.begin();
  if (wants_initial_state(arguments)) {
    run.save_initial_state();
    return kSuccess;
  }
  try {
    run.fit();
  } catch (const InputError&) {
    throw;
  } catch (const DivergenceError& error) {
    run.keep_metrics();  // they show how it came to that
    throw Error(error.what() + run.divergence_hint());
  } catch (...) {
    run.keep_metrics();
    throw;
  }
  run.save_checkpoint();
  guard.reset();
  if (run.interrupted()) {
    run.tell_how_to_resume();
    return kInterrupted;
  }
  run.finish();
  return kSuccess;
}

void add_train(CLI::App& program, int& exit_code) {
  auto arguments = std::make_shared<TrainArguments>();
  CLI::App* app = program.add_subcommand("train",
                                         "Train a network on images and masks.\n"
                                         "Writes, to the folder of --out: checkpoint.safetensors "
                                         "(the latest state, to continue from), "
                                         "best.safetensors (best on the validation images), "
                                         "metrics.jsonl, options.json, overlays/ and "
                                         "gallery.png.");
  add_train_options(*app, *arguments);
  app->callback([arguments, &exit_code] { exit_code = run_training(*arguments); });
}

}  // namespace curvseg::cli
