// One step of Adam, with g and θ ← … as in regularise.hpp:
//
//   m ← β₁m + (1−β₁)g,  v ← β₂v + (1−β₂)g²
//   step = η · (m / bias_correction1) / (√(v / bias_correction2) + ε)
//
// Overwrites theta, m and v. Source: Kingma and Ba, ICLR 2015, algorithm 1; with decoupled_l2
// AdamW, Loshchilov and Hutter, ICLR 2019, algorithm 2.
#include <cmath>

#include "exec/exec.hpp"
#include "update/launchers.hpp"
#include "update/regularise.hpp"

namespace curvseg::CURVSEG_TARGET {
namespace {

__global__ void adam_kernel(AdamUpdate p) {
  if (overflowed(p.squared_norm)) return;
  const UpdateScalars scalars = *p.scalars;
  const Regulariser regulariser(p.regularisation, scalars.learning_rate, scalars.max_norm,
                                p.squared_norm);
  const float rate = scalars.learning_rate / scalars.bias_correction1;
  const float correction = 1.0f / scalars.bias_correction2;
  const float rest1 = 1.0f - p.beta1;
  const float rest2 = 1.0f - p.beta2;
  float* __restrict__ theta = p.theta;
  float* __restrict__ first = p.m;
  float* __restrict__ second = p.v;
  const float* __restrict__ grad = p.grad;
  for (const std::int64_t i : grid_range(p.n)) {
    const float old = theta[i];
    const float g = regulariser.gradient(old, grad[i]);
    const float m = p.beta1 * first[i] + rest1 * g;
    const float v = p.beta2 * second[i] + rest2 * (g * g);
    first[i] = m;
    second[i] = v;
    theta[i] = regulariser.step(old, rate * m / (sqrtf(v * correction) + p.epsilon));
  }
}

}  // namespace

void adam_update(StreamHandle stream, const AdamUpdate& p) {
  if (p.n == 0) return;
  launch<adam_kernel>(stream, grid_for(p.n), kGridThreads, p);
}

}  // namespace curvseg::CURVSEG_TARGET
