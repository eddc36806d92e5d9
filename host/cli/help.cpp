#include "host/cli/help.hpp"

#include <cerrno>
#include <climits>
#include <cstdlib>
#include <sstream>
#include <vector>

#include "host/cli/text.hpp"

namespace curvseg::cli {
namespace {

constexpr std::size_t kColumns = 100;
constexpr std::size_t kOptionColumn = 30;

/// The innermost subcommand that was named on the command line.
const CLI::App& chosen(const CLI::App& app) {
  const auto subcommands = app.get_subcommands();
  return subcommands.empty() ? app : chosen(*subcommands.front());
}

std::string unknown_argument(const CLI::App& app, const std::string& argument) {
  std::vector<std::string> known;
  for (const CLI::Option* option : app.get_options()) {
    for (const std::string& name : option->get_lnames()) {
      known.push_back("--" + name);
    }
  }
  for (const CLI::App* subcommand : app.get_subcommands({})) {
    known.push_back(subcommand->get_name());
  }
  const std::string guess = nearest(argument.substr(0, argument.find('=')), known);
  return argument + (argument.starts_with("-") ? ": no such option" : " was not expected") +
         (guess.empty() ? "" : ", did you mean " + guess + "?");
}

}  // namespace

HelpFormatter::HelpFormatter() { column_width(kOptionColumn); }

std::string HelpFormatter::make_description(const CLI::App* app) const {
  return wrap(app->get_description(), kColumns) + "\n";
}

std::string HelpFormatter::make_group(std::string group, bool is_positional,
                                      std::vector<const CLI::Option*> options) const {
  // CLI11 puts an empty line before and after a group.
  return CLI::Formatter::make_group(std::move(group), is_positional, std::move(options)).substr(1);
}

std::string HelpFormatter::make_option_desc(const CLI::Option* option) const {
  return wrap(option->get_description(), kColumns - kOptionColumn);
}

std::string HelpFormatter::make_option_opts(const CLI::Option* option) const {
  const std::string type =
      option->get_type_name();  // CLI11 adds what is checked: "N:INT in [0, 9]"
  return option->get_type_size() == 0 ? "" : " " + type.substr(0, type.find(':'));
}

std::string HelpFormatter::make_usage(const CLI::App* app, std::string name) const {
  const bool has_commands = !app->get_subcommands({}).empty();
  return "\nUsage: " + name + (has_commands ? " COMMAND" : "") + " [OPTIONS]\n\n";
}

std::string HelpFormatter::make_subcommand(const CLI::App* sub) const {
  constexpr std::size_t kNameColumn = 12;
  const std::string description = sub->get_description();
  std::stringstream out;
  CLI::detail::format_help(out, sub->get_name(), description.substr(0, description.find('\n')),
                           kNameColumn);
  return out.str();
}

std::string parse_error_message(const CLI::App& app, const CLI::ParseError& error) {
  const CLI::App& command = chosen(app);
  const std::string name = command.get_name();
  const std::string help = command.get_parent() == nullptr ? "curvseg" : "curvseg " + name;
  std::string message = one_line(error.what());
  const std::vector<std::string> extras = app.remaining(true);
  if (!extras.empty()) {
    message = unknown_argument(command, extras.front());
  } else if (command.get_parent() == nullptr) {
    message = "which command? train, evaluate, predict, curvature, info or demo";
  } else if (dynamic_cast<const CLI::ConversionError*>(&error) != nullptr) {
    // "Could not convert: --epochs = many"
    message = message.substr(message.find(": ") + 2) + " is not a number that can be used here";
  }
  return message + " (see " + help + " --help)";
}

CLI::Validator not_negative() {
  const auto check = [](std::string& text) {
    const std::size_t first = text.find_first_not_of(" \t");
    if (first == std::string::npos) {
      return std::string("a number is missing");
    }
    if (text[first] == '-') {
      return text + " is negative";
    }
    // What does not fit would become the largest number that does.
    const bool is_whole = text.find_first_not_of("0123456789", first) == std::string::npos;
    errno = 0;
    if (is_whole && std::strtoull(text.c_str(), nullptr, 10) == ULLONG_MAX && errno == ERANGE) {
      return text + " is too large";
    }
    return std::string();
  };
  return {check, "", "not_negative"};
}

CLI::Validator not_empty() {
  const auto check = [](std::string& text) {
    return text.empty() ? std::string("a name is missing") : std::string();
  };
  return {check, "", "not_empty"};
}

}  // namespace curvseg::cli
