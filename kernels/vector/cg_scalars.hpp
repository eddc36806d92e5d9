// What one thread decides between the passes of conjugate gradients; cg.hpp has the formulae.
#pragma once

#include <cmath>

#include "vector/cg.hpp"
#include "vector/cg_sums.hpp"

namespace curvseg::CURVSEG_TARGET {

__device__ __forceinline__ bool is_finite(double value) { return value - value == 0.0; }

/// τ ≥ 0 with ‖x + τ·p‖ = radius, for ‖x‖ ≤ radius.
__device__ __forceinline__ double to_boundary(double radius, double xp, double pp, double xx) {
  double left = radius * radius - xx;
  left = left > 0.0 ? left : 0.0;  // rounding may have put x a little outside
  const double root = sqrt(xp * xp + pp * left);
  // Each form adds what has one sign: no digits cancel.
  return xp > 0.0 ? left / (xp + root) : (root - xp) / pp;
}

/// α, and what becomes of the step. The last three sums count in a trust region only.
__device__ __forceinline__ void choose_step_length(const CgProblem& p, double pap, double xp,
                                                   double pp, double xx) {
  CgScalars& s = *p.scalars;
  s.slot = s.kept < p.slots && p.keep_at[s.kept] == s.iteration + 1 ? s.kept : -1;
  s.alpha = s.rz / pap;
  const bool negative = pap <= 0.0;
  if (p.truncated) {
    const double limit = to_boundary(s.radius, xp, pp, xx);
    if (negative || !(s.alpha < limit)) {
      s.alpha = limit;
      s.last = negative ? CgStop::kNegativeCurvature : CgStop::kBoundary;
    }
  }
  if (!is_finite(pap))
    s.stopped = CgStop::kNotFinite;
  else if (negative && !p.truncated)
    s.stopped = CgStop::kNegativeCurvature;
  else if (!is_finite(static_cast<float>(s.alpha)))
    s.stopped = CgStop::kNotFinite;
}

/// Martens' rule after iteration i: the model gains less than ε an iteration, relative to itself.
__device__ __forceinline__ bool model_is_flat(const CgProblem& p, int i) {
  const int k = max_of(p.window, (i + 9) / 10);
  if (!(p.epsilon > 0.0) || i <= k || !(p.phi[i] < 0.0)) return false;
  return (p.phi[i] - p.phi[i - k]) / p.phi[i] < k * p.epsilon;
}

/// Enters the sums of the residual after `s.iteration` iterations and decides whether to go on.
__device__ __forceinline__ void judge(const CgProblem& p, double rr, double rz, double xbr) {
  CgScalars& s = *p.scalars;
  s.rr = rr;
  s.rz = rz;
  s.phi = -0.5 * xbr;
  p.phi[s.iteration] = s.phi;
  if (!is_finite(rr) || !is_finite(rz) || !is_finite(s.phi))
    s.stopped = CgStop::kNotFinite;
  else if (s.last != CgStop::kRunning)
    s.stopped = s.last;
  else if (s.tolerance > 0.0 && rr <= s.tolerance * s.tolerance * s.bb)
    s.stopped = CgStop::kResidual;
  else if (rr <= CgProblem::kRounding * CgProblem::kRounding * s.scale || rz == 0.0)
    s.stopped = CgStop::kConverged;
  else if (model_is_flat(p, s.iteration))
    s.stopped = CgStop::kModel;
  else if (s.iteration >= p.max_iterations)
    s.stopped = CgStop::kIterations;
}

/// After a pass that left the partial sums of rᵀr, rᵀz and xᵀ(b + r).
static __global__ void end_iteration_kernel(CgProblem p) {
  CgScalars& s = *p.scalars;
  if (s.stopped != CgStop::kRunning) return;
  double sum[3];
  add_partials(sum, p.workspace, cg_blocks(p.n));
  if (threadIdx.x != 0) return;
  s.beta = sum[1] / s.rz;
  ++s.iteration;
  if (s.slot >= 0) ++s.kept;
  judge(p, sum[0], sum[1], sum[2]);
}

inline void end_iteration(StreamHandle stream, const CgProblem& p) {
  launch<end_iteration_kernel, SumShared>(stream, dim3{1, 1, 1}, kSumThreads, p);
}

}  // namespace curvseg::CURVSEG_TARGET
