// The kernels of dense/library_steps.hpp, compiled for the emulated target.
#pragma once

#include <cstdint>

#include "exec/stream.hpp"

namespace curvseg::target_emulated {

/// defects[0] += what is not finite in the n x n matrix `from`; then `to` (column-major) is it or
/// the identity.
void load_square(StreamHandle stream, int n, const float* from, std::int64_t ld, unsigned* defects,
                 float* to);
/// `damping` may be nullptr.
void damp_square(StreamHandle stream, int n, float* a, float relative, float absolute,
                 const float* damping, unsigned* defects);
void take_diagonal(StreamHandle stream, int n, const float* a, float* to);

/// The outputs of one matrix; `signs`, `values` and `status` may be nullptr.
struct StoredSquare {
  int n;
  const float* scratch;
  const unsigned* defects;
  const int* info;
  bool lower;
  const float* signs;
  float* to;
  std::int64_t ld;
  const float* values;
  float* to_values;
  int* status;
};
void store_square(StreamHandle stream, const StoredSquare& square);

}  // namespace curvseg::target_emulated
