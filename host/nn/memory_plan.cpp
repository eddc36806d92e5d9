#include "host/nn/memory_plan.hpp"

#include <algorithm>
#include <limits>
#include <numeric>
#include <tuple>

namespace curvseg {
namespace {

std::int64_t aligned(std::int64_t bytes) {
  return (bytes + kBufferAlignment - 1) / kBufferAlignment * kBufferAlignment;
}

struct Placed {
  std::int64_t begin, end;
};

/// The start of the smallest gap of at least `bytes` between `taken`, which is sorted by begin; the
/// endless one behind all of them if no other will do.
std::int64_t best_gap(const std::vector<Placed>& taken, std::int64_t bytes) {
  std::int64_t best = -1, best_size = std::numeric_limits<std::int64_t>::max();
  std::int64_t at = 0;
  for (const Placed& other : taken) {
    const std::int64_t size = other.begin - at;
    if (size >= bytes && size < best_size) best = at, best_size = size;
    at = std::max(at, other.end);
  }
  return best < 0 ? at : best;
}

MemoryPlan place_in_order(std::span<const BufferLifetime> buffers,
                          const std::vector<std::size_t>& order) {
  MemoryPlan plan;
  plan.offsets.assign(buffers.size(), 0);
  std::vector<std::size_t> done;
  std::vector<Placed> taken;
  for (const std::size_t i : order) {
    const std::int64_t bytes = aligned(buffers[i].bytes);
    if (bytes == 0) continue;
    taken.clear();
    for (const std::size_t j : done)
      if (buffers[i].overlaps(buffers[j]))
        taken.push_back({plan.offsets[j], plan.offsets[j] + aligned(buffers[j].bytes)});
    std::sort(taken.begin(), taken.end(),
              [](const Placed& a, const Placed& b) { return a.begin < b.begin; });
    plan.offsets[i] = best_gap(taken, bytes);
    plan.bytes = std::max(plan.bytes, plan.offsets[i] + bytes);
    done.push_back(i);
  }
  return plan;
}

/// The buffer that made the arena as large as it is.
std::size_t last_in_arena(std::span<const BufferLifetime> buffers, const MemoryPlan& plan) {
  std::size_t last = 0;
  for (std::size_t i = 0; i < buffers.size(); ++i)
    if (plan.offsets[i] + buffers[i].bytes > plan.offsets[last] + buffers[last].bytes) last = i;
  return last;
}

void move_to_front(std::vector<std::size_t>& order, std::size_t i) {
  const auto found = std::find(order.begin(), order.end(), i);
  std::rotate(order.begin(), found, found + 1);
}

/// A plan is made once a shape; a hundred buffers take about a millisecond a round at most.
constexpr int kRounds = 24;

}  // namespace

MemoryPlan plan_memory(std::span<const BufferLifetime> buffers) {
  std::vector<std::size_t> order(buffers.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  const auto length = [&](std::size_t i) { return buffers[i].last - buffers[i].first; };
  const std::int64_t enough = peak_bytes(buffers);
  if (buffers.empty()) return {};
  MemoryPlan best;
  best.bytes = std::numeric_limits<std::int64_t>::max();
  const auto try_order = [&](auto key) {
    std::stable_sort(order.begin(), order.end(),
                     [&](std::size_t a, std::size_t b) { return key(a) < key(b); });
    for (int round = 0; round < kRounds && best.bytes > enough; ++round) {
      MemoryPlan plan = place_in_order(buffers, order);
      move_to_front(order, last_in_arena(buffers, plan));
      if (plan.bytes < best.bytes) best = std::move(plan);
    }
  };
  try_order([&](std::size_t i) { return -buffers[i].bytes; });
  try_order([&](std::size_t i) { return std::tuple(-length(i), -buffers[i].bytes); });
  try_order([&](std::size_t i) { return std::tuple(buffers[i].first, -length(i)); });
  try_order([&](std::size_t i) { return std::tuple(-buffers[i].last, -length(i)); });
  return best;
}

std::int64_t peak_bytes(std::span<const BufferLifetime> buffers) {
  std::int64_t peak = 0;
  for (const BufferLifetime& at : buffers) {  // the peak is reached where some buffer begins
    std::int64_t live = 0;
    for (const BufferLifetime& other : buffers)
      if (other.first <= at.first && at.first <= other.last) live += aligned(other.bytes);
    peak = std::max(peak, live);
  }
  return peak;
}

}  // namespace curvseg
