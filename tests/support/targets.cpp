#include "support/targets.hpp"

#include <cstdlib>
#include <sstream>
#include <stdexcept>

#include "host/device/targets.hpp"

namespace curvseg::testing {
namespace {

bool asked_for(const std::string& name) {
  const char* list = std::getenv("CURVSEG_TEST_TARGETS");
  if (!list) return true;
  std::istringstream stream(list);
  for (std::string entry; std::getline(stream, entry, ',');)
    if (entry == name) return true;
  return false;
}

}  // namespace

std::vector<std::string> target_names() {
  std::vector<std::string> names;
  for (const NamedTarget& t : targets())
    if (asked_for(t.name)) names.push_back(t.name);
  return names;
}

const Target& target(const std::string& name) {
  for (const NamedTarget& t : targets())
    if (t.name == name) return *t.target;
  throw std::invalid_argument("no target " + name);
}

}  // namespace curvseg::testing
