// How fast curvseg trains (or runs) a U-Net on random images: the counterpart of
// perf/peers/pytorch_training.py, with its options and its output.
//
// Prints one JSON object about the work and one a sample, a sample being --steps steps; with
// --on-demand it takes a sample for each line it reads.
#include <sys/resource.h>

#include <cstdio>

#include "perf/support/arguments.hpp"
#include "perf/support/unet_work.hpp"
#include "tests/support/allocations.hpp"

namespace curvseg::perf {
namespace {

constexpr const char* kUsage =
    R"(training_speed [--work step|gradient|inference] [--optimizer adam|sgd|...] [--width 16]
               [--depth 3] [--channels 1] [--classes 2] [--batch 8] [--size 96] [--device host]
               [--skip 3] [--steps 5] [--samples 5 | --on-demand]

How fast curvseg trains (or runs) a U-Net on random images: one JSON line a sample of --steps steps,
with --on-demand a sample for each line read. Optimisers are those of the library, and two parts of
auto: auto-watched, FOOF while SOAP watches, and auto-second-phase, beyond the steps of FOOF and
those that measure SOAP's rate, 26 that --skip has to pass over.
)";

/// Of this process, until now.
long peak_memory_bytes() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return usage.ru_maxrss * 1024;
}

void print_about(const Device& device, const UnetWork& work, long memory) {
  std::printf(
      "{\"name\": \"curvseg, %s\", \"parameters\": %lld, \"threads\": %d, "
      "\"memory_bytes\": %ld, \"planned_bytes\": %zu, \"flops\": %.0f}\n",
      device.info().instruction_set.c_str(), static_cast<long long>(work.parameters()), threads(),
      memory, work.memory_bytes(), work.flops());
  std::fflush(stdout);
}

void print_sample(UnetWork& work, int steps, int batch) {
  const std::uint64_t allocations = testing::heap_allocations();
  const double wall = seconds(Clock::kWall), cpu = seconds(Clock::kCpu);
  for (int i = 0; i < steps; ++i) work.run();
  const double wall_time = seconds(Clock::kWall) - wall, cpu_time = seconds(Clock::kCpu) - cpu;
  const auto allocated = static_cast<unsigned long long>(testing::heap_allocations() - allocations);
  std::printf(
      "{\"seconds\": %.9f, \"cpu_seconds\": %.9f, \"images_per_second\": %.3f, "
      "\"allocations\": %llu}\n",
      wall_time / steps, cpu_time / steps, batch * steps / wall_time, allocated);
  std::fflush(stdout);
}

void run(Arguments& arguments) {
  const UnetRun options = unet_options(arguments);
  const Device device = Device::open(arguments.text("device", "host"));
  const int steps = arguments.number("steps", 5), samples = arguments.number("samples", 5);
  const int skip = arguments.number("skip", 3);
  const bool on_demand = arguments.flag("on-demand");
  arguments.done();
  const long before = peak_memory_bytes();
  UnetWork work(device, options);
  for (int i = 0; i < skip; ++i) work.run();
  print_about(device, work, peak_memory_bytes() - before);
  for_each_sample(samples, on_demand, [&] { print_sample(work, steps, options.batch); });
}

}  // namespace
}  // namespace curvseg::perf

int main(int argc, char** argv) {
  using namespace curvseg::perf;
  return run_main(argc, argv, "training_speed", kUsage, run);
}
