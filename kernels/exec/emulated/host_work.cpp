#include "exec/emulated/host_work.hpp"

#include "curvseg/error.hpp"
#include "exec/emulated/engine.hpp"

namespace curvseg::emulation {
namespace {

/// The launch or copy of this stamp, unless it is over by the clock of the work that runs.
const Span* unordered(std::uint32_t epoch) {
  const Engine& e = engine();
  if (e.spans.empty() || epoch < e.spans.front().first_epoch) return nullptr;
  const Span* span = e.span_of(epoch);
  return e.ordered(*span) ? nullptr : span;
}

/// Calls visit(cell) for every word, or byte of a split word, of a run.
template <class Visit>
void for_each_cell(const void* address, std::size_t bytes, Visit visit) {
  const auto* at = static_cast<const std::byte*>(address);
  for (Cell* word = memory().cell(at); word <= memory().cell(at + bytes - 1); ++word) {
    if (word->state != kSplit)
      visit(*word);
    else
      for (int i = 0; i < 4; ++i) visit(memory().byte_cells(word)[i]);
  }
}

const std::byte* row_of(const Region& region, std::int64_t row) {
  return static_cast<const std::byte*>(region.begin) +
         static_cast<std::size_t>(row) * region.stride;
}

}  // namespace

void check_access(const std::function<std::string()>& what, const char* side, const void* address,
                  std::size_t bytes, bool writes) {
  const Memory::Found found = memory().find(address, bytes);
  if (found.inside && found.freed)
    throw TargetError(what() + ": use after free, its " + side + " was released");
  if (!found.inside)
    throw TargetError(what() + ": out of bounds, its " + side + " is not inside one allocation");
  for_each_cell(address, bytes, [&](const Cell& c) {
    const Span* span = unordered(c.write_epoch);
    Place place = c.write_place;
    if (!span && writes) {
      span = unordered(c.read_epoch);
      place = c.read_place;
    }
    if (!span) return;
    const std::string user = span->kernel
                                 ? "kernel " + short_kernel_name(span->kernel) +
                                       (place ? " at " + describe_place(place) : std::string())
                                 : "a copy";
    throw TargetError(what() + ": missing stream wait, its " + side + " is in use by " + user +
                      " on another stream, and nothing makes one of the two wait for the other");
  });
}

void check_read(const char* work, const Region& region) {
  if (!engine().options.checks || region.bytes == 0) return;
  const auto what = [=] { return std::string("emulated: ") + work; };
  for (std::int64_t row = 0; row < region.rows; ++row) {
    check_access(what, "input", row_of(region, row), region.bytes, false);
    for_each_cell(row_of(region, row), region.bytes, [&](const Cell& c) {
      if (c.state != kInitialised)
        throw TargetError(what() + ": uninitialised read: nobody has written row " +
                          std::to_string(row) + " of its input in full");
    });
  }
}

void check_write(const char* work, const Region& region) {
  if (!engine().options.checks || region.bytes == 0) return;
  const auto what = [=] { return std::string("emulated: ") + work; };
  for (std::int64_t row = 0; row < region.rows; ++row)
    check_access(what, "output", row_of(region, row), region.bytes, true);
}

void mark_written(const Region& region) {
  for (std::int64_t row = 0; row < region.rows; ++row)
    memory().mark_written(row_of(region, row), region.bytes, engine().epoch);
}

}  // namespace curvseg::emulation
