/// \file
/// One `curvseg train`, from checked options to the final table.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "curvseg/train.hpp"
#include "host/cli/progress.hpp"
#include "host/cli/provisional_files.hpp"
#include "host/cli/report.hpp"
#include "host/cli/run_folder.hpp"
#include "host/cli/train_options.hpp"

namespace curvseg::cli {

class TrainRun {
 public:
  /// Opens and checks everything; changes nothing on disk.
  /// \throws InputError for whatever is wrong with the input.
  explicit TrainRun(const TrainArguments& arguments);

  /// Makes the folder and says what will be done. A training that ends by an exception before its
  /// first checkpoint leaves that folder as it was.
  void begin();
  void fit();
  void save_checkpoint();
  /// In place of fit() and finish(): saves the state before the first step and says where.
  void save_initial_state();
  /// Evaluates with the best parameters, writes pictures, prints the table.
  void finish();

  /// Metrics and options stay although there is no checkpoint, unless they would replace those of
  /// an older one.
  void keep_metrics() { files_.keep(); }
  [[nodiscard]] bool interrupted() const { return interrupted_; }
  void tell_how_to_resume();
  /// For the message of a divergence: which options help, and where to continue from, if anywhere.
  [[nodiscard]] std::string divergence_hint() const;

 private:
  void open_data();
  void make_trainer();
  void choose_folder();
  /// \throws InputError when another training is under way in it, or has left what would be lost.
  void take_folder();
  void say_beginning() const;
  [[nodiscard]] Json start_line() const;
  /// Saves the state; the first time, what an older training left gives way.
  void save(const std::filesystem::path& checkpoint, const TrainingState& state);
  void replace_older_files(const std::filesystem::path& written);
  [[nodiscard]] bool continues_here() const;
  TrainingEvents events();
  bool on_step(const StepReport& report);
  bool on_evaluation(const EvaluationReport& report);
  bool on_epoch(const EpochReport& report);
  /// What the optimiser rejected or took back, where that is news.
  void say_rejected(const StepReport& report);
  void say_taken_back(std::uint64_t step, std::optional<double> loss);
  /// Parameters of best.safetensors into the trainer.
  void take_best();
  std::vector<SplitResult> evaluate_splits();
  void print_result(const std::vector<SplitResult>& results) const;

  TrainArguments arguments_;
  std::optional<TrainingState> start_;  // what to resume or to begin with
  DataSettings settings_;
  TrainingData data_;
  RunPaths paths_;
  FolderLock lock_;  // of paths_
  std::optional<Trainer> trainer_;
  std::optional<Progress> progress_;
  ProvisionalFiles files_;
  std::optional<MetricsLog> metrics_;
  FitResult fit_;
  std::filesystem::path saved_;  // where the last state is, to go on from; empty: there is none
  std::uint64_t saved_step_ = 0;
  std::uint64_t rejected_gradients_ = 0;          // that were said
  std::optional<std::uint64_t> taken_back_step_;  // that was said last
  bool interrupted_ = false;
};

}  // namespace curvseg::cli
