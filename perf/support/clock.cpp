#include "perf/support/clock.hpp"

#include <omp.h>

#include <ctime>

namespace curvseg::perf {

double seconds(Clock clock) {
  timespec t{};
  clock_gettime(clock == Clock::kWall ? CLOCK_MONOTONIC : CLOCK_PROCESS_CPUTIME_ID, &t);
  return static_cast<double>(t.tv_sec) + 1e-9 * static_cast<double>(t.tv_nsec);
}

int threads() { return omp_get_max_threads(); }

}  // namespace curvseg::perf
