// A target: one compilation of everything under kernels/, as the host side sees it.
//
// Two tables of function pointers. `Runtime` is memory, streams and devices; `Kernels` the list of
// what can be computed. The host side never names a target: it calls through these.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "curvseg/error.hpp"
#include "exec/stream.hpp"
#include "kernels.hpp"

namespace curvseg {

struct DeviceProperties {
  std::string name;             // "NVIDIA H100", "AMD EPYC"
  std::string instruction_set;  // "sm_90"; of a host its kernels tell
  int processors = 0;           // multiprocessors, or cores in use
  std::size_t memory_bytes = 0;
};

/// Memory, streams and devices of a target. Pointers are plain: on the host and emulated targets a
/// device pointer can be read by the host, on the cuda target it cannot. A stream handle of
/// nullptr is the device's default stream. Failures throw TargetError.
struct Runtime {
  const char* name;  // "host", "emulated", "cuda"
  int (*device_count)();
  DeviceProperties (*properties)(int device);
  /// Makes `device` current for this thread, returns the one that was.
  int (*set_device)(int device);
  /// At least 256-byte aligned; never nullptr, also for 0 bytes. Contents undefined.
  void* (*allocate)(int device, std::size_t bytes);
  /// The caller knows that no work uses the memory any more; cudaFree waits for other work too.
  void (*release)(int device, void* memory);
  StreamHandle (*create_stream)(int device);
  void (*destroy_stream)(StreamHandle stream);
  void (*synchronise)(int device, StreamHandle stream);
  /// Asynchronous, in stream order, between any two of host and device memory. Host memory must
  /// stay as it is until the stream has been synchronised.
  void (*copy)(StreamHandle stream, void* to, const void* from, std::size_t bytes);
  /// `later` waits for all work that `earlier` holds now; each with its device, of which a handle
  /// of nullptr is the default stream.
  void (*wait)(int later_device, StreamHandle later, int earlier_device, StreamHandle earlier);
};

struct Target {
  const Runtime* runtime;
  const Kernels* kernels;
};

}  // namespace curvseg
