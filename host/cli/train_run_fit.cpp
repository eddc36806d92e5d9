// A training from its first step on.
#include <spdlog/fmt/fmt.h>
#include <nlohmann/json.hpp>

#include <utility>

#include "curvseg/optim.hpp"
#include "host/cli/console.hpp"
#include "host/cli/interrupt.hpp"
#include "host/cli/pictures.hpp"
#include "host/cli/text.hpp"
#include "host/cli/train_run.hpp"

namespace curvseg::cli {

namespace fs = std::filesystem;

void TrainRun::fit() {
  const std::uint64_t before = trainer_->steps_done();
  rejected_gradients_ =
      start_ && !arguments_.resume.empty() ? start_->progress.rejected_gradients : 0;
  fit_ = trainer_->fit(*data_.train, data_.val.get(), events());
  say_taken_back(fit_.steps, fit_.taken_back);
  progress_->finish();
  clear_status();
  if (fit_.steps == before && !interrupted_) {
    say("nothing left to do: all {} steps are done; more --epochs or --steps go on", before);
  }
}

TrainingEvents TrainRun::events() {
  return {.on_step = [this](const StepReport& report) { return on_step(report); },
          .on_evaluation = [this](const EvaluationReport& report) { return on_evaluation(report); },
          .on_epoch = [this](const EpochReport& report) { return on_epoch(report); }};
}

bool TrainRun::on_step(const StepReport& report) {
  Json line = {{"event", "step"},
               {"step", report.step},
               {"epoch", report.epoch},
               {"loss", report.loss},
               {"learning_rate", report.learning_rate},
               {"images_per_second", report.images_per_second},
               {"seconds", report.seconds},
               {"training_seconds", report.training_seconds}};
  if (report.gradient_norm) {
    line["gradient_norm"] = *report.gradient_norm;
  }
  if (report.rejected_gradients > 0) {
    line["rejected_gradients"] = report.rejected_gradients;
  }
  say_rejected(report);
  for (const NamedNumber& number : report.optimizer) {
    Json& value = line["optimizer"][number.name];
    if (number.text.empty()) {
      value = number.value;
    } else {
      value = number.text;
    }
  }
  metrics_->write(line);
  progress_->on_step(report);
  interrupted_ = InterruptGuard::interrupted();
  return !interrupted_;
}

void TrainRun::say_rejected(const StepReport& report) {
  const std::uint64_t more = report.rejected_gradients - rejected_gradients_;
  rejected_gradients_ = report.rejected_gradients;
  if (more > 0) {
    say("step {}: the gradient was not finite in {} of the steps since the last report; rejected",
        report.step, more);
  }
}

void TrainRun::say_taken_back(std::uint64_t step, std::optional<double> loss) {
  if (loss && taken_back_step_ != step) {
    taken_back_step_ = step;
    say("step {}: it led to a loss of {:.4g} on its own batch, and is taken back", step, *loss);
  }
}

bool TrainRun::on_evaluation(const EvaluationReport& report) {
  Json line = {{"event", "evaluation"}, {"split", "val"},
               {"step", report.step},   {"epoch", report.epoch},
               {"best", report.best},   {"training_seconds", report.training_seconds}};
  line.update(to_json(report.result));
  if (report.taken_back) {
    line["taken_back"] = *report.taken_back;
  }
  say_taken_back(report.step, report.taken_back);
  metrics_->write(line);
  progress_->on_evaluation(report);
  if (report.best) {
    save(paths_.best(), trainer_->state());
  }
  return true;  // an interruption waits for the end of the epoch, so that no evaluation is lost
}

bool TrainRun::on_epoch(const EpochReport& report) {
  metrics_->write({{"event", "epoch"},
                   {"step", report.step},
                   {"epoch", report.epoch},
                   {"loss", report.loss},
                   {"seconds", report.seconds}});
  progress_->on_epoch(report);
  if (arguments_.save_every > 0 && (report.epoch + 1) % arguments_.save_every == 0) {
    save_checkpoint();
  }
  interrupted_ = InterruptGuard::interrupted();
  return !interrupted_;
}

void TrainRun::save_checkpoint() {
  save(paths_.checkpoint(), trainer_->state());
  saved_ = paths_.checkpoint();
  saved_step_ = trainer_->steps_done();
}

void TrainRun::save(const fs::path& checkpoint, const TrainingState& state) {
  curvseg::save_checkpoint(checkpoint, state);
  if (!files_.settled()) {
    files_.settle();
    replace_older_files(checkpoint);
  }
}

void TrainRun::replace_older_files(const fs::path& written) {
  if (continues_here()) {
    return;
  }
  // What an overwritten training left must not be taken for ours.
  std::error_code error;
  for (const fs::path& old : {paths_.checkpoint(), paths_.best(), paths_.gallery()}) {
    if (old != written) {
      fs::remove(old, error);
    }
  }
  remove_pictures(paths_.overlays());
  if (!arguments_.resume.empty() && written != paths_.best()) {
    const RunPaths before{fs::absolute(arguments_.resume).parent_path()};
    fs::copy_file(before.best(), paths_.best(), error);
  }
}

void TrainRun::save_initial_state() {
  TrainingState state = trainer_->state();
  // What fit() would have found out.
  if (!state.normalisation) {
    state.normalisation = measure_normalisation(*data_.train);
  }
  state.class_names = data_.train->class_names();
  state.train_data = fingerprint(*data_.train);
  save(paths_.checkpoint(), state);
  metrics_->write({{"event", "end"}, {"step", 0}, {"reason", "initial"}});
  if (!arguments_.json) {
    print(paths_.checkpoint().string() + "  the state before the first step, to --resume from\n");
  }
}

std::string TrainRun::divergence_hint() const {
  const TrainerOptions& options = trainer_->options();
  std::vector<std::string> remedies;
  if (needs_learning_rate(options.optimizer.name)) {
    remedies.emplace_back("a lower --lr");
  }
  if (takes_clipping(options.optimizer.name)) {
    remedies.emplace_back(options.clip_norm > 0.0F ? "a smaller --clip" : "--clip 1");
  }
  std::string hint = remedies.empty() ? "" : "; " + join_or(remedies) + " often helps";
  if (!saved_.empty()) {
    hint += fmt::format("; {} holds the state after step {}", saved_.string(), saved_step_);
  }
  return hint;
}

void TrainRun::tell_how_to_resume() {
  Json line = {{"event", "end"}, {"step", fit_.steps}, {"reason", "interrupted"}};
  if (fit_.taken_back) {
    line["taken_back"] = *fit_.taken_back;
  }
  metrics_->write(line);
  say("stopped after step {}; to continue: curvseg train --resume {}", fit_.steps,
      paths_.checkpoint().string());
}

void TrainRun::take_best() {
  std::error_code error;
  if (data_.val && fs::exists(paths_.best(), error)) {
    trainer_->load_parameters(load_checkpoint(paths_.best()), paths_.best().string());
  } else {  // nothing to choose by: the last are the best we know
    fs::copy_file(paths_.checkpoint(), paths_.best(), fs::copy_options::overwrite_existing, error);
  }
}

std::vector<SplitResult> TrainRun::evaluate_splits() {
  std::vector<SplitResult> results;
  const auto evaluate = [&](const char* split, const std::shared_ptr<const Dataset>& dataset) {
    if (dataset) {
      set_status(fmt::format("evaluating {} images ({})", dataset->size(), split));
      results.push_back({split, trainer_->evaluate(*dataset)});
    }
  };
  evaluate("val", data_.val);
  evaluate("test", data_.test);
  if (results.empty()) {
    evaluate("train", data_.train);
  }
  return results;
}

void TrainRun::finish() {
  const bool is_classification = data_.train->is_classification();
  take_best();
  const std::vector<SplitResult> results = evaluate_splits();
  if (arguments_.pictures > 0 && !is_classification) {
    set_status("drawing overlays");
    write_worst(*trainer_, data_.val ? *data_.val : *data_.train,
                static_cast<std::size_t>(arguments_.pictures), paths_.overlays(), paths_.gallery());
  }
  clear_status();
  Json line = {{"event", "end"},
               {"step", fit_.steps},
               {"reason", to_string(fit_.reason)},
               {"best_step", fit_.best_step},
               {"seconds", fit_.seconds},
               {"images_per_second", progress_->images_per_second()}};
  if (fit_.taken_back) {
    line["taken_back"] = *fit_.taken_back;
  }
  for (const SplitResult& each : results) {
    line[each.split] = to_json(each.result);
  }
  metrics_->write(line);
  if (!arguments_.json) {
    print_result(results);
  }
}

void TrainRun::print_result(const std::vector<SplitResult>& results) const {
  const bool is_classification = data_.train->is_classification();
  const ReportStyle style{data_.train->class_names(), is_classification, stdout_has_colors()};
  std::string text = "\n" + result_table(results, style) + "\n";
  const std::uint64_t before = arguments_.resume.empty() ? 0 : start_->progress.step;
  text += fmt::format("{}\n{} steps{} in {}, {:.1f} images/s while training\n\n",
                      headline_text(results, is_classification), fit_.steps - before,
                      before > 0 ? fmt::format(" after the first {}", before) : "",
                      duration_text(fit_.seconds), progress_->images_per_second());
  const auto file = [&](const fs::path& path, const std::string& what) {
    text += fmt::format("{:{}}  {}\n", path.string(), paths_.checkpoint().string().size(), what);
  };
  file(paths_.best(),
       fit_.best_mean_iou
           ? fmt::format("the best on val, of step {}: the table is its result", fit_.best_step)
           : "the last parameters");
  file(paths_.checkpoint(), "the last state, to --resume from");
  file(paths_.metrics(), "loss and scores over time");
  if (arguments_.pictures > 0 && !is_classification) {
    file(paths_.gallery(), fmt::format("the worst of {}: image, prediction, truth, errors",
                                       data_.val ? "val" : "train"));
  }
  print(text);
}

}  // namespace curvseg::cli
