// A step of conjugate gradients along p, fused with what the next one needs to know:
//
//   cg_step:   x += α·p;  r −= α·q;  sums rᵀr, rᵀz, xᵀ(b + r)     q = A·p, z = weights ∘ r
//   cg_move:   x += α·p
//
// Both store x among the kept iterates where this iteration is one to keep. Overwrite x, r and
// scalars. One pass: 5 vectors read (6 with weights), 2 written.
#include "vector/cg_scalars.hpp"
#include "vector/launchers.hpp"

namespace curvseg::CURVSEG_TARGET {
namespace {

template <bool Weighted, bool Keep>
__device__ __forceinline__ void step(const CgProblem& p, double* workspace) {
  const float alpha = static_cast<float>(p.scalars->alpha);
  float* __restrict__ const x = p.x;
  float* __restrict__ const r = p.r;
  float* __restrict__ const kept = Keep ? p.kept + p.scalars->slot * p.n : nullptr;
  const float* __restrict__ const direction = p.p;
  const float* __restrict__ const q = p.product;
  const auto weighted = [&](std::int64_t i, float residual) {
    if constexpr (Weighted) return p.weights[i] * residual;
    return residual;
  };
  double share[3];
  update_and_sum<Weighted>(share, block_span(p.n), p, [&](std::int64_t i) {
    const float residual = r[i] - alpha * q[i];
    const float moved = x[i] + alpha * direction[i];
    const CgValues values{moved, residual, weighted(i, residual), p.b[i]};
    r[i] = residual;
    x[i] = moved;
    if constexpr (Keep) kept[i] = moved;
    return values;
  });
  store_partials(share, workspace);
}

template <bool Weighted>
__global__ void step_kernel(CgProblem p) {
  if (p.scalars->stopped != CgStop::kRunning) return;
  if (p.scalars->slot < 0)
    step<Weighted, false>(p, p.workspace);
  else
    step<Weighted, true>(p, p.workspace);
}

__global__ void move_kernel(CgProblem p) {
  if (p.scalars->stopped != CgStop::kRunning) return;
  const float alpha = static_cast<float>(p.scalars->alpha);
  float* __restrict__ const x = p.x;
  const float* __restrict__ const direction = p.p;
  if (p.scalars->slot < 0) {
    for (const std::int64_t i : grid_range(p.n)) x[i] += alpha * direction[i];
  } else {
    float* __restrict__ const kept = p.kept + p.scalars->slot * p.n;
    for (const std::int64_t i : grid_range(p.n)) x[i] = kept[i] = x[i] + alpha * direction[i];
  }
}

}  // namespace

void cg_step(StreamHandle stream, const CgProblem& p) {
  const dim3 grid{static_cast<unsigned>(cg_blocks(p.n)), 1, 1};
  if (p.n > 0 && p.weights)
    launch<step_kernel<true>, SumShared>(stream, grid, kSumThreads, p);
  else if (p.n > 0)
    launch<step_kernel<false>, SumShared>(stream, grid, kSumThreads, p);
  end_iteration(stream, p);
}

void cg_move(StreamHandle stream, const CgProblem& p) {
  if (p.n > 0) launch<move_kernel>(stream, grid_for(p.n), kGridThreads, p);
}

}  // namespace curvseg::CURVSEG_TARGET
