// Convolution problems and the index arithmetic of their three directions. Plain C++, shared by the
// host API and every target; brute-force tested in tests/kernels/conv2d/index_test.cpp.
#pragma once

#include <cstdint>
#include <numeric>

#include "curvseg/convolution.hpp"
#include "exec/host_device.hpp"

namespace curvseg {

/// y[n,p,q,k] = Σ_{r,s,c} x[n, p·stride_h − pad_h + r·dilation_h, q·stride_w − …, c] · w[r,s,c,k]
/// with x zero outside its bounds. `x` is [N,H,W,C], `w` [R,S,C,K], `y` [N,P,Q,K].
struct Conv2dProblem {
  int n = 0, h = 0, w = 0, c = 0;
  int p = 0, q = 0, k = 0;
  int r = 1, s = 1;
  int stride_h = 1, stride_w = 1;
  int pad_h = 0, pad_w = 0;
  int dilation_h = 1, dilation_w = 1;
  int groups = 1;
  ConvAlgorithm algorithm = ConvAlgorithm::kDirect;
};

/// Which tensor a gather writes: `kForward` y from x, `kData` x (its gradient) from y.
enum class Conv2dDirection { kForward, kData };

/// One axis of a gather, restricted to one phase. Output `i` lies at `out_start + i·out_step`; its
/// tap `j` is filter row `tap_start + j·tap_step` and reads source row
/// `i·source_step + source_offset + j·source_tap_step`, zero if outside [0, source_extent).
///
/// A forward pass has one phase. A data gradient with stride t has t: outputs that agree modulo t
/// use the same taps, so no tap is ever visited only to find that it falls between two samples.
struct GatherAxis {
  int outputs = 0;
  int out_start = 0, out_step = 1;
  int taps = 0, tap_start = 0, tap_step = 1;
  int source_step = 1, source_offset = 0, source_tap_step = 1;
  int source_extent = 0;
};

constexpr CURVSEG_HOST_DEVICE int floor_divide(int a, int b) { return a / b - (a % b < 0 ? 1 : 0); }

/// Phases of an axis of `in` inputs; a stride beyond them leaves the others without an output.
constexpr CURVSEG_HOST_DEVICE int gather_phases(Conv2dDirection direction, int stride, int in) {
  return direction == Conv2dDirection::kForward ? 1 : stride < in ? stride : in;
}

/// Where filter tap (row `r`, column `s`) lies in a panel: data gradients walk taps backwards, so
/// their panels are stored backwards and every walk is forwards in memory.
constexpr CURVSEG_HOST_DEVICE int panel_tap(Conv2dDirection direction, const Conv2dProblem& problem,
                                            int r, int s) {
  const int tap = r * problem.s + s;
  return direction == Conv2dDirection::kForward ? tap : problem.r * problem.s - 1 - tap;
}

constexpr CURVSEG_HOST_DEVICE int greatest_common_divisor(int a, int b) {
  while (b != 0) {
    const int rest = a % b;
    a = b;
    b = rest;
  }
  return a;
}

/// The axis with input extent `in`, output extent `out` (of the forward pass) and `filter` taps.
constexpr CURVSEG_HOST_DEVICE GatherAxis gather_axis(Conv2dDirection direction, int phase, int in,
                                                     int out, int filter, int stride, int pad,
                                                     int dilation) {
  GatherAxis axis;
  if (direction == Conv2dDirection::kForward) {
    axis.outputs = out;
    axis.taps = filter;
    axis.source_step = stride;
    axis.source_offset = -pad;
    axis.source_tap_step = dilation;
    axis.source_extent = in;
    return axis;
  }
  axis.outputs = in > phase ? (in - phase + stride - 1) / stride : 0;
  axis.out_start = phase;
  axis.out_step = stride;
  axis.tap_step = stride / greatest_common_divisor(stride, dilation);
  axis.source_extent = out;
  for (int tap = 0; tap < axis.tap_step && tap < filter; ++tap) {
    const int reach = phase + pad - tap * dilation;
    if (reach - floor_divide(reach, stride) * stride != 0) continue;
    // From the last tap to the first, so that source rows ascend as they do forward.
    axis.taps = (filter - tap + axis.tap_step - 1) / axis.tap_step;
    axis.tap_start = tap + (axis.taps - 1) * axis.tap_step;
    axis.source_tap_step = axis.tap_step * dilation / stride;
    axis.source_offset = floor_divide(reach, stride) - (axis.taps - 1) * axis.source_tap_step;
    axis.tap_step = -axis.tap_step;
    return axis;
  }
  axis.taps = 0;  // no filter tap ever reaches this phase: its gradient is zero
  return axis;
}

/// One term of a gather: `source` is x (forward) or dy (data gradient), pixel stride `ld`.
struct Conv2dGatherTerm {
  const float* source = nullptr;
  std::int64_t ld = 0;
  const float* w = nullptr;
};

/// What happens to an accumulator on its way to memory, in this order:
/// add the old output (`accumulate`), add the bias, ReLU, and zero it where `mask` is not positive
/// (channels below `mask_channels` only): the derivative of the ReLU that made `mask`.
struct Conv2dEpilogue {
  const float* bias = nullptr;
  const float* mask = nullptr;
  std::int64_t ld_mask = 0;
  int mask_channels = 0;
  bool relu = false;
  bool accumulate = false;
};

/// Σ_t source_t ⊛ w_t, one or two terms. `out` is y or dx with pixel stride `ld_out`.
/// `workspace` holds the filters as panels: conv2d_gather_workspace() floats, which never decrease
/// with n. Two terms are one pass over one accumulator, but where a term's panels are larger than
/// the output: there the second adds to what the first has written.
struct Conv2dGather {
  Conv2dProblem problem;
  Conv2dDirection direction = Conv2dDirection::kForward;
  int terms = 1;
  Conv2dGatherTerm term[2];
  Conv2dEpilogue epilogue;
  float* out = nullptr;
  std::int64_t ld_out = 0;
  float* workspace = nullptr;
};

/// One term of a weight gradient.
struct Conv2dWeightTerm {
  const float* x = nullptr;
  std::int64_t ldx = 0;
  const float* dy = nullptr;
  std::int64_t ldy = 0;
};

/// dw[r,s,c,k] = Σ_t Σ_{n,p,q} x_t[n, p·stride_h − pad_h + r·dilation_h, …, c] · dy_t[n,p,q,k]
/// (plus the old dw if `accumulate`). With `squares` the gradient of each image is squared before
/// they are added: dw[r,s,c,k] = Σ_n (Σ_t Σ_{p,q} …)². `workspace`: conv2d_weight_workspace()
/// floats, which never decrease with n.
struct Conv2dWeightGradient {
  Conv2dProblem problem;
  int terms = 1;
  Conv2dWeightTerm term[2];
  bool accumulate = false;
  bool squares = false;
  float* dw = nullptr;
  float* workspace = nullptr;
};

}  // namespace curvseg
