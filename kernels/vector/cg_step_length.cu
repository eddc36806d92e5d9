// The step length of conjugate gradients, and how far the trust region lets it go:
//
//   α = rᵀz / pᵀA·p;  truncated: at most τ with ‖x + τ·p‖ = radius, and τ where pᵀA·p ≤ 0
//
// Overwrites scalars. The norm is summed here and not carried along in recurrences: it costs one
// more vector to read and stays right when rounding has bent the directions.
#include "math/product_sums.hpp"
#include "vector/cg_scalars.hpp"
#include "vector/launchers.hpp"

namespace curvseg::CURVSEG_TARGET {
namespace {

/// With a trust region also the products of x and p in its norm.
template <bool Truncated, bool Weighted>
__global__ void curvature_kernel(CgProblem p) {
  if (p.scalars->stopped != CgStop::kRunning) return;
  constexpr int kSums = Truncated ? 4 : 1;
  const Span span = block_span(p.n);
  double share[kSums];
  if constexpr (!Truncated) {
    const float* const direction[1] = {p.p};
    const float* const product[1] = {p.product};
    thread_products(share, span.first, span.last - span.first, direction, product);
    return store_partials(share, p.workspace);
  }
  thread_sums(share, span.last - span.first, [&](std::int64_t offset, int j) {
    const std::int64_t i = span.first + offset;
    const double step = p.p[i];
    if (j == 0) return step * p.product[i];
    const double x = p.x[i];
    double metric = 1.0;
    if constexpr (Weighted) metric = p.weights[i] > 0.0f ? 1.0 / p.weights[i] : 0.0;
    return metric * (j == 1 ? x * step : j == 2 ? step * step : x * x);
  });
  store_partials(share, p.workspace);
}

template <bool Truncated>
__global__ void step_length_kernel(CgProblem p) {
  if (p.scalars->stopped != CgStop::kRunning) return;
  double sum[Truncated ? 4 : 1];
  add_partials(sum, p.workspace, cg_blocks(p.n));
  if (threadIdx.x != 0) return;
  if constexpr (Truncated)
    choose_step_length(p, sum[0], sum[1], sum[2], sum[3]);
  else
    choose_step_length(p, sum[0], 0.0, 0.0, 0.0);
}

}  // namespace

void cg_step_length(StreamHandle stream, const CgProblem& p) {
  const dim3 grid{static_cast<unsigned>(cg_blocks(p.n)), 1, 1}, one{1, 1, 1};
  const bool weighted = p.weighted_norm && p.weights;
  if (!p.truncated) {
    if (p.n > 0) launch<curvature_kernel<false, false>, SumShared>(stream, grid, kSumThreads, p);
    return launch<step_length_kernel<false>, SumShared>(stream, one, kSumThreads, p);
  }
  if (p.n > 0 && weighted)
    launch<curvature_kernel<true, true>, SumShared>(stream, grid, kSumThreads, p);
  else if (p.n > 0)
    launch<curvature_kernel<true, false>, SumShared>(stream, grid, kSumThreads, p);
  launch<step_length_kernel<true>, SumShared>(stream, one, kSumThreads, p);
}

}  // namespace curvseg::CURVSEG_TARGET
