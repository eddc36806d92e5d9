// Transposed copies of matrices. Plain C++.
#pragma once

#include <cstdint>

namespace curvseg {

/// to[b, j, i] = from[b, i, j] for b < batch, i < rows, j < columns; both dense. Overwrites `to`,
/// which must not overlap `from`.
struct Transpose {
  std::int64_t batch = 0;
  int rows = 0, columns = 0;
  const float* from = nullptr;
  float* to = nullptr;
};

}  // namespace curvseg
