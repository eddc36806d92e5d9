// The decisions of a step from a two-dimensional quadratic model:
//
//   δ = −α·d + μ·p,   (α, μ) = argmin  g·δ + ½ δᵀ(G + λI)δ
//
// One thread: some fifty operations on numbers that lie on the device, so that no step waits for
// the host. In double, since differences of products cancel. Overwrites the state. Formulas,
// smoothing and trust region: quadratic.hpp.
#include <cmath>
#include <limits>

#include "exec/exec.hpp"
#include "quadratic/launchers.hpp"

namespace curvseg::CURVSEG_TARGET {
namespace {

__device__ __forceinline__ bool is_finite(double x) { return x - x == 0.0; }

__device__ __forceinline__ double clamp(double x, double low, double high) {
  return x < low ? low : x > high ? high : x;
}

/// mean ← the mean of all values so far with weights decay^age, `weight` the sum of those weights
/// times 1 − decay.
__device__ __forceinline__ void average_in(float& mean, float& weight, double decay, double value) {
  const double sum = decay * weight + (1.0 - decay);
  const double share = (1.0 - decay) / sum;
  mean = static_cast<float>((1.0 - share) * mean + share * value);
  weight = static_cast<float>(sum);
}

__device__ __forceinline__ bool is_finite(const float* x) {
  return x == nullptr || is_finite(double{*x});
}

/// Whether the loss is acceptable; if so it is taken into mean and variance. State: QuadraticState
/// or GuardState, Judge: what comes with it.
template <class Judge, class State>
__device__ __forceinline__ bool accept_loss(const Judge& p, State& s) {
  const double loss = *p.loss, mean = s.loss_mean;
  const bool can_undo = s.has_previous != 0.0f && s.loss_weight > 0.0f;
  const double usual = (double(p.factor) - 1.0) * mean + p.margin;
  const double scatter = double(p.deviations) * sqrt(double(s.loss_variance));
  const double limit = clamp(scatter, usual, 2.0 * usual);
  if (!is_finite(loss) || !is_finite(p.squared_norm) || (can_undo && loss - mean > limit)) {
    s.rejected += 1.0f;
    return false;
  }
  // What was accepted because nothing could be undone must not widen the limit for later ones.
  const double deviation =
      s.loss_weight > 0.0f ? clamp(loss - mean, -2.0 * usual, 2.0 * usual) : 0.0;
  float weight = s.loss_weight;
  average_in(s.loss_variance, weight, p.loss_smoothing, deviation * deviation);
  average_in(s.loss_mean, s.loss_weight, p.loss_smoothing, loss);
  return true;
}

__global__ void advance_mean_kernel(AdvanceMean p) {
  if (threadIdx.x != 0) return;
  MeanWeights& w = *p.weights;
  double take = 0.0;
  if ((p.accepted == nullptr || *p.accepted != 0.0f) && is_finite(p.squared_norm)) {
    const double sum = double(p.decay) * w.weight + (1.0 - p.decay);
    take = (1.0 - p.decay) / sum;
    w.weight = static_cast<float>(sum);
  }
  w.keep = static_cast<float>(1.0 - take);
  w.take = static_cast<float>(take);
  w.root_take = static_cast<float>(sqrt(take));
}

__global__ void judge_loss_kernel(JudgeLoss p) {
  if (threadIdx.x != 0) return;
  QuadraticState& s = *p.state;
  const bool accepted = accept_loss(p, s);
  s.accepted = accepted ? 1.0f : 0.0f;
  s.keep = 1.0f;
  s.take = 0.0f;
  if (!accepted) return;
  const double weight = double(p.momentum) * s.gradient_weight + (1.0 - p.momentum);
  const double share = (1.0 - p.momentum) / weight;
  s.keep = static_cast<float>(1.0 - share);
  s.take = static_cast<float>(share);
  s.gradient_weight = static_cast<float>(weight);
}

/// δ = −p, or nothing where there is no p.
__device__ __forceinline__ void take_back(QuadraticState& s) {
  s.along_d = 0.0f;
  s.along_p = -s.has_previous;
  s.alpha = s.mu = s.decrease = 0.0f;
  s.has_previous = 0.0f;
}

__device__ __forceinline__ void shrink_radius(const QuadraticStep& p, QuadraticState& s) {
  s.radius = (s.radius > 0.0f ? s.radius : p.largest_radius) * p.shrink;
}

/// The model's numbers along d and p.
struct Model {
  double curvature_d;  // dᵀGd
  double q_d, q_p;     // lengths in its metric; q_p = 0: there is no p
  double correlation;  // of −d and p
  double slope_d, slope_p;
};

__device__ __forceinline__ double positive_or_nan(double x) {
  return x > 0.0 ? x : std::numeric_limits<double>::quiet_NaN();
}

/// dᵀGd = κ·m·d, after a measured one was taken into κ; NaN where there is none yet, or the
/// measured one is not finite.
__device__ __forceinline__ double smoothed_curvature(const QuadraticStep& p, QuadraticState& s) {
  const double along = p.products[2];  // m·d
  const double measured = p.form != nullptr ? double{p.form[0]} : 0.0;
  const double kappa = measured / along;
  if (!is_finite(measured)) return measured - measured;
  if (kappa > 0.0 && is_finite(kappa))
    average_in(s.curvature, s.curvature_weight, p.curvature_smoothing, kappa);
  return positive_or_nan(s.curvature * along);
}

__device__ __forceinline__ Model model_of(const QuadraticStep& p, QuadraticState& s) {
  const double lambda = p.damping;
  Model m{};
  m.curvature_d = p.previous_direction ? positive_or_nan(p.form[0]) : smoothed_curvature(p, s);
  m.q_d = sqrt(m.curvature_d + lambda * p.products[1]);
  m.slope_d = p.products[0] / m.q_d;
  if (s.has_previous == 0.0f || !p.previous_direction) return m;
  const double curvature_p = p.form[2] + lambda * p.products[4];
  if (!(curvature_p > 0.0)) return m;
  m.q_p = sqrt(curvature_p);
  m.slope_p = -p.products[2] / m.q_p;
  m.correlation = clamp(-(p.form[1] + lambda * p.products[3]) / (m.q_d * m.q_p),
                        -p.largest_correlation, p.largest_correlation);
  return m;
}

/// Smooths the numbers of the model into the state and solves for α and μ.
__device__ __forceinline__ void solve(const QuadraticStep& p, const Model& m, QuadraticState& s) {
  average_in(s.slope_d, s.weight_d, p.smoothing, m.slope_d);
  double along_d = s.slope_d, mu = 0.0;
  if (m.q_p > 0.0) {
    float weight = s.weight_p;
    average_in(s.correlation, weight, p.smoothing, m.correlation);
    average_in(s.slope_p, s.weight_p, p.smoothing, m.slope_p);
    const double c = s.correlation;
    mu = clamp((s.slope_p - c * s.slope_d) / (1.0 - c * c) / m.q_p, 0.0, 1.0);
    along_d = s.slope_d - c * mu * m.q_p;
  }
  s.alpha = static_cast<float>(along_d > 0.0 ? along_d / m.q_d : 0.0);
  s.mu = static_cast<float>(mu);
}

__global__ void quadratic_step_kernel(QuadraticStep p) {
  if (threadIdx.x != 0) return;
  QuadraticState& s = *p.state;
  if (s.accepted == 0.0f) {
    take_back(s);
    return shrink_radius(p, s);
  }
  const Model m = model_of(p, s);
  const bool usable = is_finite(m.q_d) && m.q_d > 0.0 && is_finite(m.slope_d) &&
                      is_finite(m.slope_p) && is_finite(m.correlation);
  if (!usable) {  // no curvature, or numbers that overflowed: stay, and begin anew
    s.along_d = s.along_p = s.alpha = s.mu = s.decrease = s.has_previous = 0.0f;
    return;
  }
  solve(p, m, s);
  const double radius = s.radius > 0.0f ? double(s.radius) * p.grow : double(p.largest_radius);
  s.radius = static_cast<float>(radius < p.largest_radius ? radius : double(p.largest_radius));
  const double alpha = s.alpha, mu = s.mu;
  double change = 0.5 * alpha * alpha * m.curvature_d;
  if (m.q_p > 0.0) change += 0.5 * mu * (mu * p.form[2] - 2.0 * alpha * p.form[1]);
  double scale = change > s.radius ? sqrt(s.radius / change) : 1.0;
  if (p.factor != nullptr) scale *= *p.factor;
  const double length_d = alpha * m.q_d * scale, length_p = mu * m.q_p * scale;
  s.decrease = static_cast<float>(length_d * m.slope_d + length_p * m.slope_p -
                                  0.5 * (length_d * length_d + length_p * length_p) -
                                  length_d * length_p * m.correlation);
  s.along_d = static_cast<float>(-alpha * scale);
  s.along_p = static_cast<float>(mu * scale);
  s.has_previous = s.along_d != 0.0f || s.along_p != 0.0f ? 1.0f : 0.0f;
}

__device__ __forceinline__ void measure_rate(const RateStep& p, RateState& r) {
  const double slope = p.products[0], curvature = p.form[0];
  if (!is_finite(slope) || !is_finite(curvature) || !(curvature > 0.0)) return;
  r.slope += static_cast<float>(slope > 0.0 ? slope : 0.0);
  r.curvature += static_cast<float>(curvature);
  r.steps += 1.0f;
  if (!(r.curvature > 0.0f)) return;
  const double best = double(p.fraction) * r.slope / r.curvature;
  const double most = sqrt(2.0 * p.largest_change * r.steps / r.curvature);
  const float trust = r.trust > 0.0f ? r.trust : 1.0f;
  r.rate = static_cast<float>(trust * (best < most ? best : most));
}

__device__ __forceinline__ void halve(RateState& r) {
  if (r.rate > 0.0f) r.trust = 0.5f * (r.trust > 0.0f ? r.trust : 1.0f);
  r.rate *= 0.5f;
}

__global__ void rate_step_kernel(RateStep p) {
  if (threadIdx.x != 0) return;
  QuadraticState& s = *p.state;
  if (s.accepted == 0.0f) {
    halve(*p.rate);
    return take_back(s);
  }
  if (p.form != nullptr) measure_rate(p, *p.rate);
  const double rate = p.rate->rate * (p.factor != nullptr ? double(*p.factor) : 1.0);
  s.alpha = static_cast<float>(rate);
  s.along_d = static_cast<float>(-rate);
  s.along_p = s.mu = 0.0f;
  s.has_previous = rate > 0.0 ? 1.0f : 0.0f;
}

__global__ void guard_step_kernel(GuardStep p) {
  if (threadIdx.x != 0) return;
  GuardState& s = *p.state;
  const bool accepted = accept_loss(p, s);
  const float trust = s.trust > 0.0f ? s.trust : 1.0f;
  s.accepted = accepted ? 1.0f : 0.0f;
  s.undo = accepted ? 0.0f : s.has_previous;
  s.keep = 1.0f - s.undo;
  s.has_previous = s.accepted;
  if (!accepted) {
    s.trust = trust * p.shrink;
    s.rate = 0.0f;
    return;
  }
  s.rate = trust;
  s.trust = trust * p.grow < 1.0f ? trust * p.grow : 1.0f;
}

constexpr int kThreads = kStagedOperands ? 32 : 1;  // a warp is the least that a GPU runs

}  // namespace

void advance_mean(StreamHandle stream, const AdvanceMean& p) {
  launch<advance_mean_kernel>(stream, dim3{1, 1, 1}, kThreads, p);
}

void judge_loss(StreamHandle stream, const JudgeLoss& p) {
  launch<judge_loss_kernel>(stream, dim3{1, 1, 1}, kThreads, p);
}

void quadratic_step(StreamHandle stream, const QuadraticStep& p) {
  launch<quadratic_step_kernel>(stream, dim3{1, 1, 1}, kThreads, p);
}

void rate_step(StreamHandle stream, const RateStep& p) {
  launch<rate_step_kernel>(stream, dim3{1, 1, 1}, kThreads, p);
}

void guard_step(StreamHandle stream, const GuardStep& p) {
  launch<guard_step_kernel>(stream, dim3{1, 1, 1}, kThreads, p);
}

}  // namespace curvseg::CURVSEG_TARGET
