// The emulated target as host code and tests see it: its runtime, options and counters.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "target.hpp"

namespace curvseg {

/// In which order the threads of a block run between barriers, and the blocks of a launch. A
/// correct kernel gives the same bits under all of them.
enum class FiberOrder { kAscending, kDescending, kShuffled };

struct EmulationOptions {
  FiberOrder order = FiberOrder::kAscending;
  std::uint64_t seed = 1;  // of kShuffled; another permutation in every interval between barriers
  // Off: kernels still run on fibers, but their accesses go unseen, and what they write counts as
  // uninitialised should checks be turned on again.
  bool checks = true;
  bool counters = false;  // on: every launch leaves a LaunchRecord; needs checks, and is slow
};

/// Options of every launch that runs from now on, in any thread.
void set_emulation_options(const EmulationOptions& options);
EmulationOptions emulation_options();

/// What one launch did, as a GPU would have been asked to do it. A *request* is one load or store
/// instruction of one warp; a *sector* is 32 aligned bytes. Wavefronts count the passes that 32
/// banks of 4 bytes need; `ideal` is what they would need without two different words in a bank.
struct LaunchRecord {
  std::string kernel;
  std::int64_t blocks = 0;
  int threads = 0;
  std::size_t shared_bytes = 0;

  struct Global {
    std::int64_t requests = 0;
    std::int64_t sectors = 0;
    std::int64_t bytes = 0;  // what the threads asked for; sectors · 32 is what moves
  };
  Global global_reads, global_writes;

  struct Shared {
    std::int64_t requests = 0;
    std::int64_t wavefronts = 0;
    std::int64_t ideal = 0;
    std::int64_t bytes = 0;
    std::int64_t conflicts() const { return wavefronts - ideal; }
  };
  Shared shared_reads, shared_writes;

  /// Two for every fma(), in kernel files compiled with CURVSEG_COUNT_FLOPS; 0 in others, where
  /// counting would halve the speed.
  std::int64_t flops = 0;
  std::int64_t barriers = 0;  // __syncthreads() that a block passed, over all blocks
};

/// The records of all launches that ran since the last call, oldest first.
std::vector<LaunchRecord> take_launch_records();

/// Two emulated devices. Streams are late: work runs when something synchronises its stream, or a
/// stream that waits for it. A defect found by a check is thrown from there as a TargetError. It
/// ends the work of its own stream and of streams that wait for it; each of them throws once, so
/// that no result misses work without a word. Other streams go on.
const Runtime& emulated_runtime();

}  // namespace curvseg
