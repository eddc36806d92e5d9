// What the command line of a benchmark program chose.
#pragma once

#include <string>

#include "curvseg/device.hpp"
#include "perf/support/clock.hpp"

namespace curvseg::perf {

struct Settings {
  Clock clock = Clock::kWall;
  std::string device = "host";
  bool check_only = false;
};

Settings& settings();

/// Checks every registered operation, without timing it. \throws what check() throws.
void check_all(const Stream& stream);

/// Frees the data of the last operation while its device is still there.
void forget_operation();

}  // namespace curvseg::perf
