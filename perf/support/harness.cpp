#include "perf/support/harness.hpp"

#include <benchmark/benchmark.h>

#include <cstdio>

#include "perf/support/settings.hpp"

namespace curvseg::perf {
namespace {

/// The operation whose turn it is. Google Benchmark calls a benchmark several times, to find the
/// number of iterations and to repeat; making and checking the data once is enough.
struct Current {
  std::string name;
  std::unique_ptr<Operation> operation;
};

Current& current() {
  static Current now;
  return now;
}

using NamedOperations = std::vector<std::pair<std::string, MakeOperation>>;

/// What add() was called with.
NamedOperations& all_operations() {
  static NamedOperations operations;
  return operations;
}

Operation& prepare(const std::string& name, const MakeOperation& make, const Stream& stream) {
  Current& now = current();
  if (now.name != name) {
    now.operation.reset();
    now.name = name;
    now.operation = make(stream);
    now.operation->check();
    now.operation->prepare();
    now.operation->run();  // memory is touched, the pages of all sets as they come
    stream.synchronise();
  }
  return *now.operation;
}

/// 0 where nothing can be said: the peaks are those of the host.
double peak_of(const Work& work, const Stream& stream) {
  if (!stream.device().is_host()) return 0.0;
  return work.flops > 0.0 ? fma_peak(settings().clock) : triad_peak(settings().clock);
}

void measure(benchmark::State& state, const Stream& stream, Operation& operation) {
  const Clock clock = settings().clock;
  const Work work = operation.work();
  const double peak = peak_of(work, stream);
  double elapsed = 0.0;
  for (auto _ : state) {
    const double start = seconds(clock);
    operation.run();
    stream.synchronise();
    const double time = seconds(clock) - start;
    state.SetIterationTime(time);
    elapsed += time;
  }
  const bool counts_flops = work.flops > 0.0;
  const double done =
      (counts_flops ? work.flops : work.bytes) * static_cast<double>(state.iterations()) / elapsed;
  state.counters[counts_flops ? "GFLOP/s" : "GB/s"] = done / 1e9;
  if (peak > 0.0) state.counters["%peak"] = 100.0 * done / peak;
  if (operation.memory_bytes() > 0)
    state.counters["MiB"] = static_cast<double>(operation.memory_bytes()) / (1 << 20);
}

}  // namespace

void check_all(const Stream& stream) {
  for (const auto& [name, make] : all_operations()) {
    make(stream)->check();
    std::printf("%s: right\n", name.c_str());
  }
}

void add(std::string name, MakeOperation make) {
  all_operations().emplace_back(name, make);
  const std::string title = name;
  benchmark::RegisterBenchmark(
      title.c_str(),
      [name = std::move(name), make = std::move(make)](benchmark::State& state) {
        static const Stream stream(Device::open(settings().device));
        measure(state, stream, prepare(name, make, stream));
      })
      ->UseManualTime()
      ->Unit(benchmark::kMillisecond);
}

void forget_operation() { current() = {}; }

}  // namespace curvseg::perf
