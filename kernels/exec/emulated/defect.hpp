// A defect as the checks record it: numbers only. A fiber's stack is no place to read debug
// information, so the text is made after the fiber has been left for good.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "exec/emulated/device_api.hpp"

namespace curvseg::emulation {

using Place = std::uint32_t;  // the low half of a return address; 0: unknown

enum class Touch : std::uint8_t { kRead, kWrite, kAtomic };

enum class DefectKind : std::uint8_t {
  kNone,
  kRace,
  kStreamRace,  // the other access is another launch's, on a stream not waited for
  kUninitialised,
  kOutOfBounds,
  kMisaligned,
  kCopyInFlight,       // touches the destination of an asynchronous copy before its wait
  kCopySourceChanged,  // a source was written while its copy was in flight
  kCopyOperands,       // not from global memory into the block's shared memory
  kDivergentBarrier,
  kWarpCollective,
  kException,
};

struct ThreadOfBlock {
  std::int64_t block = -1;  // linear; -1: unknown or not in a launch
  int thread = -1;
};

struct Defect {
  DefectKind kind = DefectKind::kNone;
  Touch touch = Touch::kRead;
  const void* address = nullptr;
  std::size_t bytes = 0;
  ThreadOfBlock at;
  Place place = 0;
  // The other side of a race or of a divergent synchronisation.
  ThreadOfBlock other;
  Place other_place = 0;
  Touch other_touch = Touch::kRead;
  const char* other_kernel = nullptr;  // of kStreamRace; nullptr: a copy
  std::string note;
};

/// "conv2d_gather_kernel<WideGatherTile>" out of the compiler's spelling of kernel_name().
std::string short_kernel_name(const char* pretty_function);

/// The one text of a TargetError.
std::string describe(const Defect& defect, const char* kernel, Dim3 grid, int device);

/// "kernels/exec/gpu_tile.hpp:61 < kernels/conv2d/conv2d_gather.hpp:118": innermost first, frames
/// of the emulated target left out.
std::string describe_place(Place place);
/// True if both are one line of one file, however often the compiler repeated it.
bool same_source_line(Place a, Place b);

/// Read-only data of the program or a library: constants that a kernel may read.
bool is_constant_data(const void* address, std::size_t bytes);

}  // namespace curvseg::emulation
