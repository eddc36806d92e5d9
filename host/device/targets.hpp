// The targets that this build has, by name.
#pragma once

#include <string>
#include <vector>

#include "target.hpp"

namespace curvseg {

struct NamedTarget {
  std::string name;  // "host", "host_baseline", "emulated", "cuda"
  const Target* target;
};

/// Every target compiled in, whether or not a device for it is there. "host" uses the widest
/// instruction set that this processor and this build have; the environment variable
/// CURVSEG_INSTRUCTION_SET ("x86-64", "x86-64-v3", "x86-64-v4") asks for a narrower one.
const std::vector<NamedTarget>& targets();

}  // namespace curvseg
