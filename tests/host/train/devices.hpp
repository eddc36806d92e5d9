/// @file
/// The devices that tests of host code run on.
#pragma once

#include <string>
#include <vector>

#include "curvseg/device.hpp"

namespace curvseg::test {

inline bool has_device(const std::string& name) {
  for (const DeviceInfo& info : Device::list())
    if (info.device == name) return true;
  return false;
}

/// For work that is small enough for the emulated target, too: it sees missing waits.
inline std::vector<std::string> cheap_devices() {
  std::vector<std::string> result{"host"};
  if (has_device("emulated")) result.emplace_back("emulated");
  return result;
}

}  // namespace curvseg::test
