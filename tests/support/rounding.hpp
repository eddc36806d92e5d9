// The unit that bounds of rounding errors are counted in.
#pragma once

#include <limits>

namespace curvseg::testing {

inline constexpr double kEpsilon = std::numeric_limits<float>::epsilon();

}  // namespace curvseg::testing
