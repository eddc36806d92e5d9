// What the command line of a benchmark program chose.
#pragma once

#include <string>

#include "perf/support/clock.hpp"

namespace curvseg::perf {

struct Settings {
  Clock clock = Clock::kWall;
  std::string device = "host";
};

Settings& settings();

/// Frees the data of the last operation while its device is still there.
void forget_operation();

}  // namespace curvseg::perf
