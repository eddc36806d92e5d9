// Places buffers with known lifetimes in one arena, so that no two that live at the same time
// overlap and the arena is small.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace curvseg {

/// A buffer that is in use during steps [first, last].
struct BufferLifetime {
  std::int64_t bytes = 0;
  int first = 0, last = 0;

  bool overlaps(const BufferLifetime& other) const {
    return first <= other.last && other.first <= last;
  }
};

struct MemoryPlan {
  std::vector<std::int64_t> offsets;  // in bytes, one a buffer, multiples of kBufferAlignment
  std::int64_t bytes = 0;             // of the arena
};

/// A cache line would do; 256 is what GPU allocators give and wide loads want.
inline constexpr std::int64_t kBufferAlignment = 256;

/// Greedy best fit: buffers in a fixed order, each into the smallest gap that holds it among the
/// buffers already placed that live at the same time. Optimal placement is NP-hard and the best
/// order varies with the graph, so several are tried, each improved by placing whatever reaches
/// the end of the arena first the next time. The smallest arena wins.
MemoryPlan plan_memory(std::span<const BufferLifetime> buffers);

/// The most bytes that live at one step, in whole multiples of kBufferAlignment: no plan can be
/// smaller.
std::int64_t peak_bytes(std::span<const BufferLifetime> buffers);

}  // namespace curvseg
