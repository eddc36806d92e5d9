#include "perf/support/peaks.hpp"

#include <benchmark/benchmark.h>

#include <algorithm>
#include <cstdlib>
#include <memory>
#include <string_view>

#include "perf/support/fma_loop.hpp"

namespace curvseg::perf {
namespace {

// Of the tries the best counts: whatever else runs here can only make one slower.
constexpr int kTries = 3;

struct FmaKind {
  float (*loop)(long rounds);
  int flops;  // a round
};

FmaKind fma_kind() {
#if defined(__x86_64__)
  const char* asked = std::getenv("CURVSEG_INSTRUCTION_SET");
  const std::string_view at_most = asked ? asked : "";
  const bool v4 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq");
  const bool v3 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  if (v4 && at_most != "x86-64-v3" && at_most != "x86-64") return {fma_loop_v4, kFmaFlopsV4};
  if (v3 && at_most != "x86-64") return {fma_loop_v3, kFmaFlopsV3};
#endif
  return {fma_loop_baseline, kFmaFlopsBaseline};
}

/// Three arrays, each larger than the cache.
class TriadArrays {
 public:
  TriadArrays()
      : size_(static_cast<long>(2 * last_level_cache() / sizeof(float))),
        memory_(new float[static_cast<std::size_t>(3 * size_)]) {
#pragma omp parallel for schedule(static)
    for (long i = 0; i < 3 * size_; ++i) memory_[i] = 1.0f;  // pages near the threads that use them
  }

  void run() {
    float* a = memory_.get();
    const float* b = a + size_;
    const float* c = b + size_;
#pragma omp parallel for schedule(static)
    for (long i = 0; i < size_; ++i) a[i] = b[i] + 0.5f * c[i];
    benchmark::DoNotOptimize(a);
    benchmark::ClobberMemory();
  }
  double bytes() const { return 3.0 * sizeof(float) * static_cast<double>(size_); }

 private:
  long size_;
  std::unique_ptr<float[]> memory_;
};

/// Seconds of the best try.
template <class Work>
double best_time(Clock clock, Work work) {
  double best = 1e300;
  for (int i = 0; i < kTries; ++i) {
    const double start = seconds(clock);
    work();
    best = std::min(best, seconds(clock) - start);
  }
  return best;
}

}  // namespace

double fma_peak(Clock clock) {
  static const FmaKind kind = fma_kind();
  constexpr long kRounds = 400'000;  // about a millisecond
  const double time = best_time(clock, [] {
    float sum = 0.0f;
#pragma omp parallel reduction(+ : sum)
    sum += kind.loop(kRounds);
    benchmark::DoNotOptimize(sum);
  });
  return static_cast<double>(kind.flops) * kRounds * threads() / time;
}

double triad_peak(Clock clock) {
  static TriadArrays arrays;
  return arrays.bytes() / best_time(clock, [] { arrays.run(); });
}

std::size_t last_level_cache() {
  static const std::size_t bytes = [] {
    std::size_t largest = std::size_t{8} << 20;  // where the system does not tell
    for (const auto& cache : benchmark::CPUInfo::Get().caches)
      largest = std::max(largest, static_cast<std::size_t>(cache.size));
    return largest;
  }();
  return bytes;
}

}  // namespace curvseg::perf
