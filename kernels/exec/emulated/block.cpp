// Runs the threads of a block as fibers: barriers, warp collectives, and what is wrong with them.
#include <algorithm>
#include <cstring>
#include <numeric>
#include <random>
#include <utility>

#include "exec/emulated/engine.hpp"
#include "target.hpp"

namespace curvseg::emulation {
namespace {

constexpr HotState kIdle = {0, SIZE_MAX, 0, nullptr, 0, 0, 0, 0, 0, 0, false};

/// What a fiber runs: one thread of the kernel.
void thread_main() {
  Engine& e = engine();
  try {
    e.launch->run(e.launch->params.get());
  } catch (...) {
    Defect defect;
    defect.kind = DefectKind::kException;
    fail(std::move(defect));
  }
  e.running().state = ThreadState::kGone;
}

void resume(Engine& e, int thread) {
  Thread& t = e.thread(thread);
  e.current = thread;
  hot.lane_bit = 1u << (static_cast<unsigned>(thread) % 32);
  hot.warp = static_cast<std::uint16_t>(static_cast<unsigned>(thread) / 32);
  if (e.options.checks) {
    hot.stack_low = reinterpret_cast<std::uintptr_t>(t.fiber.stack().low);
    hot.stack_bytes = t.fiber.stack().bytes;
  }
  t.fiber.resume();
  hot.stack_low = kIdle.stack_low;
  hot.stack_bytes = kIdle.stack_bytes;
  if (t.state == ThreadState::kGone) e.stacks.give(t.fiber.stack());
}

/// Why `other`, a lane of its mask, does not meet thread `t`; empty if it does.
std::string why_not_here(const Engine& e, const Thread& t, int other) {
  if (other >= e.launch->threads) return "does not exist";
  const Thread& o = e.thread(other);
  if (o.state == ThreadState::kGone) return "has left the kernel";
  if (o.state == ThreadState::kAtBarrier) return "waits at __syncthreads()";
  if (o.mask != t.mask || o.operation != t.operation)
    return "is in a warp collective with another mask or of another kind";
  return {};
}

/// A thread in a warp collective that one of its lanes will never join, if there is one.
Defect explain_collective(const Engine& e) {
  Defect defect;
  for (int i = 0; i < e.launch->threads; ++i) {
    const Thread& t = e.thread(i);
    if (t.state != ThreadState::kInWarp) continue;
    for (int lane = 0; lane < 32; ++lane) {
      const int other = i / 32 * 32 + lane;
      if (!(t.mask >> lane & 1)) continue;
      defect.note = why_not_here(e, t, other);
      if (defect.note.empty()) continue;
      defect.kind = DefectKind::kWarpCollective;
      defect.at = {e.block, i};
      defect.place = t.place;
      defect.other = {e.block, other};
      if (other < e.launch->threads) defect.other_place = e.thread(other).place;
      return defect;
    }
  }
  return defect;
}

/// A thread at a barrier, and one that is gone or at another barrier.
Defect explain_barrier(const Engine& e) {
  const auto begin = e.threads.begin(), end = begin + e.launch->threads;
  const auto waiting =
      std::find_if(begin, end, [](const Thread& t) { return t.state == ThreadState::kAtBarrier; });
  auto other =
      std::find_if(begin, end, [](const Thread& t) { return t.state == ThreadState::kGone; });
  Defect defect;
  defect.note = "has left the kernel";
  if (other == end) {
    other = std::find_if(
        begin, end, [&](const Thread& t) { return !same_source_line(t.place, waiting->place); });
    defect.note = "waits at another __syncthreads()";
  }
  defect.kind = DefectKind::kDivergentBarrier;
  defect.at = {e.block, static_cast<int>(waiting - begin)};
  defect.place = waiting->place;
  defect.other = {e.block, static_cast<int>(other - begin)};
  defect.other_place = other->place;
  return defect;
}

/// Nobody can go on and not everybody stands at one barrier: says why.
Defect explain_standstill(const Engine& e) {
  Defect defect = explain_collective(e);
  return defect.kind == DefectKind::kNone ? explain_barrier(e) : defect;
}

/// True if every thread stands at one and the same barrier.
bool all_at_one_barrier(const Engine& e) {
  const Thread& first = e.threads.front();
  for (int i = 0; i < e.launch->threads; ++i) {
    const Thread& t = e.thread(i);
    if (t.state != ThreadState::kAtBarrier) return false;
    if (t.place != first.place && !same_source_line(t.place, first.place)) return false;
  }
  return true;
}

void shuffle_order(Engine& e, std::mt19937_64& random) {
  if (e.options.order == FiberOrder::kShuffled)
    std::shuffle(e.order.begin(), e.order.end(), random);
}

void clear_shared(int device, std::size_t bytes) {
  Cell* const first = memory().cell(memory().shared_base(device));
  std::memset(static_cast<void*>(first), 0, (bytes + 3) / 4 * sizeof(Cell));
}

void begin_block(Engine& e) {
  hot.block_epoch = e.next_epoch();
  hot.barrier_epochs = 0;
  e.block_starts.push_back({e.epoch, e.block});
  if (e.launch->shared_bytes > 0) {
    // Nothing survives from one block to the next.
    clear_shared(e.device, e.launch->shared_bytes);
    Memory::fill_with_garbage(memory().shared_base(e.device), e.launch->shared_bytes);
  }
  for (int i = 0; i < e.launch->threads; ++i) {
    Thread& t = e.thread(i);
    t.state = ThreadState::kReady;
    t.started = false;
    t.place = 0;
    t.barriers = 0;
    t.copies.clear();
    t.group = 0;
  }
}

void run_block(Engine& e, std::mt19937_64& random) {
  begin_block(e);
  for (;;) {
    shuffle_order(e, random);
    bool any_ready = true;
    while (any_ready) {
      any_ready = false;
      for (const std::uint32_t i : e.order) {
        Thread& t = e.threads[i];
        if (t.state != ThreadState::kReady) continue;
        if (!t.started) {
          t.started = true;
          t.fiber.prepare(e.stacks.take(), &thread_main);
        }
        resume(e, static_cast<int>(i));
        if (e.defect.kind != DefectKind::kNone) return;
        any_ready = true;
      }
    }
    if (e.options.counters) count_interval();
    const auto begin = e.threads.begin();
    if (std::all_of(begin, begin + e.launch->threads,
                    [](const Thread& t) { return t.state == ThreadState::kGone; }))
      return;
    if (!all_at_one_barrier(e)) {
      e.defect = explain_standstill(e);
      return;
    }
    e.next_epoch();
    hot.barrier_epochs = e.epoch - hot.block_epoch;
    ++e.record.barriers;
    for (int i = 0; i < e.launch->threads; ++i) e.thread(i).state = ThreadState::kReady;
  }
}

/// Leaves the fibers of an abandoned block where they are: their stacks are free again.
void drop_fibers(Engine& e) {
  for (int i = 0; i < e.launch->threads; ++i) {
    Thread& t = e.thread(i);
    if (t.started && t.state != ThreadState::kGone) e.stacks.give(t.fiber.stack());
    t.fiber = Fiber{};
    t.state = ThreadState::kGone;
    t.accesses.clear();
  }
}

void prepare_launch(Engine& e, const Launch& launch, int device) {
  e.launch = &launch;
  e.device = device;
  e.launch_epoch = e.spans.back().first_epoch;
  e.block_starts.clear();
  e.defect = {};
  const auto threads = static_cast<std::size_t>(launch.threads);
  if (e.threads.size() < threads) e.threads.resize(threads);
  e.seen.assign(threads * 32, 0);
  e.order.resize(threads);
  for (std::uint32_t i = 0; i < e.order.size(); ++i) e.order[i] = i;
  if (e.options.order == FiberOrder::kDescending) std::reverse(e.order.begin(), e.order.end());

  // What an earlier kernel wrote beyond this one's shared memory must not look initialised.
  clear_shared(device, e.shared_used[device]);
  e.shared_used[device] = launch.shared_bytes;

  hot.device_low = reinterpret_cast<std::uintptr_t>(memory().device_base(device));
  hot.cells = memory().device_cells(device);
  hot.recording = e.options.counters;
  hot.first_epoch = e.launch_epoch;
  if (!e.clock.covers(e.latest)) {
    const auto unordered = std::find_if(e.spans.begin(), e.spans.end(),
                                        [&](const Span& span) { return !e.ordered(span); });
    hot.first_epoch = std::min(hot.first_epoch, unordered->first_epoch);
  }
}

/// A permutation of the blocks without a table of them.
class BlockOrder {
 public:
  BlockOrder(FiberOrder order, std::int64_t blocks, std::mt19937_64& random) : blocks_(blocks) {
    if (order == FiberOrder::kDescending) {
      step_ = blocks - 1;  // minus one, modulo the number of blocks
      first_ = blocks - 1;
    } else if (order == FiberOrder::kShuffled) {
      const auto below = [&](std::int64_t limit) {
        return static_cast<std::int64_t>(random() % static_cast<std::uint64_t>(limit));
      };
      first_ = below(blocks);
      do step_ = 1 + below(std::min<std::int64_t>(blocks, 1 << 20));
      while (std::gcd(step_, blocks) != 1);
    }
  }
  std::int64_t at(std::int64_t i) const {
    // 128 bits: the product of two block numbers may need them.
    return static_cast<std::int64_t>(
        (static_cast<unsigned __int128>(i) * static_cast<unsigned __int128>(step_) +
         static_cast<unsigned __int128>(first_)) %
        static_cast<unsigned __int128>(blocks_));
  }

