// The clock of all measurements.
#pragma once

namespace curvseg::perf {

/// kWall is what people wait for. kCpu, the processor time of all threads together, tells more
/// where others use the machine; it is meant for one thread, since waiting threads spin.
enum class Clock { kWall, kCpu };

/// Seconds since some beginning.
double seconds(Clock clock);

/// Threads that kernels of the host target use.
int threads();

}  // namespace curvseg::perf
