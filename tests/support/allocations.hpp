// Counts calls that allocate from the heap, in programs that link this: all of the process, the
// host target's device memory and shared libraries included.
#pragma once

#include <cstdint>

namespace curvseg::testing {

/// Of malloc() and all its kin, since the program began.
std::uint64_t heap_allocations();

/// Why heap_allocations() tells nothing in this process; nullptr: it counts.
const char* heap_allocations_uncounted();

}  // namespace curvseg::testing
