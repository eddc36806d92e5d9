// The checks of one load or store. The hot path is here, inline, for hooks.cpp; whatever it cannot
// settle with a few comparisons goes to check_slowly().
#pragma once

#include <cstddef>
#include <cstdint>

#include "exec/emulated/defect.hpp"
#include "exec/emulated/memory.hpp"

namespace curvseg::emulation {

/// What the hot path needs to know of the running thread. Idle, everything counts as own stack, so
/// instrumented host code passes at the first comparison.
struct HotState {
  std::uintptr_t stack_low;
  std::size_t stack_bytes;
  std::uintptr_t device_low;
  Cell* cells;                   // of device_low
  std::uint32_t epoch;           // now
  std::uint32_t first_epoch;     // of this launch; later than it: unordered unless the rest says so
  std::uint32_t block_epoch;     // first of this block
  std::uint32_t barrier_epochs;  // from block_epoch to the last barrier: ordered
  std::uint32_t lane_bit;
  std::uint16_t warp;
  bool recording;  // counters are on
};

// __thread, not thread_local: no initialisation guard stands in the way of a hook.
extern __thread HotState hot __attribute__((tls_model("initial-exec")));

inline Place place_of(const void* return_address) {
  return static_cast<Place>(reinterpret_cast<std::uintptr_t>(return_address));
}

/// Everything: bounds, state, races. Leaves the fiber for good if it finds a defect.
void check_slowly(Touch touch, std::uintptr_t address, std::size_t bytes, Place place);
[[noreturn]] void fail_misaligned(Touch touch, std::uintptr_t address, std::size_t alignment,
                                  Place place);
/// For LaunchRecord.
void record_access(Touch touch, std::uintptr_t address, std::size_t bytes, Place place);

/// The stamp is of an earlier launch, or of this block before its last barrier.
inline bool surely_before(const HotState& s, std::uint32_t epoch) {
  return epoch < s.first_epoch || epoch - s.block_epoch < s.barrier_epochs;
}

inline bool mine(const HotState& s, std::uint32_t epoch, std::uint16_t warp, std::uint32_t lanes) {
  return warp == s.warp && lanes == s.lane_bit && epoch >= s.block_epoch;
}

/// True if the word was read without anything to look into.
inline bool read_word(const HotState& s, Cell& c, Place place) {
  if (c.state != kInitialised) return false;
  if (!surely_before(s, c.write_epoch) && !mine(s, c.write_epoch, c.writer, c.write_lanes))
    return false;
  if (c.read_epoch == s.epoch) {  // in this very interval
    if (c.reader == s.warp) {
      c.read_lanes |= s.lane_bit;
    } else if (!(c.reader & (kSeveralWarps | kSeveralBlocks))) {
      c.reader = s.warp | kSeveralWarps;
      c.read_lanes = s.lane_bit;
      c.read_place = place;
    }
    return true;
  }
  if (c.read_epoch < s.first_epoch ||
      (c.read_epoch - s.block_epoch < s.barrier_epochs && !(c.reader & kSeveralBlocks))) {
    c.read_epoch = s.epoch;
    c.reader = s.warp;
    c.read_lanes = s.lane_bit;
    c.read_place = place;
    return true;
  }
  return c.reader & kSeveralBlocks;  // nothing to add: no block of this launch may write it
}

inline bool write_word(const HotState& s, Cell& c, Place place) {
  if (c.state != kInitialised) return false;
  if (!surely_before(s, c.write_epoch) && !mine(s, c.write_epoch, c.writer, c.write_lanes))
    return false;
  if (c.read_epoch >= s.first_epoch &&
      ((c.reader & kSeveralBlocks) ||
       (!surely_before(s, c.read_epoch) && !mine(s, c.read_epoch, c.reader, c.read_lanes))))
    return false;
  c.write_epoch = s.epoch;
  c.writer = s.warp;
  c.write_lanes = s.lane_bit;
  c.write_place = place;
  c.atomic = false;
  return true;
}

/// A load or store of whole words that has to be aligned to its length.
template <Touch kTouch>
inline __attribute__((always_inline)) void check_words(std::uintptr_t address, unsigned bytes,
                                                       Place place) {
  HotState& s = hot;
  const std::uintptr_t offset = address - s.device_low;
  if (offset % bytes != 0) fail_misaligned(kTouch, address, bytes, place);
  if (offset < kDeviceBytes && !s.recording) {
    Cell* c = s.cells + offset / 4;
    bool settled = true;
    for (unsigned i = 0; i < bytes / 4; ++i)
      settled &= kTouch == Touch::kRead ? read_word(s, c[i], place) : write_word(s, c[i], place);
    if (settled) return;
  }
  check_slowly(kTouch, address, bytes, place);
}

}  // namespace curvseg::emulation
