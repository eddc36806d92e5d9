// Counts calls that allocate from the heap, in programs that link this: all of the process, the
// host target's device memory included.
#pragma once

#include <cstdint>

namespace curvseg::perf {

/// Of malloc() and all its kin, since the program began.
std::uint64_t heap_allocations();

}  // namespace curvseg::perf
