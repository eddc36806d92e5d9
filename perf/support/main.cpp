// The main program of every benchmark. Besides the options of Google Benchmark:
//
//   --clock=wall|cpu   what to measure; cpu for one thread on a machine that others use, too
//   --check-only       compare every result with its reference, time nothing
//   --device=NAME      as curvseg info lists them, default host; peaks are those of the host
//
// Each benchmark is repeated five times unless told otherwise; median and spread are printed.
#include <benchmark/benchmark.h>

#include <cstdio>
#include <cstring>
#include <exception>
#include <stdexcept>
#include <string>
#include <vector>

#include "perf/support/harness.hpp"
#include "perf/support/settings.hpp"

namespace curvseg::perf {

Settings& settings() {
  static Settings chosen;
  return chosen;
}

namespace {

#ifdef NDEBUG
constexpr bool kDebug = false;
#else
constexpr bool kDebug = true;
#endif

/// The value of `--name=value`, or nullptr.
const char* value_of(const char* argument, const char* name) {
  const std::size_t length = std::strlen(name);
  return std::strncmp(argument, name, length) == 0 ? argument + length : nullptr;
}

/// Takes our own options out of the list. \throws std::runtime_error for a value that is none.
std::vector<char*> take_options(int argc, char** argv) {
  std::vector<char*> rest;
  for (int i = 0; i < argc; ++i) {
    if (const char* clock = value_of(argv[i], "--clock=")) {
      if (std::strcmp(clock, "wall") != 0 && std::strcmp(clock, "cpu") != 0)
        throw std::runtime_error(std::string("--clock=") + clock + ": must be wall or cpu");
      settings().clock = *clock == 'c' ? Clock::kCpu : Clock::kWall;
    } else if (const char* device = value_of(argv[i], "--device=")) {
      settings().device = device;
    } else if (std::strcmp(argv[i], "--check-only") == 0) {
      settings().check_only = true;
    } else {
      rest.push_back(argv[i]);
    }
  }
  return rest;
}

void describe_machine() {
  const DeviceInfo info = Device::open(settings().device).info();
  benchmark::AddCustomContext("device", info.device + ", " + info.name);
  benchmark::AddCustomContext("instruction_set", info.instruction_set);
  benchmark::AddCustomContext("threads", std::to_string(threads()));
  benchmark::AddCustomContext("clock", settings().clock == Clock::kWall ? "wall" : "cpu");
  benchmark::AddCustomContext("fma_peak_gflops", std::to_string(fma_peak(settings().clock) / 1e9));
  benchmark::AddCustomContext("triad_gb_per_second",
                              std::to_string(triad_peak(settings().clock) / 1e9));
}

int run(int argc, char** argv) {
  std::vector<char*> arguments = take_options(argc, argv);
  if (settings().check_only) {
    register_benchmarks();
    check_all(Stream(Device::open(settings().device)));
    return 0;
  }
  if (kDebug) throw std::runtime_error("this is a Debug build; its times mean nothing");
  if (settings().clock == Clock::kCpu && threads() > 1)
    throw std::runtime_error("--clock=cpu is for one thread: set OMP_NUM_THREADS=1");
  // First, so that the user's own come later and win.
  std::string defaults[] = {"--benchmark_repetitions=5", "--benchmark_report_aggregates_only=true",
                            "--benchmark_min_time=0.05", "--benchmark_counters_tabular=true"};
  std::vector<char*> all{arguments[0]};
  for (std::string& option : defaults) all.push_back(option.data());
  all.insert(all.end(), arguments.begin() + 1, arguments.end());
  int count = static_cast<int>(all.size());
  benchmark::Initialize(&count, all.data());
  if (benchmark::ReportUnrecognizedArguments(count, all.data())) return 2;
  describe_machine();
  register_benchmarks();
  benchmark::RunSpecifiedBenchmarks();
  forget_operation();
  return 0;
}

}  // namespace
}  // namespace curvseg::perf

int main(int argc, char** argv) {
  try {
    return curvseg::perf::run(argc, argv);
  } catch (const std::exception& e) {
    std::fprintf(stderr, "%s: %s\n", argv[0], e.what());
    return 1;
  }
}
