// The one emulated machine of a process: what runs now, and what its checks need to know. All of
// it belongs to whoever holds `mutex`; kernels run while it is held.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "exec/emulated/defect.hpp"
#include "exec/emulated/emulation.hpp"
#include "exec/emulated/fibers.hpp"
#include "exec/emulated/shadow.hpp"

namespace curvseg::emulation {

/// How much of every stream's work is known to be over, by stream number.
class Clock {
 public:
  std::uint64_t operator[](std::size_t stream) const {
    return stream < seen_.size() ? seen_[stream] : 0;
  }
  void raise(std::size_t stream, std::uint64_t ticket);
  void join(const Clock& other);
  bool covers(const Clock& other) const;
  void clear() { seen_.clear(); }

 private:
  std::vector<std::uint64_t> seen_;
};

/// One launch, copy or host work that ran, by the epochs it used.
struct Span {
  std::uint32_t first_epoch;
  std::size_t stream;
  std::uint64_t ticket;
  const char* kernel;  // or host work; nullptr: a copy
};

struct Launch {
  const char* kernel;
  Dim3 grid;
  int threads;
  std::size_t shared_bytes;
  std::unique_ptr<std::byte[]> params;  // of operator new: aligned to 16 bytes
  std::size_t params_bytes;
  void (*run)(const void* params);
};

/// A copy_async() that was not waited for.
struct PendingCopy {
  std::byte* to;
  const std::byte* from;
  unsigned bytes;
  bool valid;
  std::uint32_t group;
  Place place;
  std::uint64_t source_stamp;  // changes with every write to the source
};

/// One access for the counters.
struct Access {
  Place place;
  std::uint16_t bytes;
  bool write;
  bool shared;
  std::uintptr_t address;
};

enum class ThreadState : std::uint8_t { kReady, kAtBarrier, kInWarp, kGone };

struct Thread {
  Fiber fiber;
  ThreadState state = ThreadState::kGone;
  bool started = false;
  Place place = 0;  // where it waits; gone: where it waited last
  int barriers = 0;
  // In a warp collective:
  WarpOperation operation = WarpOperation::kSync;
  std::uint32_t mask = 0;
  std::uint64_t value = 0;
  unsigned source = 0;
  std::uint64_t result = 0;
  // Asynchronous copies:
  std::vector<PendingCopy> copies;
  std::uint32_t group = 0;
  std::vector<Access> accesses;
};

struct Engine {
  std::mutex mutex;
  EmulationOptions options;
  std::vector<LaunchRecord> records;

  // Time.
  std::uint32_t epoch = 0;
  std::vector<Span> spans;  // that something still queued may be unordered with, oldest first
  Clock latest;             // of `spans`
  Clock clock;              // of the work that runs now

  // The launch and block that run now.
  const Launch* launch = nullptr;
  int device = 0;
  std::uint32_t launch_epoch = 0;
  struct BlockStart {
    std::uint32_t epoch;
    std::int64_t block;
  };
  std::vector<BlockStart> block_starts;
  std::int64_t block = 0;
  Dim3 block_index;
  std::vector<Thread> threads;
  std::vector<std::uint32_t> order;
  int current = 0;  // thread
  /// seen[32 · thread + lane]: accesses of that lane of the same warp with an earlier epoch came
  /// before whatever the thread does now.
  std::vector<std::uint32_t> seen;
  std::size_t shared_used[kDevices] = {};  // by the last launch
  StackPool stacks;
  Defect defect;
  LaunchRecord record;

  void begin_span(std::size_t stream, std::uint64_t ticket, const char* kernel);
  const Span* span_of(std::uint32_t stamp_epoch) const;
  bool ordered(const Span& span) const { return span.ticket <= clock[span.stream]; }
  std::int64_t block_of(std::uint32_t stamp_epoch) const;
  std::uint32_t next_epoch() { return hot.epoch = ++epoch; }
  Thread& thread(int i) { return threads[static_cast<std::size_t>(i)]; }
  const Thread& thread(int i) const { return threads[static_cast<std::size_t>(i)]; }
  Thread& running() { return thread(current); }
  std::uint32_t* seen_by(int i) { return &seen[static_cast<std::size_t>(i) * 32]; }
};

Engine& engine();

/// Runs all blocks. Throws TargetError for the first defect.
void run_launch(const Launch& launch, int device);

/// From a fiber: records the defect and leaves the kernel for good.
[[noreturn]] void fail(Defect defect);

// Counters.
void count_interval();  // all accesses since the last barrier, grouped by warp

}  // namespace curvseg::emulation
