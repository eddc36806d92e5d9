// A device whose kernels are timed: any host code that runs on it is profiled launch by launch.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "curvseg/device.hpp"
#include "perf/support/clock.hpp"

namespace curvseg::perf {

/// All launches of one kernel on one problem.
struct TraceEntry {
  std::string kernel;   // "conv2d_gather"
  std::string problem;  // "forward 8x96x96 16->16 3x3 bias relu"
  double flops = 0.0;   // of one launch; 0: bound by memory
  double bytes = 0.0;   // read and written at least
  std::vector<double> seconds;
};

/// The host device, each kernel of which is waited for and timed. There is one trace a process.
Device traced_host_device(Clock clock);

/// What was launched since the last call, in order of the first launch.
std::vector<TraceEntry> take_trace();

}  // namespace curvseg::perf
