// A step along the mean gradient over an estimate of the Hessian's diagonal, each element bounded,
// and the running mean of that estimate:
//
//   diagonal_mean:  h ← keep·h + take·c·(square ? d² : d)
//   column_means:   x[i, j] ← mean over i of |x[i, j]|
//   damped_diagonal_update:  m ← β₁m + (1−β₁)·clip·grad
//                            θ ← θ·(1 − f·η·decoupled_l2) − f·η·bound(m̂ / max(γ·q, ε))
//
// with m̂, q and bound as in update.hpp. Overwrites h, x, theta and m. Sources: Liu et al.,
// "Sophia", ICLR 2024, algorithm 3; Yao et al., "ADAHESSIAN", AAAI 2021, algorithm 1.
#include <cmath>

#include "exec/exec.hpp"
#include "quadratic/quadratic.hpp"
#include "update/launchers.hpp"
#include "update/regularise.hpp"

namespace curvseg::CURVSEG_TARGET {
namespace {

template <bool Square>
__global__ void diagonal_mean_kernel(DiagonalMean p) {
  const float keep = p.weights->keep;
  if (p.weights->take == 0.0f) return;  // a step that is rejected: d may be NaN
  const float take = p.weights->take * (p.coefficient != nullptr ? *p.coefficient : 1.0f);
  float* __restrict__ h = p.h;
  const float* __restrict__ d = p.d;
  for (const std::int64_t i : grid_range(p.n)) {
    const float value = Square ? d[i] * d[i] : d[i];
    h[i] = keep * h[i] + take * value;
  }
}

// A thread owns columns: a filter has few rows, and neighbours read neighbours.
__global__ void column_means_kernel(ColumnMeans p) {
  const float share = 1.0f / static_cast<float>(p.rows);
  for (const std::int64_t j : grid_range(p.columns)) {
    float sum = 0.0f;
    for (std::int64_t i = 0; i < p.rows; ++i) sum += fabsf(p.x[i * p.columns + j]);
    for (std::int64_t i = 0; i < p.rows; ++i) p.x[i * p.columns + j] = share * sum;
  }
}

template <bool Root>
__global__ void damped_diagonal_update_kernel(DampedDiagonalUpdate p) {
  const UpdateScalars scalars = *p.scalars;
  const float factor = p.factor != nullptr ? *p.factor : 1.0f;
  if (factor == 0.0f) return;  // gradient and norm may be NaN
  const float rate = factor * scalars.learning_rate;
  Regularisation terms;
  terms.decoupled_l2 = p.decoupled_l2;
  const Regulariser regulariser(terms, rate, scalars.max_norm, p.squared_norm);
  const float unbias = 1.0f / scalars.bias_correction1;
  const float weight = p.biased ? p.weights->weight : 1.0f;
  const float rest = 1.0f - p.beta1;
  const float largest = p.largest;
  float* __restrict__ theta = p.theta;
  float* __restrict__ mean = p.m;
  const float* __restrict__ h = p.h;
  const float* __restrict__ grad = p.grad;
  for (const std::int64_t i : grid_range(p.n)) {
    const float old = theta[i];
    const float m = p.beta1 * mean[i] + rest * regulariser.gradient(old, grad[i]);
    mean[i] = m;
    const float curvature = weight * h[i];
    const float scaled = p.gamma * (Root ? sqrtf(curvature) : curvature);
    // Written so that a NaN stays one, and is seen.
    const float denominator = scaled < p.epsilon ? p.epsilon : scaled;
    const float ratio = unbias * m / denominator;
    const float bounded = ratio < -largest ? -largest : ratio > largest ? largest : ratio;
    theta[i] = regulariser.step(old, rate * bounded);
  }
}

}  // namespace

void diagonal_mean(StreamHandle stream, const DiagonalMean& p) {
  if (p.n == 0) return;
  if (p.square)
    launch<diagonal_mean_kernel<true>>(stream, grid_for(p.n), kGridThreads, p);
  else
    launch<diagonal_mean_kernel<false>>(stream, grid_for(p.n), kGridThreads, p);
}

void column_means(StreamHandle stream, const ColumnMeans& p) {
  if (p.rows == 0 || p.columns == 0) return;
  launch<column_means_kernel>(stream, grid_for(p.columns), kGridThreads, p);
}

void damped_diagonal_update(StreamHandle stream, const DampedDiagonalUpdate& p) {
  if (p.n == 0) return;
  if (p.root)
    launch<damped_diagonal_update_kernel<true>>(stream, grid_for(p.n), kGridThreads, p);
  else
    launch<damped_diagonal_update_kernel<false>>(stream, grid_for(p.n), kGridThreads, p);
}

}  // namespace curvseg::CURVSEG_TARGET
