// One computation under different schedules: numbers of cores on the host, orders of the threads
// of a block on the emulated target.
#pragma once

#include <gtest/gtest.h>
#include <omp.h>

#include "support/targets.hpp"
#ifdef CURVSEG_HAS_EMULATED
#include "exec/emulated/emulation.hpp"
#endif

namespace curvseg::testing {

/// Calls `run()` once as things are, once more, and then under each schedule that `target` knows;
/// every result has to equal the first one in every bit.
template <class Run>
void expect_same_on_every_schedule(const std::string& target, Run run) {
  const auto first = run();
  EXPECT_TRUE(run() == first) << "the second run differs";
  if (target.rfind("host", 0) == 0) {
    const int threads = omp_get_max_threads();
    for (const int count : {1, 2, 3}) {
      omp_set_num_threads(count);
      EXPECT_TRUE(run() == first) << count << " threads differ";
    }
    omp_set_num_threads(threads);
  }
#ifdef CURVSEG_HAS_EMULATED
  if (is_emulated(target)) {
    const EmulationOptions old = emulation_options();
    for (const FiberOrder order : {FiberOrder::kDescending, FiberOrder::kShuffled}) {
      EmulationOptions options = old;
      options.order = order;
      set_emulation_options(options);
      EXPECT_TRUE(run() == first) << "another order of threads differs";
    }
    set_emulation_options(old);
  }
#endif
}

}  // namespace curvseg::testing
