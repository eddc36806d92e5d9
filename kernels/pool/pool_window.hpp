// What the pooling kernels share: their parameters on the device, and a window of x.
#pragma once

#include "exec/pixel_walk.hpp"
#include "pool/pool_axis.hpp"

namespace curvseg::CURVSEG_TARGET {

template <class Operation>
struct PoolParams {
  Operation operation;
  PoolAxis rows, columns;
  ImageWalkPlan walk;
};

template <class Operation>
PoolParams<Operation> pool_params(const Operation& p, const ImageWalkPlan& walk) {
  return {p, row_axis(p.problem), column_axis(p.problem), walk};
}

/// A window of x: the taps inside, and where tap (0, 0) would be, which may be outside.
struct InputWindow {
  TapRange rows, columns;
  const float* corner;
  std::int64_t row_stride;

  template <class Params, class Walk>
  __device__ __forceinline__ InputWindow(const Params& p, const Walk& at)
      : rows(p.rows.taps(at.row())), columns(p.columns.taps(at.column())) {
    const std::int64_t row =
        static_cast<std::int64_t>(at.image()) * p.rows.in + p.rows.start(at.row());
    row_stride = p.columns.in * p.operation.ldx;
    corner = p.operation.x + row * row_stride + p.columns.start(at.column()) * p.operation.ldx;
  }
  __device__ __forceinline__ bool empty() const {
    return rows.last <= rows.first || columns.last <= columns.first;
  }
};

}  // namespace curvseg::CURVSEG_TARGET
