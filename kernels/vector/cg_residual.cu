// The residual of conjugate gradients from a product with x itself, and directions from residuals:
//
//   cg_begin:      r = b − q;  sums rᵀr, rᵀz, xᵀ(b + r), bᵀb      q = A·x, z = weights ∘ r
//                  no q: x = 0, r = b
//   cg_residual:   r = b − q;  sums rᵀr, rᵀz, xᵀ(b + r); ends an iteration
//   cg_direction:  p = z + β·p
//
// Overwrite r (and x, without q), p, and scalars.
#include "vector/cg_scalars.hpp"
#include "vector/launchers.hpp"

namespace curvseg::CURVSEG_TARGET {
namespace {

template <bool Weighted>
__device__ __forceinline__ float preconditioned(const CgProblem& p, std::int64_t i, float r) {
  if constexpr (Weighted) return p.weights[i] * r;
  return r;
}

template <bool Weighted, int Sums>
__global__ void residual_kernel(CgProblem p) {
  if (p.scalars->stopped != CgStop::kRunning) return;
  float* __restrict__ const r = p.r;
  const float* __restrict__ const q = p.product;
  const float* __restrict__ const b = p.b;
  double share[Sums];
  update_and_sum<Weighted>(share, block_span(p.n), p, [&](std::int64_t i) {
    const float residual = b[i] - q[i];
    r[i] = residual;
    return CgValues{p.x[i], residual, preconditioned<Weighted>(p, i, residual), b[i]};
  });
  store_partials(share, p.workspace);
}

template <bool Weighted>
__global__ void zero_start_kernel(CgProblem p) {
  float* __restrict__ const x = p.x;
  float* __restrict__ const r = p.r;
  const float* __restrict__ const b = p.b;
  double share[CgProblem::kSums];
  update_and_sum<Weighted>(share, block_span(p.n), p, [&](std::int64_t i) {
    const float residual = b[i];
    x[i] = 0.0f;
    r[i] = residual;
    return CgValues{0.0f, residual, preconditioned<Weighted>(p, i, residual), residual};
  });
  store_partials(share, p.workspace);
}

__global__ void begin_kernel(CgProblem p) {
  double sum[CgProblem::kSums];
  add_partials(sum, p.workspace, cg_blocks(p.n));
  if (threadIdx.x != 0) return;
  p.scalars->bb = sum[3];
  p.scalars->scale = sum[3] > 0.0 ? sum[3] : sum[0];
  p.scalars->beta = 0.0;
  judge(p, sum[0], sum[1], sum[2]);
}

template <bool Weighted>
__global__ void direction_kernel(CgProblem p) {
  if (p.scalars->stopped != CgStop::kRunning) return;
  const float beta = static_cast<float>(p.scalars->beta);
  float* __restrict__ const direction = p.p;
  const float* __restrict__ const r = p.r;
  if (p.scalars->iteration == 0) {  // what p holds is no direction yet, maybe NaN
    for (const std::int64_t i : grid_range(p.n))
      direction[i] = preconditioned<Weighted>(p, i, r[i]);
  } else {
    for (const std::int64_t i : grid_range(p.n))
      direction[i] = preconditioned<Weighted>(p, i, r[i]) + beta * direction[i];
  }
}

}  // namespace

std::int64_t cg_workspace(const CgProblem& p) {
  constexpr std::int64_t kFloats = sizeof(double) / sizeof(float);
  return kFloats * CgProblem::kSums * cg_blocks(p.n);
}

void cg_begin(StreamHandle stream, const CgProblem& p) {
  const dim3 grid{static_cast<unsigned>(cg_blocks(p.n)), 1, 1};
  if (p.n > 0) {
    if (p.product && p.weights)
      launch<residual_kernel<true, 4>, SumShared>(stream, grid, kSumThreads, p);
    else if (p.product)
      launch<residual_kernel<false, 4>, SumShared>(stream, grid, kSumThreads, p);
    else if (p.weights)
      launch<zero_start_kernel<true>, SumShared>(stream, grid, kSumThreads, p);
    else
      launch<zero_start_kernel<false>, SumShared>(stream, grid, kSumThreads, p);
  }
  launch<begin_kernel, SumShared>(stream, dim3{1, 1, 1}, kSumThreads, p);
}

void cg_residual(StreamHandle stream, const CgProblem& p) {
  const dim3 grid{static_cast<unsigned>(cg_blocks(p.n)), 1, 1};
  if (p.n > 0 && p.weights)
    launch<residual_kernel<true, 3>, SumShared>(stream, grid, kSumThreads, p);
  else if (p.n > 0)
    launch<residual_kernel<false, 3>, SumShared>(stream, grid, kSumThreads, p);
  end_iteration(stream, p);
}

void cg_direction(StreamHandle stream, const CgProblem& p) {
  if (p.n == 0) return;
  if (p.weights)
    launch<direction_kernel<true>>(stream, grid_for(p.n), kGridThreads, p);
  else
    launch<direction_kernel<false>>(stream, grid_for(p.n), kGridThreads, p);
}

}  // namespace curvseg::CURVSEG_TARGET
