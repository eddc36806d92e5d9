// The checks that the hot path hands on: bounds, first writes, parts of words, and every pair of
// accesses whose order takes more than a comparison.
#include "exec/emulated/shadow.hpp"

#include <algorithm>
#include <bit>
#include <utility>

#include "exec/emulated/engine.hpp"

namespace curvseg::emulation {
namespace {

struct Request {
  Touch touch;
  std::uintptr_t address;  // of the whole access
  std::size_t bytes;
  Place place;
};

[[noreturn]] void fail(DefectKind kind, const Request& r, std::string note = {}) {
  Defect defect;
  defect.kind = kind;
  defect.touch = r.touch;
  defect.address = reinterpret_cast<const void*>(r.address);
  defect.bytes = r.bytes;
  defect.place = r.place;
  defect.note = std::move(note);
  emulation::fail(std::move(defect));
}

/// A stamp of a cell, with the question whether it came before what the running thread does now.
struct Stamp {
  std::uint32_t epoch;
  std::uint16_t who;
  std::uint32_t lanes;

  bool before_now() const {
    const HotState& s = hot;
    const Engine& e = engine();
    if (epoch < s.first_epoch) return true;
    if (epoch < e.launch_epoch) return e.ordered(*e.span_of(epoch));
    if (epoch < s.block_epoch || (who & kSeveralBlocks)) return false;
    if (surely_before(s, epoch)) return true;
    if (who != s.warp) return false;
    const std::uint32_t* seen = engine().seen_by(engine().current);
    for (std::uint32_t rest = lanes & ~s.lane_bit; rest; rest &= rest - 1)
      if (epoch >= seen[std::countr_zero(rest)]) return false;
    return true;
  }

  /// Adds the running thread: the stamp then stands for all that is not ordered before it. True if
  /// a report names the running thread by it.
  bool merge() {
    const HotState& s = hot;
    const Engine& e = engine();
    const bool in_launch = epoch >= e.launch_epoch;
    const bool in_interval = in_launch && epoch >= s.block_epoch && !surely_before(s, epoch);
    std::uint16_t flags = 0;
    std::uint32_t others = 0;
    if (in_interval && (who & kSeveralWarps) && !(who & kSeveralBlocks)) {
      // Goes on naming whom it names: a report must not be left with the running thread alone.
      epoch = s.epoch;
      if ((who & kWarpNumber) == s.warp) lanes |= s.lane_bit;
      return false;
    }
    if (in_launch && (epoch < s.block_epoch || (who & kSeveralBlocks))) {
      flags = kSeveralBlocks;
    } else if (in_interval && who != s.warp) {
      flags = kSeveralWarps;
    } else if (in_interval) {
      const std::uint32_t* seen = engine().seen_by(engine().current);
      for (std::uint32_t rest = lanes; rest; rest &= rest - 1)
        if (epoch >= seen[std::countr_zero(rest)]) others |= rest & -rest;
    }
    epoch = s.epoch;
    who = static_cast<std::uint16_t>(s.warp | flags);
    lanes = others | s.lane_bit;
    return true;
  }

