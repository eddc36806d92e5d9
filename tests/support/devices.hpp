// The devices that tests of host code run on, and what lies in their memory.
#pragma once

#include <algorithm>
#include <string>
#include <vector>

#include "curvseg/device.hpp"
#include "curvseg/ops.hpp"
#include "curvseg/tensor.hpp"

namespace curvseg::testing {

/// Whether Device::open() finds it: "host", "emulated", "cuda" (any GPU), "cuda:1".
inline bool has_device(const std::string& name) {
  const std::vector<DeviceInfo> devices = Device::list();
  return std::any_of(devices.begin(), devices.end(), [&](const DeviceInfo& info) {
    return info.device == name || info.device.starts_with(name + ':');
  });
}

/// For work that is small enough for the emulated target, too, which sees missing waits: "host",
/// and of "emulated" and "cuda" those that are here.
inline std::vector<std::string> cheap_devices() {
  std::vector<std::string> result{"host"};
  for (const char* name : {"emulated", "cuda"})
    if (has_device(name)) result.emplace_back(name);
  return result;
}

/// The elements of a vector of the stream's device. Waits for the work before.
inline std::vector<float> values_of(const Stream& stream, ConstVectorView v) {
  DeviceArray<float> copy(stream.device(), v.size);
  linear_combination(stream, {{v}}, {copy.data(), copy.size()});
  return copy.to_host(stream);
}

}  // namespace curvseg::testing
