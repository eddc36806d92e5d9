// Device memory that grows to the largest use seen, and the waits that make freeing it safe.
#pragma once

#include <cstdint>

#include "curvseg/device.hpp"
#include "curvseg/tensor.hpp"

namespace curvseg {

/// At least `elements` in `array`; its contents are lost when it grows, which waits for `stream`.
template <class T>
void ensure_size(const Stream& stream, DeviceArray<T>& array, std::int64_t elements) {
  if (array.size() >= elements) return;
  stream.synchronise();
  array = DeviceArray<T>();  // first give back, then take
  array = DeviceArray<T>(stream.device(), elements);
}

/// Waits for a stream at the end of a scope, so that memory declared before it is idle when it is
/// freed, also when an exception ends the scope.
class SynchroniseOnExit {
 public:
  explicit SynchroniseOnExit(const Stream& stream) : stream_(stream) {}
  ~SynchroniseOnExit() {
    try {
      stream_.synchronise();
    } catch (...) {
      // Another exception is on its way, or the next call on the stream throws this one again.
    }
  }
  SynchroniseOnExit(const SynchroniseOnExit&) = delete;
  SynchroniseOnExit& operator=(const SynchroniseOnExit&) = delete;

 private:
  const Stream& stream_;
};

}  // namespace curvseg
