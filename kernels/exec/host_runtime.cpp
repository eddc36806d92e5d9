// Memory and streams of the host target: ordinary memory, and work that is finished on return.
#include "exec/host_runtime.hpp"

#include <omp.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <fstream>
#include <string>

namespace curvseg {
namespace {

constexpr std::size_t kAlignment = 256;

std::string processor_name() {
  std::ifstream cpuinfo("/proc/cpuinfo");
  for (std::string line; std::getline(cpuinfo, line);)
    if (line.rfind("model name", 0) == 0) {
      const auto at = line.find(": ");
      if (at != std::string::npos) return line.substr(at + 2);
    }
  return "processor";
}

DeviceProperties properties(int) {
  DeviceProperties p;
  p.name = processor_name();
  p.processors = omp_get_max_threads();
  const long pages = sysconf(_SC_PHYS_PAGES), page = sysconf(_SC_PAGE_SIZE);
  if (pages > 0 && page > 0)
    p.memory_bytes = static_cast<std::size_t>(pages) * static_cast<std::size_t>(page);
  return p;
}

void* allocate(int, std::size_t bytes) {
  const std::size_t rounded = (bytes + kAlignment - 1) / kAlignment * kAlignment;
  void* memory = std::aligned_alloc(kAlignment, rounded ? rounded : kAlignment);
  if (!memory)
    throw TargetError("host: no memory left for an allocation of " + std::to_string(bytes) +
                      " bytes");
  return memory;
}

constexpr Runtime kRuntime{
    .name = "host",
    .device_count = [] { return 1; },
    .properties = properties,
    .set_device = [](int) { return 0; },
    .allocate = allocate,
    .release = [](int, void* memory) { std::free(memory); },
    .create_stream = [](int) -> StreamHandle { return nullptr; },
    .destroy_stream = [](StreamHandle) {},
    .synchronise = [](int, StreamHandle) {},
    .copy =
        [](StreamHandle, void* to, const void* from, std::size_t bytes) {
          if (bytes) std::memcpy(to, from, bytes);
        },
    .wait = [](int, StreamHandle, int, StreamHandle) {},
};

}  // namespace

const Runtime& host_runtime() { return kRuntime; }

const char* host_instruction_set() {
#if defined(__x86_64__)
  static const bool v4 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                         __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq") &&
                         __builtin_cpu_supports("avx512vl");
  static const bool v3 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
                         __builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2");
  return v4 && v3 ? "x86-64-v4" : v3 ? "x86-64-v3" : "x86-64";
#else
  return "portable";
#endif
}

}  // namespace curvseg
