// Kernels around a library that factorises column-major matrices in a scratch copy: count what is
// not finite, copy in, damp, copy out. In this order of launches, for one matrix:
//
//   count_defects_kernel, load_kernel    scratch ← A, or the identity if A has a defect
//   damp_kernel                          scratch ← scratch + shift·I (inverse_spd)
//   … the library; diagonal_kernel keeps the diagonal of R (orthonormal_basis) …
//   count_defects_kernel, store_kernel   outputs ← scratch, if all went well
#pragma once

#include "exec/block_reduce.hpp"
#include "exec/exec.hpp"

namespace curvseg::CURVSEG_TARGET {

__device__ __forceinline__ bool is_finite(float value) { return value - value == 0.0f; }

/// A square matrix: element (row, column) at row·row_step + column·column_step.
struct Square {
  int n;
  const float* data;
  std::int64_t row_step, column_step;
};

/// defects += values that are not finite: whole numbers, so the order does not matter.
struct CountDefects {
  Square from;
  unsigned* defects;
};
static __global__ void count_defects_kernel(CountDefects p) {
  unsigned count = 0;
  for (const std::int64_t i : grid_range(static_cast<std::int64_t>(p.from.n) * p.from.n))
    count +=
        is_finite(p.from.data[i / p.from.n * p.from.row_step + i % p.from.n * p.from.column_step])
            ? 0
            : 1;
  if (count > 0) atomicAdd(p.defects, count);
}

/// to[row + column·n] = from, or the identity if there are defects.
struct Load {
  Square from;
  const unsigned* defects;
  float* to;
};
static __global__ void load_kernel(Load p) {
  const int n = p.from.n;
  for (const std::int64_t i : grid_range(static_cast<std::int64_t>(n) * n)) {
    const std::int64_t row = i / n, column = i % n;
    const float value = p.from.data[row * p.from.row_step + column * p.from.column_step];
    p.to[row + column * n] = *p.defects == 0 ? value : row == column ? 1.0f : 0.0f;
  }
}

/// Adds the damping of inverse_spd to the diagonal; one block.
struct Damp {
  int n;
  float* a;
  float relative, absolute;
  const float* damping;
  unsigned* defects;
};
struct DampShared {
  BlockSumScratch<double> sum;
};
constexpr int kDampThreads = 256;
static __global__ void __launch_bounds__(kDampThreads) damp_kernel(Damp p) {
  const std::int64_t step = p.n + std::int64_t{1};
  const double share = thread_sum<double>(p.n, [&](std::int64_t i) { return p.a[i * step]; });
  const double trace = block_sum(share, block_shared<DampShared>().sum);
  const float relative = p.damping ? p.damping[0] : p.relative;
  const float absolute = p.damping ? p.damping[1] : p.absolute;
  const float shift = static_cast<float>(absolute + relative * (trace / p.n));
  const bool good = is_finite(shift);
  for (std::int64_t i = block_begin(); i < p.n; i += block_step())
    if (good) p.a[i * step] += shift;
  if (!good && threadIdx.x == 0) atomicAdd(p.defects, 1u);
}

/// to[i] = a[i + i·n]
struct Diagonal {
  int n;
  const float* a;
  float* to;
};
static __global__ void diagonal_kernel(Diagonal p) {
  for (const std::int64_t i : grid_range(p.n)) p.to[i] = p.a[i * (p.n + std::int64_t{1})];
}

/// If there is neither a defect nor an error of the library: to[row·ld + column] = from, columns
/// times the sign of `signs`, and to_values = values. Sets the status.
struct Store {
  Square from;
  const unsigned* defects;
  const int* info;
  bool lower;  // of `from`, row ≥ column stands for both triangles
  const float* signs;
  float* to;
  std::int64_t ld;
  const float* values;
  float* to_values;
  int* status;
};
static __global__ void store_kernel(Store p) {
  const int n = p.from.n;
  const bool good = *p.defects == 0 && p.info[0] == 0 && p.info[1] == 0;
  if (p.status && blockIdx.x == 0 && threadIdx.x == 0) *p.status = good ? 0 : 1;
  if (!good) return;
  for (const std::int64_t i : grid_range(static_cast<std::int64_t>(n) * n)) {
    const std::int64_t row = i / n, column = i % n;
    const bool swap = p.lower && row < column;
    const float value = p.from.data[(swap ? column : row) * p.from.row_step +
                                    (swap ? row : column) * p.from.column_step];
    p.to[row * p.ld + column] = p.signs && p.signs[column] < 0.0f ? -value : value;
  }
  if (p.to_values)
    for (const std::int64_t i : grid_range(n)) p.to_values[i] = p.values[i];
}

}  // namespace curvseg::CURVSEG_TARGET
