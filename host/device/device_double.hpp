// Devices beside those that Device::open() knows, for tests and benchmarks.
#pragma once

#include "curvseg/device.hpp"
#include "target.hpp"

namespace curvseg {

/// Makes a Device of a target that somebody put together: the runtime of a real one that also
/// counts, kernels that are timed. Library code neither sees the difference nor asks for it.
///
///   static Runtime runtime = *Device::open("host").target().runtime;
///   runtime.synchronise = [](int device, StreamHandle stream) { ... };
///   static const Target target{&runtime, Device::open("host").target().kernels};
///   const Device device = DeviceDouble::make(target);
///
/// `target`, with both its tables, outlives the device and all that is made on it. Device::info()
/// of a double is empty: it is in no list.
struct DeviceDouble {
  static Device make(const Target& target, int index = 0) { return Device(target, index); }
};

}  // namespace curvseg
