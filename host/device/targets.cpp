#include "host/device/targets.hpp"

#include <cstdlib>
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
#ifdef CURVSEG_HAS_X86_SETS
const curvseg::Kernels* curvseg_kernels_target_host_v3();
const curvseg::Kernels* curvseg_kernels_target_host_v4();
#endif
const curvseg::Kernels* curvseg_kernels_target_emulated();
const curvseg::Kernels* curvseg_kernels_target_cuda();
}

namespace curvseg {
namespace {

struct InstructionSet {
  std::string_view name;
  const Kernels* (*kernels)();
};

/// Narrowest first.
constexpr InstructionSet kSets[] = {
    {"x86-64", curvseg_kernels_target_host_baseline},
#ifdef CURVSEG_HAS_X86_SETS
    {"x86-64-v3", curvseg_kernels_target_host_v3},
    {"x86-64-v4", curvseg_kernels_target_host_v4},
#endif
};

const Kernels* host_kernels() {
  const std::string_view widest = host_instruction_set();
  const char* asked = std::getenv("CURVSEG_INSTRUCTION_SET");
  const Kernels* chosen = kSets[0].kernels();
  bool known = asked == nullptr;
  for (const InstructionSet& set : kSets) {
    chosen = set.kernels();
    if (asked && set.name == asked) known = true;
    if (set.name == widest || (asked && set.name == asked)) break;
  }
  if (!known)
    throw InputError(std::string("CURVSEG_INSTRUCTION_SET is ") + asked + ", this processor has " +
                     std::string(widest) + " and narrower ones");
  return chosen;
}

std::vector<NamedTarget> make_targets() {
  static const Target host{&host_runtime(), host_kernels()};
  static const Target baseline{&host_runtime(), curvseg_kernels_target_host_baseline()};
  std::vector<NamedTarget> result{{"host", &host}, {"host_baseline", &baseline}};
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
