/// \file
/// The subcommands. Each adds itself to the program and, when it is the one that was asked for,
/// does its work and sets the exit code.
#pragma once

#include "host/cli/train_options.hpp"

namespace CLI {
class App;
}

namespace curvseg::cli {

inline constexpr int kSuccess = 0;
inline constexpr int kInternalError = 1;
inline constexpr int kInputError = 2;
inline constexpr int kInterrupted = 130;  // as shells report SIGINT

void add_train(CLI::App& program, int& exit_code);
void add_evaluate(CLI::App& program, int& exit_code);
void add_predict(CLI::App& program, int& exit_code);
void add_curvature(CLI::App& program, int& exit_code);
void add_info(CLI::App& program, int& exit_code);
void add_demo(CLI::App& program, int& exit_code);

/// Trains as @p arguments say. \returns the exit code.
int run_training(const TrainArguments& arguments);

}  // namespace curvseg::cli
