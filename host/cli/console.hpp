/// \file
/// How the command talks to people: log lines and one status line on stderr, results on stdout.
#pragma once

#include <spdlog/spdlog.h>

#include <string>
#include <utility>

namespace curvseg::cli {

/// Prepares spdlog: plain lines on stderr that do not tear the status line apart. With @p quiet
/// only warnings are printed and there is no status line.
void start_console(bool quiet);

/// True when there is a person behind stderr that a moving status line can be shown to.
bool has_status_line();

/// Columns of the terminal behind stderr.
int terminal_columns();

/// Replaces the status line, cut to the width of the terminal. Nothing without a terminal.
void set_status(const std::string& line);

/// Removes the status line; to be called before anything else writes to the terminal.
void clear_status();

/// A line for people, on stderr.
template <typename... Arguments>
void say(fmt::format_string<Arguments...> format, Arguments&&... arguments) {
  spdlog::info(format, std::forward<Arguments>(arguments)...);
}

/// Text for stdout: results. Takes the status line away first.
/// \throws Error when it cannot all be written: nobody may take half a table for the whole.
void print(const std::string& text);

/// To be called first: where the caller has closed stdin, stdout or stderr, its number must not go
/// to a file that is opened later, or what is printed would land in that file.
void keep_standard_files_apart();

/// True when stdout is a terminal that shows colours.
bool stdout_has_colors();

}  // namespace curvseg::cli
