// Where the time of a U-Net's training step goes: every launch, by kernel and problem, the dearest
// first, with the rate it reached and the part of this machine's peak that is.
#include <algorithm>
#include <cstdio>
#include <string>
#include <vector>

#include "perf/support/arguments.hpp"
#include "perf/support/peaks.hpp"
#include "perf/support/traced_device.hpp"
#include "perf/support/unet_work.hpp"

namespace curvseg::perf {
namespace {

constexpr const char* kUsage =
    R"(profile_step [--work step|gradient|inference] [--optimizer adam|sgd|...] [--width 16]
             [--depth 3] [--channels 1] [--classes 2] [--batch 8] [--size 96] [--skip 1]
             [--steps 20] [--clock wall|cpu]

Where the time of a U-Net's training step goes: every launch, by kernel and problem, the dearest
first.
)";

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

struct Row {
  TraceEntry entry;
  double seconds = 0.0;  // of a step: medians, times the launches in a step
};

std::vector<Row> rows_of(const std::vector<TraceEntry>& entries, int steps) {
  std::vector<Row> rows;
  rows.reserve(entries.size());
  for (const TraceEntry& e : entries)
    rows.push_back({e, median(e.seconds) * static_cast<double>(e.seconds.size()) / steps});
  std::sort(rows.begin(), rows.end(),
            [](const Row& a, const Row& b) { return a.seconds > b.seconds; });
  return rows;
}

struct Peaks {
  double flops, bytes;
};

void print_row(const Row& row, double total, int steps, const Peaks& peaks) {
  const TraceEntry& e = row.entry;
  const bool counts_flops = e.flops > 0.0;
  const double rate = (counts_flops ? e.flops : e.bytes) / median(e.seconds);
  std::printf("%9.3f %6.1f %4.0f %8.1f %-8s %5.1f  %-23s %s\n", 1e3 * row.seconds,
              100.0 * row.seconds / total, static_cast<double>(e.seconds.size()) / steps,
              rate / 1e9, counts_flops ? "GFLOP/s" : "GB/s",
              100.0 * rate / (counts_flops ? peaks.flops : peaks.bytes), e.kernel.c_str(),
              e.problem.c_str());
}

/// The same, summed up by kernel.
void print_kernels(const std::vector<Row>& rows, double total) {
  std::vector<std::pair<std::string, double>> kernels;
  for (const Row& row : rows) {
    const auto found = std::find_if(kernels.begin(), kernels.end(),
                                    [&](const auto& k) { return k.first == row.entry.kernel; });
    if (found == kernels.end())
      kernels.emplace_back(row.entry.kernel, row.seconds);
    else
      found->second += row.seconds;
  }
  std::printf("\n%9s %6s  kernel\n", "ms", "%");
  for (const auto& [kernel, time] : kernels)
    std::printf("%9.3f %6.1f  %s\n", 1e3 * time, 100.0 * time / total, kernel.c_str());
}

void profile(const UnetRun& options, int skip, int steps, Clock clock) {
  UnetWork work(traced_host_device(clock), options);
  for (int i = 0; i < skip; ++i) work.run();  // memory is touched, plans are made
  take_trace();
  std::vector<double> whole;
  for (int i = 0; i < steps; ++i) {
    const double start = seconds(clock);
    work.run();
    whole.push_back(seconds(clock) - start);
  }
  const std::vector<Row> rows = rows_of(take_trace(), steps);
  const Peaks peaks{fma_peak(clock), triad_peak(clock)};
  const double total = median(whole);
  double flops = 0.0, kernels = 0.0;
  for (const Row& row : rows) {
    flops += row.entry.flops * static_cast<double>(row.entry.seconds.size()) / steps;
    kernels += row.seconds;
  }
  std::printf(
      "%s of %s: %.2f ms, of which %.2f outside kernels; %.2f GFLOP, %.1f GFLOP/s\n"
      "measured peaks: %.1f GFLOP/s, %.1f GB/s, %d threads\n\n",
      options.work.c_str(), work.model_name().c_str(), 1e3 * total, 1e3 * (total - kernels),
      flops / 1e9, flops / total / 1e9, peaks.flops / 1e9, peaks.bytes / 1e9, threads());
  std::printf("%9s %6s %4s %17s %5s  %-23s %s\n", "ms", "%", "n", "rate", "%peak", "kernel",
              "problem");
  for (const Row& row : rows) print_row(row, total, steps, peaks);
  print_kernels(rows, total);
}

void run(Arguments& arguments) {
  const UnetRun options = unet_options(arguments);
  const int skip = arguments.number("skip", 1), steps = arguments.number("steps", 20);
  const Clock clock = arguments.clock();
  arguments.done();
  profile(options, skip, steps, clock);
}

}  // namespace
}  // namespace curvseg::perf

int main(int argc, char** argv) {
  using namespace curvseg::perf;
  return run_main(argc, argv, "profile_step", kUsage, run);
}
