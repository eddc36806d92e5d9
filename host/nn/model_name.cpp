#include "host/nn/model_name.hpp"

#include <algorithm>
#include <charconv>

#include "curvseg/error.hpp"

namespace curvseg {
namespace {

std::string_view trimmed(std::string_view text) {
  const std::size_t first = text.find_first_not_of(" \t");
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(" \t") - first + 1);
}

[[noreturn]] void malformed(std::string_view text) {
  throw InputError("the model \"" + std::string(text) +
                   "\" is not of the form name or name(option=value, ...)");
}

}  // namespace

ModelName ModelName::parse(std::string_view text) {
  ModelName result;
  const std::string_view all = trimmed(text);
  const std::size_t open = all.find('(');
  result.family = std::string(trimmed(all.substr(0, open)));
  if (result.family.empty()) malformed(text);
  if (open == std::string_view::npos) return result;
  if (all.back() != ')') malformed(text);
  std::string_view rest = trimmed(all.substr(open + 1, all.size() - open - 2));
  while (!rest.empty()) {
    const std::size_t comma = rest.find(',');
    const std::string_view item = rest.substr(0, comma);
    const std::size_t equals = item.find('=');
    if (equals == std::string_view::npos) malformed(text);
    const std::string option(trimmed(item.substr(0, equals)));
    const std::string value(trimmed(item.substr(equals + 1)));
    if (option.empty() || value.empty()) malformed(text);
    for (const auto& [known, unused] : result.options)
      if (known == option)
        throw InputError("the model \"" + std::string(text) + "\" has " + option + " twice");
    result.options.emplace_back(option, value);
    if (comma == std::string_view::npos) break;
    rest = trimmed(rest.substr(comma + 1));
    if (rest.empty()) malformed(text);
  }
  return result;
}

const std::string* ModelOptions::take(const std::string& option) {
  known_.push_back(option);
  for (const auto& [name, value] : name_.options)
    if (name == option) return &value;
  return nullptr;
}

int ModelOptions::whole_number(const std::string& option, int fallback, int low, int high) {
  const std::string* text = take(option);
  if (!text) return fallback;
  int value = 0;
  const char* end = text->data() + text->size();
  const auto parsed = std::from_chars(text->data(), end, value);
  if (parsed.ec != std::errc() || parsed.ptr != end || value < low || value > high)
    throw InputError(name_.family + ": " + option + " is " + *text +
                     ", it takes a whole number from " + std::to_string(low) + " to " +
                     std::to_string(high));
  return value;
}

bool ModelOptions::flag(const std::string& option, bool fallback) {
  const std::string* text = take(option);
  if (!text) return fallback;
  if (*text != "true" && *text != "false")
    throw InputError(name_.family + ": " + option + " is " + *text + ", it takes true or false");
  return *text == "true";
}

void ModelOptions::done() const {
  for (const auto& [name, value] : name_.options) {
    if (std::find(known_.begin(), known_.end(), name) != known_.end()) continue;
    std::string why = name_.family + " has no option \"" + name + "\"; it has: ";
    for (const std::string& option : known_) {
      why += option;
      if (&option != &known_.back()) why += ", ";
    }
    throw InputError(why);
  }
}

}  // namespace curvseg
