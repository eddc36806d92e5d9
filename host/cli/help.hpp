/// \file
/// Help texts and messages of the command line.
#pragma once

#include <CLI/CLI.hpp>

#include <string>
#include <string_view>
#include <vector>

namespace curvseg::cli {

/// @p text broken into lines of at most @p width columns at spaces; newlines in it stay.
std::string wrap(std::string_view text, std::size_t width);

/// Help in two columns, descriptions wrapped, made for a terminal of 100 columns.
class HelpFormatter : public CLI::Formatter {
 public:
  HelpFormatter();
  std::string make_option_desc(const CLI::Option* option) const override;
  std::string make_option_opts(const CLI::Option* option) const override;
  std::string make_usage(const CLI::App* app, std::string name) const override;
  std::string make_subcommand(const CLI::App* sub) const override;
};

/// The one of @p known that @p word was most likely meant to be; empty when none is close.
std::string nearest(std::string_view word, const std::vector<std::string>& known);

/// "a, b or c".
std::string join_or(const std::vector<std::string>& words);

/// @p text on one line, for messages.
std::string one_line(std::string text);

/// What to print for a command line that could not be parsed, one line without the program's name.
std::string parse_error_message(const CLI::App& app, const CLI::ParseError& error);

}  // namespace curvseg::cli