  /// A thread other than the running one, if the stamp still knows one.
  ThreadOfBlock someone_else() const {
    const HotState& s = hot;
    const Engine& e = engine();
    if (epoch < e.launch_epoch) return {};
    ThreadOfBlock other;
    other.block = e.block_of(epoch);
    const bool same_warp = other.block == e.block && (who & kWarpNumber) == s.warp;
    const std::uint32_t rest = same_warp ? lanes & ~s.lane_bit : lanes;
    if (rest)
      other.thread = (who & kWarpNumber) * 32 + std::countr_zero(rest);
    else if (who & kSeveralBlocks)
      other.block = -1;
    return other;
  }
};

[[noreturn]] void fail_race(const Request& r, const Stamp& stamp, Touch other_touch,
                            Place other_place) {
  const Engine& e = engine();
  Defect defect;
  defect.kind = DefectKind::kRace;
  defect.touch = r.touch;
  defect.address = reinterpret_cast<const void*>(r.address);
  defect.bytes = r.bytes;
  defect.place = r.place;
  defect.other = stamp.someone_else();
  defect.other_place = other_place;
  defect.other_touch = other_touch;
  if (stamp.epoch < e.launch_epoch) {
    defect.kind = DefectKind::kStreamRace;
    defect.other_kernel = e.span_of(stamp.epoch)->kernel;
  }
  emulation::fail(std::move(defect));
}

/// One word, or one byte of a split word.
void check_cell(Cell& c, const Request& r) {
  Stamp write{c.write_epoch, c.writer, c.write_lanes};
  Stamp read{c.read_epoch, c.reader, c.read_lanes};
  if (c.state == kInFlight) {
    Defect defect;
    defect.kind = DefectKind::kCopyInFlight;
    defect.touch = r.touch;
    defect.address = reinterpret_cast<const void*>(r.address);
    defect.bytes = r.bytes;
    defect.place = r.place;
    defect.other = {engine().block,
                    (c.writer & kWarpNumber) * 32 + std::countr_zero(c.write_lanes)};
    defect.other_place = c.write_place;
    emulation::fail(std::move(defect));
  }
  if (r.touch != Touch::kWrite && c.state != kInitialised) fail(DefectKind::kUninitialised, r);
  const bool both_atomic = r.touch == Touch::kAtomic && c.atomic;
  if (!both_atomic && !write.before_now())
    fail_race(r, write, c.atomic ? Touch::kAtomic : Touch::kWrite, c.write_place);
  if (r.touch != Touch::kRead && !read.before_now()) fail_race(r, read, Touch::kRead, c.read_place);

  if (r.touch == Touch::kRead) {
    if (read.merge()) c.read_place = r.place;
    c.read_epoch = read.epoch;
    c.reader = read.who;
    c.read_lanes = read.lanes;
    return;
  }
  c.state = kInitialised;
  // An atomic after this thread's own plain write hides nothing: the plain write is still there
  // for others to race with.
  if (r.touch == Touch::kAtomic && !c.atomic && !surely_before(hot, c.write_epoch) &&
      mine(hot, c.write_epoch, c.writer, c.write_lanes))
    return;
  bool named = true;
  if (r.touch == Touch::kAtomic && c.atomic)
    named = write.merge();
  else
    write = {hot.epoch, hot.warp, hot.lane_bit};
  c.write_epoch = write.epoch;
  c.writer = write.who;
  c.write_lanes = write.lanes;
  if (named) c.write_place = r.place;
  c.atomic = r.touch == Touch::kAtomic;
}

void check_shared_bounds(const Request& r, std::size_t offset) {
  const std::size_t size = engine().launch->shared_bytes;
  if (offset >= kSharedOffset && offset - kSharedOffset + r.bytes <= size) return;
  const auto at = static_cast<std::ptrdiff_t>(offset) - static_cast<std::ptrdiff_t>(kSharedOffset);
  fail(DefectKind::kOutOfBounds, r,
       "offset " + std::to_string(at) + " in the block's " + std::to_string(size) +
           " bytes of shared memory");
}

void check_global_bounds(const Request& r) {
  const Memory::Found found = memory().find(reinterpret_cast<const void*>(r.address), r.bytes);
  if (found.inside && !found.freed) return;
  if (!found.begin) fail(DefectKind::kOutOfBounds, r, "global memory, before any allocation");
  const std::size_t at = r.address - reinterpret_cast<std::uintptr_t>(found.begin);
  std::string where = "offset " + std::to_string(at) + " in an allocation of " +
                      std::to_string(found.bytes) + " bytes of global memory";
  if (found.freed) where += " that was released: use after free";
  fail(DefectKind::kOutOfBounds, r, std::move(where));
}

/// Neither the thread's own stack nor its device's memory.
void check_elsewhere(const Request& r) {
  const Engine& e = engine();
  const void* address = reinterpret_cast<const void*>(r.address);
  if (r.touch == Touch::kRead) {
    const auto params = reinterpret_cast<std::uintptr_t>(e.launch->params.get());
    if (r.address >= params && r.address + r.bytes <= params + e.launch->params_bytes) return;
    if (is_constant_data(address, r.bytes)) return;
  }
  const int device = memory().device_of(address);
  if (device >= 0) fail(DefectKind::kOutOfBounds, r, "memory of device " + std::to_string(device));
  if (e.stacks.holds(address))
    fail(DefectKind::kOutOfBounds, r, "a local variable of another thread");
  fail(DefectKind::kOutOfBounds, r, "neither shared nor global memory: a host or a wild pointer");
}

}  // namespace

void fail_misaligned(Touch touch, std::uintptr_t address, std::size_t alignment, Place place) {
  fail(DefectKind::kMisaligned, {touch, address, alignment, place});
}

void check_slowly(Touch touch, std::uintptr_t address, std::size_t bytes, Place place) {
  if (bytes == 0 || address - hot.stack_low < hot.stack_bytes) return;
  const Request r{touch, address, bytes, place};
  const std::size_t offset = address - hot.device_low;
  if (offset >= kDeviceBytes) return check_elsewhere(r);

  Cell* const first = hot.cells + offset / 4;
  Cell* const last = hot.cells + (offset + bytes - 1) / 4;
  if (!std::all_of(first, last + 1, [](const Cell& c) { return c.state == kInitialised; })) {
    if (offset < kHeapOffset)
      check_shared_bounds(r, offset);
    else
      check_global_bounds(r);
  }
  if (hot.recording) record_access(touch, address, bytes, place);
  for (Cell* word = first; word <= last; ++word) {
    const std::size_t begin = word == first ? offset % 4 : 0;
    const std::size_t end = word == last ? (offset + bytes - 1) % 4 + 1 : 4;
    if (begin == 0 && end == 4 && word->state != kSplit) {
      check_cell(*word, r);
      continue;
    }
    Cell* parts = word->state == kSplit ? memory().byte_cells(word) : memory().split(word);
    for (std::size_t i = begin; i < end; ++i) check_cell(parts[i], r);
  }
}

}  // namespace curvseg::emulation
