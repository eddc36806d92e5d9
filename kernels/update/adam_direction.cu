// The direction of Adam without its step:
//
//   m ← β₁m + (1−β₁)g,  v ← β₂v + (1−β₂)g²
//   to = (m / bias_correction1) / (√(v / bias_correction2) + ε)
//
// Overwrites m, v and `to`, which may be g. What SOAP does in its rotated space (Vyas et al., ICLR
// 2025, algorithm 3), and what it and Muon do with parameters that are no matrices.
#include <cmath>

#include "exec/exec.hpp"
#include "update/launchers.hpp"

namespace curvseg::CURVSEG_TARGET {
namespace {

__global__ void adam_direction_kernel(AdamDirection p) {
  const float unbias1 = 1.0f / p.scalars->bias_correction1;
  const float unbias2 = 1.0f / p.scalars->bias_correction2;
  const float rest1 = 1.0f - p.beta1;
  const float rest2 = 1.0f - p.beta2;
  float* __restrict__ first = p.m;
  float* __restrict__ second = p.v;
  for (const std::int64_t i : grid_range(p.n)) {
    const float g = p.grad[i];
    const float m = p.beta1 * first[i] + rest1 * g;
    const float v = p.beta2 * second[i] + rest2 * (g * g);
    first[i] = m;
    second[i] = v;
    p.to[i] = unbias1 * m / (sqrtf(v * unbias2) + p.epsilon);
  }
}

}  // namespace

void adam_direction(StreamHandle stream, const AdamDirection& p) {
  if (p.n == 0) return;
  launch<adam_direction_kernel>(stream, grid_for(p.n), kGridThreads, p);
}

}  // namespace curvseg::CURVSEG_TARGET
