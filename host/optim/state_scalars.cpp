#include "host/optim/state_scalars.hpp"

#include <cstdio>
#include <cstdlib>

#include "curvseg/error.hpp"

namespace curvseg {

std::string exact_text(double value) {
  char text[48];
  std::snprintf(text, sizeof text, "%a", value);
  return text;
}

double exact_number(const std::map<std::string, std::string>& scalars, std::string_view optimizer,
                    const std::string& name) {
  const auto refuse = [&](const std::string& why) {
    throw InputError(std::string(optimizer) + ": the state's " + name + " " + why);
  };
  const auto found = scalars.find(name);
  if (found == scalars.end()) refuse("is missing");
  char* end = nullptr;
  const double value = std::strtod(found->second.c_str(), &end);
  if (found->second.empty() || *end != '\0') refuse("is \"" + found->second + "\", no number");
  return value;
}

}  // namespace curvseg
