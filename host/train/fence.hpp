// A point in the order of a stream that the host can wait for without waiting for what comes later.
#pragma once

#include "curvseg/device.hpp"

namespace curvseg {

/// Streams are the library's only handle on order, so the point is kept by a second stream: it
/// waits for the work that the first one holds at record(), and the host waits for it.
class Fence {
 public:
  explicit Fence(const Device& device) : behind_(device) {}

  void record(const Stream& stream) { behind_.wait(stream); }
  /// Blocks until the work before the last record() is done; at once if there was none.
  void wait() const { behind_.synchronise(); }
  /// Runs after the work before the last record(), beside what comes later.
  const Stream& stream() const { return behind_; }

 private:
  Stream behind_;
};

}  // namespace curvseg
