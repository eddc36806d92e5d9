// What this machine can do at most, measured again for each line read: the peaks that benchmarks
// are in ratio to, for programs that have none beside them.
#include <cstdio>

#include "curvseg/device.hpp"
#include "perf/support/arguments.hpp"
#include "perf/support/peaks.hpp"

namespace curvseg::perf {
namespace {

constexpr const char* kUsage =
    R"(machine_peaks [--samples 5 | --on-demand] [--clock wall|cpu]

Multiply-adds in registers and a triad out of memory on all threads: one JSON line a sample, with
--on-demand one for each line read.
)";

void run(Arguments& arguments) {
  const int samples = arguments.number("samples", 5);
  const bool on_demand = arguments.flag("on-demand");
  const Clock clock = arguments.clock();
  arguments.done();
  const DeviceInfo info = Device::open("host").info();
  std::printf(
      "{\"name\": \"peaks\", \"processor\": \"%s\", \"instruction_set\": \"%s\", "
      "\"threads\": %d, \"last_level_cache\": %zu}\n",
      info.name.c_str(), info.instruction_set.c_str(), threads(), last_level_cache());
  std::fflush(stdout);
  for_each_sample(samples, on_demand, [clock] {
    const double flops = fma_peak(clock), bytes = triad_peak(clock);
    std::printf("{\"flops\": %.6g, \"bytes\": %.6g}\n", flops, bytes);
  });
}

}  // namespace
}  // namespace curvseg::perf

int main(int argc, char** argv) {
  using namespace curvseg::perf;
  return run_main(argc, argv, "machine_peaks", kUsage, run);
}
