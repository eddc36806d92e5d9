// Work of an emulated stream that an ordinary function of the host does, in place in device memory:
// for operations whose GPU code is a library's. What it touches is checked and marked as a whole.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>

#include "exec/stream.hpp"

namespace curvseg::emulation {

/// Called once, when its turn comes in the stream; may throw.
struct HostWork {
  const char* name;  // string literal
  std::function<void()> run;
};

/// Queues `work`. Throws TargetError for what is no stream.
void enqueue(StreamHandle stream, HostWork work);

/// Memory that work touches: `rows` runs of `bytes`, which begin `stride` bytes apart.
struct Region {
  const void* begin;
  std::int64_t rows;
  std::size_t bytes, stride;
};

// From inside the work:
/// Throws TargetError unless all of it is live memory of a device, written by somebody, and no work
/// that is not ordered with this one wrote it.
void check_read(const char* work, const Region& region);
/// The same for memory that will be written, whatever is in it.
void check_write(const char* work, const Region& region);
/// What was written counts as initialised, by this work.
void mark_written(const Region& region);

/// One run of check_read() or check_write(), also of copies. `what` names the work, `side` the
/// operand.
void check_access(const std::function<std::string()>& what, const char* side, const void* address,
                  std::size_t bytes, bool writes);

}  // namespace curvseg::emulation
