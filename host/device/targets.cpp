#include "host/device/targets.hpp"

#include <cstddef>
#include <cstdlib>
#include <string>
#include <string_view>

#include "curvseg/error.hpp"
#include "exec/host_runtime.hpp"
#ifdef CURVSEG_HAS_EMULATED
#include "exec/emulated/emulation.hpp"
#endif
#ifdef CURVSEG_HAS_CUDA
#include "exec/cuda_runtime.hpp"
#endif

extern "C" {
const curvseg::Kernels* curvseg_kernels_target_host_baseline();
const curvseg::Kernels* curvseg_kernels_target_host_v3();
const curvseg::Kernels* curvseg_kernels_target_host_v4();
const curvseg::Kernels* curvseg_kernels_target_emulated();
const curvseg::Kernels* curvseg_kernels_target_cuda();
}

namespace curvseg {
namespace {

struct InstructionSet {
  std::string_view name;
  const Kernels* (*kernels)();
};

/// Those of this build, narrowest first.
constexpr InstructionSet kSets[] = {
#ifdef CURVSEG_HAS_HOST_BASELINE
    {"x86-64", curvseg_kernels_target_host_baseline},
#endif
#ifdef CURVSEG_HAS_HOST_V3
    {"x86-64-v3", curvseg_kernels_target_host_v3},
#endif
#ifdef CURVSEG_HAS_HOST_V4
    {"x86-64-v4", curvseg_kernels_target_host_v4},
#endif
};

/// 0 for what every processor has. "portable" is other processors' name for that.
std::size_t width(std::string_view set) {
  return set == "x86-64-v4" ? 2 : set == "x86-64-v3" ? 1 : 0;
}

const Kernels* host_kernels() {
  const std::string_view widest = host_instruction_set();
  const char* asked = std::getenv("CURVSEG_INSTRUCTION_SET");
  if (asked && *asked == '\0') asked = nullptr;
  const Kernels* chosen = nullptr;
  std::string built;
  for (const InstructionSet& set : kSets) {
    built += built.empty() ? set.name : ", " + std::string(set.name);
    if (width(set.name) <= width(widest) && (!asked || set.name == asked)) chosen = set.kernels();
  }
  if (!chosen && asked)
    throw InputError(std::string("CURVSEG_INSTRUCTION_SET is ") + asked + ", this processor has " +
                     std::string(widest) + " and narrower ones, this build " + built);
  if (!chosen)
    throw TargetError("this build has kernels for " + built + ", this processor has " +
                      std::string(widest));
  return chosen;
}

std::vector<NamedTarget> make_targets() {
  static const Target host{&host_runtime(), host_kernels()};
  std::vector<NamedTarget> result{{"host", &host}};
#ifdef CURVSEG_HAS_HOST_BASELINE
  static const Target baseline{&host_runtime(), curvseg_kernels_target_host_baseline()};
  result.push_back({"host_baseline", &baseline});
#endif
#ifdef CURVSEG_HAS_EMULATED
  static const Target emulated{&emulated_runtime(), curvseg_kernels_target_emulated()};
  result.push_back({"emulated", &emulated});
#endif
#ifdef CURVSEG_HAS_CUDA
  static const Target cuda{&cuda_runtime(), curvseg_kernels_target_cuda()};
  result.push_back({"cuda", &cuda});
#endif
  return result;
}

}  // namespace

const std::vector<NamedTarget>& targets() {
  static const std::vector<NamedTarget> all = make_targets();
  return all;
}

}  // namespace curvseg
