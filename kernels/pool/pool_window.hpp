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

/// The windows of one output row over x: the rows inside, and where row 0 of the window begins,
/// which may be outside.
struct WindowRows {
  TapRange taps;
  std::int64_t stride;
  const float* first;

  template <class Params, class Walk>
  __device__ __forceinline__ WindowRows(const Params& p, const Walk& at)
      : taps(p.rows.taps(at.row())), stride(p.columns.in * p.operation.ldx) {
    const std::int64_t row =
        static_cast<std::int64_t>(at.image()) * p.rows.in + p.rows.start(at.row());
    first = p.operation.x + row * stride;
  }
};

}  // namespace curvseg::CURVSEG_TARGET