 private:
  std::int64_t blocks_, first_ = 0, step_ = 1;
};

/// However a launch ends, no fiber, no launch and no hook is left active.
class LaunchScope {
 public:
  explicit LaunchScope(Engine& e) : engine_(e) {}
  LaunchScope(const LaunchScope&) = delete;
  LaunchScope& operator=(const LaunchScope&) = delete;
  ~LaunchScope() {
    drop_fibers(engine_);
    engine_.launch = nullptr;
    hot = kIdle;
  }

 private:
  Engine& engine_;
};

}  // namespace

Engine& engine() {
  static Engine& instance = *new Engine;  // never destroyed: queued work may outlive statics
  return instance;
}

__thread HotState hot __attribute__((tls_model("initial-exec"))) = kIdle;

void fail(Defect defect) {
  Engine& e = engine();
  defect.at = {e.block, e.current};
  e.defect = std::move(defect);
  Fiber::suspend(true);
  __builtin_unreachable();
}

void run_launch(const Launch& launch, int device) {
  Engine& e = engine();
  prepare_launch(e, launch, device);
  const LaunchScope scope(e);
  const std::int64_t plane = static_cast<std::int64_t>(launch.grid.x) * launch.grid.y;
  const std::int64_t blocks = plane * launch.grid.z;
  e.record = {};
  e.record.kernel = short_kernel_name(launch.kernel);
  e.record.blocks = blocks;
  e.record.threads = launch.threads;
  e.record.shared_bytes = launch.shared_bytes;
  std::mt19937_64 random(e.options.seed);
  const BlockOrder order(e.options.order, blocks, random);
  for (std::int64_t i = 0; i < blocks; ++i) {
    e.block = order.at(i);
    e.block_index = {static_cast<unsigned>(e.block % launch.grid.x),
                     static_cast<unsigned>(e.block % plane / launch.grid.x),
                     static_cast<unsigned>(e.block / plane)};
    run_block(e, random);
    if (e.defect.kind != DefectKind::kNone)
      throw TargetError(describe(e.defect, launch.kernel, launch.grid, device));
  }
  if (e.options.counters) e.records.push_back(e.record);
}

// ---- what kernels call -------------------------------------------------------------------------

Dim3 thread_index() noexcept { return {static_cast<unsigned>(engine().current), 0, 0}; }
Dim3 block_index() noexcept { return engine().block_index; }
Dim3 block_extent() noexcept { return {static_cast<unsigned>(engine().launch->threads), 1, 1}; }
Dim3 grid_extent() noexcept { return engine().launch->grid; }
void* shared_memory() noexcept { return memory().shared_base(engine().device); }

void block_barrier() noexcept {
  Thread& t = engine().running();
  t.state = ThreadState::kAtBarrier;
  t.place = place_of(__builtin_return_address(0));
  ++t.barriers;
  Fiber::suspend();
}

}  // namespace curvseg::emulation
