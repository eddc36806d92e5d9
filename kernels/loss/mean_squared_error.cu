// Squared error over all elements, with its gradient, D = denominator[0]:
//
//   loss[0] = Σ (x − t)² / D  (+ old if `accumulate`),    dx = 2 (x − t) / D
//   hu      = 2 u / D                                      its Hessian times u
//   fu      = g (gᵀu) / D,  g = 2 (x − t)                  its empirical Fisher matrix, by pixels
//
// with t from a target tensor, or 1 at a pixel's label and 0 elsewhere; pixels without a label then
// add nothing. Overwrites dx, which may be nullptr, hu and fu. D = 0 gives loss 0, dx 0, hu 0 and
// fu 0. Squares and sums in double, fixed order. Source: torch.nn.MSELoss, which has D = the number
// of elements.
#include "loss/launchers.hpp"
#include "math/long_sum.hpp"

namespace curvseg::CURVSEG_TARGET {
namespace {

constexpr std::int64_t kElementsPerBlock = 16384;  // 64 KiB of each tensor

/// Element i of [pixels, channels] in memory with pixel stride ld. A dense tensor needs no
/// division, and its loop vectorises.
template <bool Dense>
__device__ __forceinline__ std::int64_t element_offset(std::int64_t i, int channels,
                                                       std::int64_t ld) {
  return Dense ? i : i / channels * ld + i % channels;
}

/// Where t comes from.
enum class Target { kDense, kStrided, kLabels };

/// x − t at element i, 0 where the pixel has no label.
template <Target Source>
__device__ __forceinline__ float error_at(const MeanSquaredError& p, std::int64_t i) {
  constexpr bool kDense = Source == Target::kDense;
  const float x = p.x[element_offset<kDense>(i, p.channels, p.ldx)];
  if constexpr (Source == Target::kLabels) {
    const std::int32_t label = p.labels[i / p.channels];
    if (label < 0 || label >= p.channels) return 0.0f;
    return x - (i % p.channels == label ? 1.0f : 0.0f);
  } else {
    return x - p.target[element_offset<kDense>(i, p.channels, p.ld_target)];
  }
}

template <Target Source, bool Gradient>
__global__ void mean_squared_error_kernel(MeanSquaredError p) {
  const Span span = block_span(p.pixels * p.channels);
  const float denominator = *p.denominator;
  const double share = thread_sum<double>(span.last - span.first, [&](std::int64_t at) {
    const std::int64_t i = span.first + at;
    const float error = error_at<Source>(p, i);
    if constexpr (Gradient)
      p.dx[element_offset<Source == Target::kDense>(i, p.channels, p.ld_dx)] =
          denominator == 0.0f ? 0.0f : 2.0f * error / denominator;
    return static_cast<double>(error) * static_cast<double>(error);
  });
  store_partial(share, block_shared<SumShared>().scratch, p.workspace);
}

template <bool Labelled>
__global__ void mean_squared_error_hessian_kernel(MeanSquaredErrorHessian p) {
  const float denominator = *p.denominator;
  for (const std::int64_t i : grid_range(p.pixels * p.channels)) {
    bool counts = denominator != 0.0f;
    if constexpr (Labelled) {
      const std::int32_t label = p.labels[i / p.channels];
      counts = counts && label >= 0 && label < p.channels;
    }
    const float u = p.u[element_offset<false>(i, p.channels, p.ldu)];
    p.hu[element_offset<false>(i, p.channels, p.ld_hu)] = counts ? 2.0f * u / denominator : 0.0f;
  }
}

/// A thread a pixel: its few channels are in the first-level cache after the first look.
__global__ void mean_squared_error_fisher_kernel(MeanSquaredErrorFisher p) {
  const float denominator = *p.denominator;
  for (const std::int64_t pixel : grid_range(p.pixels)) {
    const std::int32_t label = p.labels[pixel];
    const bool counts = denominator != 0.0f && label >= 0 && label < p.channels;
    const float* x = p.x + pixel * p.ldx;
    const float* u = p.u + pixel * p.ldu;
    float* fu = p.fu + pixel * p.ld_fu;
    float product = 0.0f;
    for (int c = 0; c < p.channels && counts; ++c)
      product += (x[c] - (c == label ? 1.0f : 0.0f)) * u[c];
    for (int c = 0; c < p.channels; ++c)
      fu[c] = counts ? 4.0f * (x[c] - (c == label ? 1.0f : 0.0f)) * product / denominator : 0.0f;
  }
}

template <Target Source>
void launch_sum(StreamHandle stream, dim3 grid, const MeanSquaredError& p) {
  if (p.dx)
    launch<mean_squared_error_kernel<Source, true>, SumShared>(stream, grid, kSumThreads, p);
  else
    launch<mean_squared_error_kernel<Source, false>, SumShared>(stream, grid, kSumThreads, p);
}

}  // namespace

std::int64_t mean_squared_error_workspace(const MeanSquaredError& p) {
  return sum_blocks(p.pixels * p.channels, kElementsPerBlock);
}

void mean_squared_error(StreamHandle stream, const MeanSquaredError& p) {
  const std::int64_t blocks = mean_squared_error_workspace(p);
  const bool dense = p.ldx == p.channels && p.ld_target == p.channels &&
                     (p.dx == nullptr || p.ld_dx == p.channels);
  if (blocks > 0) {
    const dim3 grid{static_cast<unsigned>(blocks), 1, 1};
    if (p.labels)
      launch_sum<Target::kLabels>(stream, grid, p);
    else if (dense)
      launch_sum<Target::kDense>(stream, grid, p);
    else
      launch_sum<Target::kStrided>(stream, grid, p);
  }
  finish_sum(stream, FinishSum{p.workspace, blocks, p.denominator, p.loss, p.accumulate});
}

void mean_squared_error_hessian(StreamHandle stream, const MeanSquaredErrorHessian& p) {
  const std::int64_t elements = p.pixels * p.channels;
  if (elements == 0) return;
  if (p.labels)
    launch<mean_squared_error_hessian_kernel<true>>(stream, grid_for(elements), kGridThreads, p);
  else
    launch<mean_squared_error_hessian_kernel<false>>(stream, grid_for(elements), kGridThreads, p);
}

void mean_squared_error_fisher(StreamHandle stream, const MeanSquaredErrorFisher& p) {
  if (p.pixels == 0 || p.channels == 0) return;
  launch<mean_squared_error_fisher_kernel>(stream, grid_for(p.pixels), kGridThreads, p);
}

}  // namespace curvseg::CURVSEG_TARGET
