/// \file
/// How the command line presents itself.
#pragma once

#include <CLI/CLI.hpp>

#include <string>
#include <vector>

namespace curvseg::cli {

/// Help in two columns, descriptions wrapped, made for a terminal of 100 columns.
class HelpFormatter : public CLI::Formatter {
 public:
  HelpFormatter();
  std::string make_description(const CLI::App* app) const override;
  std::string make_group(std::string group, bool is_positional,
                         std::vector<const CLI::Option*> options) const override;
  std::string make_option_desc(const CLI::Option* option) const override;
  std::string make_option_opts(const CLI::Option* option) const override;
  std::string make_usage(const CLI::App* app, std::string name) const override;
  std::string make_subcommand(const CLI::App* sub) const override;
};

/// What to print for a command line that could not be parsed, one line without the program's name.
std::string parse_error_message(const CLI::App& app, const CLI::ParseError& error);

/// For options of an unsigned type: a "-1" would otherwise be read as 2^64 - 1.
CLI::Validator not_negative();

/// For files and folders: "" would be taken for an option that was not given.
CLI::Validator not_empty();

}  // namespace curvseg::cli
