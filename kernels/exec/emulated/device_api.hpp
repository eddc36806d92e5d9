// What kernel text calls: the runtime's side of the names in exec/emulated.hpp. Everything here is
// out of line, so that __builtin_return_address(0) is the place in the kernel.
#pragma once

#include <cstddef>
#include <cstdint>

#include "exec/stream.hpp"

namespace curvseg::emulation {

struct Dim3 {
  unsigned x = 1, y = 1, z = 1;
};

// A thread's place never changes while it runs, so compilers may keep it: gnu::const.
[[gnu::const]] Dim3 thread_index() noexcept;
[[gnu::const]] Dim3 block_index() noexcept;
[[gnu::const]] Dim3 block_extent() noexcept;
[[gnu::const]] Dim3 grid_extent() noexcept;
[[gnu::const]] void* shared_memory() noexcept;

void block_barrier() noexcept;

enum class WarpOperation : std::uint8_t { kSync, kShuffle, kVote };

/// Waits until all lanes of `mask` are here; gives the `value` of lane `source`.
std::uint64_t warp_exchange(WarpOperation operation, std::uint32_t mask, std::uint64_t value,
                            unsigned source) noexcept;
/// As above; gives the lanes of `mask` whose `predicate` holds.
std::uint32_t warp_vote(std::uint32_t mask, bool predicate) noexcept;
std::uint32_t active_lanes() noexcept;

void copy_async(void* to, const void* from, unsigned bytes, bool valid) noexcept;
void commit_copies() noexcept;
void wait_copies(unsigned pending) noexcept;

/// Adds modulo 2^(8·bytes), gives the old value.
std::uint64_t atomic_add(void* address, unsigned bytes, std::uint64_t value) noexcept;

/// For LaunchRecord::flops.
void count_multiply_add() noexcept;

struct LaunchRequest {
  const char* kernel;  // as the compiler spells it, see kernel_name()
  Dim3 grid;
  int threads;
  std::size_t shared_bytes;
  const void* params;
  std::size_t params_bytes;
  void (*run)(const void* params);  // one thread of the kernel
  const void* place;                // where it is launched
};

/// Checks the launch's limits and queues it. Throws TargetError.
void enqueue(StreamHandle stream, const LaunchRequest& request);

}  // namespace curvseg::emulation
