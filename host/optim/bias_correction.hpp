// What makes means that start at 0 means.
#pragma once

#include <cmath>
#include <cstdint>

namespace curvseg {

/// 1 − β^t, in double: in float it loses its digits for β near 1.
inline float bias_correction(float beta, std::uint64_t t) {
  return static_cast<float>(1.0 - std::pow(static_cast<double>(beta), static_cast<double>(t)));
}

}  // namespace curvseg
