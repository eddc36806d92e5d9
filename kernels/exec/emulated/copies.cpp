// Asynchronous copies: their data moves at the wait, so that reading early finds the old data, and
// the words they are on the way to are marked, so that reading early is reported.
#include <cstring>
#include <utility>

#include "exec/emulated/engine.hpp"

namespace curvseg::emulation {
namespace {

[[noreturn]] void fail_copy(DefectKind kind, const void* address, unsigned bytes, Place place,
                            const char* note, Place other_place = 0) {
  Defect defect;
  defect.kind = kind;
  defect.address = address;
  defect.bytes = bytes;
  defect.place = place;
  defect.other_place = other_place;
  defect.other = {engine().block, engine().current};
  defect.note = note;
  fail(std::move(defect));
}

bool in_shared(const void* address) {
  const auto at = reinterpret_cast<std::uintptr_t>(address) - hot.device_low;
  return at >= kSharedOffset && at < kHeapOffset;
}

Cell* cells_of(const void* address) {
  return hot.cells + (reinterpret_cast<std::uintptr_t>(address) - hot.device_low) / 4;
}

/// Changes with every write to any word of the source.
std::uint64_t source_stamp(const PendingCopy& copy) {
  std::uint64_t stamp = 0;
  const Cell* const cells = cells_of(copy.from);
  for (unsigned i = 0; i < copy.bytes / 4; ++i) {
    const Cell& c = cells[i];
    stamp = stamp * 0x9e3779b97f4a7c15u + (std::uint64_t{c.write_epoch} << 32 | c.write_place);
  }
  return stamp;
}

void mark(const PendingCopy& copy, CellState state) {
  Cell written{};
  written.state = state;
  written.write_epoch = hot.epoch;
  written.writer = hot.warp;
  written.write_lanes = hot.lane_bit;
  written.write_place = copy.place;
  Cell* const cells = cells_of(copy.to);
  for (unsigned i = 0; i < copy.bytes / 4; ++i) cells[i] = written;
}

void complete(const PendingCopy& copy) {
  if (copy.valid)
    std::memcpy(copy.to, copy.from, copy.bytes);
  else
    std::memset(copy.to, 0, copy.bytes);
  if (!engine().options.checks) return;
  if (copy.valid && source_stamp(copy) != copy.source_stamp)
    fail_copy(DefectKind::kCopySourceChanged, copy.from, copy.bytes, copy.place, "",
              cells_of(copy.from)->write_place);
  mark(copy, kInitialised);
}

}  // namespace

void copy_async(void* to, const void* from, unsigned bytes, bool valid) noexcept {
  Engine& e = engine();
  const Place place = place_of(__builtin_return_address(0));
  PendingCopy copy{static_cast<std::byte*>(to),
                   static_cast<const std::byte*>(from),
                   bytes,
                   valid,
                   e.running().group,
                   place,
                   0};
  if (e.options.checks) {
    if (!in_shared(to))
      fail_copy(DefectKind::kCopyOperands, to, bytes, place, "does not write shared memory");
    if (valid) {
      if (in_shared(from))
        fail_copy(DefectKind::kCopyOperands, from, bytes, place, "does not read global memory");
      check_words<Touch::kRead>(reinterpret_cast<std::uintptr_t>(from), bytes, place);
      copy.source_stamp = source_stamp(copy);
    }
    // A write by this thread, now: whoever still reads the old data races with it.
    check_words<Touch::kWrite>(reinterpret_cast<std::uintptr_t>(to), bytes, place);
    mark(copy, kInFlight);
  }
  e.running().copies.push_back(copy);
}

void commit_copies() noexcept { ++engine().running().group; }

void wait_copies(unsigned pending) noexcept {
  Thread& t = engine().running();
  if (t.group <= pending) return;
  const std::uint32_t done = t.group - pending;  // groups below are waited for
  std::size_t count = 0;
  while (count < t.copies.size() && t.copies[count].group < done) complete(t.copies[count++]);
  t.copies.erase(t.copies.begin(), t.copies.begin() + static_cast<std::ptrdiff_t>(count));
}

}  // namespace curvseg::emulation
