// Steps from a two-dimensional quadratic model, decided on the device. Plain C++.
//
// Along a new direction d and the previous step p, with the Gauss-Newton matrix G of the batch,
//
//   δ = −α·d + μ·p,   φ(α, μ) = g·δ + ½ δᵀ(G + λI)δ,   (α, μ) = argmin φ
//
// Source: Martens and Grosse, "Optimizing Neural Networks with Kronecker-factored Approximate
// Curvature", ICML 2015, section 7 (momentum from the same model), with its numbers smoothed over
// steps, a trust region in nats, and steps that are taken back.
#pragma once

namespace curvseg {

/// Everything that such a method remembers and decides, one float each, in device memory. Zero
/// before the first step.
struct QuadraticState {
  // Remembered. Means of normalised numbers, with the weight that they have gathered.
  float correlation = 0.0f;                    // of d and p in the metric of the model
  float slope_d = 0.0f, slope_p = 0.0f;        // −dφ along the unit vectors of d and p
  float weight_d = 0.0f, weight_p = 0.0f;      // 1 − smoothing^steps of each
  float loss_mean = 0.0f, loss_weight = 0.0f;  // of accepted steps
  float loss_variance = 0.0f;
  float gradient_weight = 0.0f;                     // 1 − momentum^steps
  float curvature = 0.0f, curvature_weight = 0.0f;  // mean of dᵀGd / m·d where it was measured
  float radius = 0.0f;                              // of the trust region, nats; 0: none yet
  float has_previous = 0.0f;                        // 1: p is the last step
  float rejected = 0.0f;                            // steps taken back so far
  // Decided by JudgeLoss.
  float accepted = 0.0f;           // 0: the last step is taken back
  float keep = 0.0f, take = 0.0f;  // mean gradient ← keep·it + take·gradient
  // Decided by QuadraticStep: δ = along_d·d + along_p·p.
  float along_d = 0.0f, along_p = 0.0f;
  float alpha = 0.0f, mu = 0.0f;  // the solution, before the trust region
  float decrease = 0.0f;          // −φ(δ) of the model, without the smoothing of c, s_d and s_p

  static constexpr int kFloats = 22;
};
static_assert(sizeof(QuadraticState) == QuadraticState::kFloats * sizeof(float));

/// Is the loss that the last step led to acceptable?
///
///   accepted = loss and *squared_norm are finite, and where a step can be undone
///              loss − mean ≤ clamp(deviations·√variance, usual, 2·usual),
///              usual = (factor − 1)·mean + margin
///   mean ← mean of accepted losses, weights loss_smoothing^age
///   variance ← mean of (loss − mean before it)², likewise; no deviation counts beyond 2·usual
///   keep, take: of a mean of gradients with weights momentum^age that sum to 1; 1, 0 if rejected
///
/// Without the variance, batches that are merely hard would count as steps that failed wherever
/// batches differ much, and their gradients would be left out of the training. Without the bound, a
/// loss that grows step by step would widen its own limit. A gradient that overflows under a finite
/// loss is worth as little as a loss that is not finite: it would stay in every mean for ever.
struct JudgeLoss {
  const float* loss = nullptr;          // device
  const float* squared_norm = nullptr;  // device, of the gradient; nullptr: not looked at
  QuadraticState* state = nullptr;
  float factor = 1.5f, margin = 0.1f;
  float deviations = 4.0f;
  float loss_smoothing = 0.9f;
  float momentum = 0.7f;
};

/// A mean over steps that takes something in: with weights decay^age that sum to 1,
/// mean ← keep·mean + take·value. Rejected values leave it as it is.
struct MeanWeights {
  float weight = 0.0f;  // 1 − decay^values so far; 0 before the first
  float keep = 0.0f, take = 0.0f;
  float root_take = 0.0f;  // √take: what factors of a product of two are scaled by

  static constexpr int kFloats = 4;
};
static_assert(sizeof(MeanWeights) == MeanWeights::kFloats * sizeof(float));

/// The weights for the next value; keep 1 and take 0 where *accepted is 0 or *squared_norm, of the
/// value, is not finite.
struct AdvanceMean {
  const float* accepted = nullptr;      // device; nullptr: yes
  const float* squared_norm = nullptr;  // device; nullptr: it is finite
  MeanWeights* weights = nullptr;       // device
  float decay = 0.95f;
};

/// (α, μ), the trust region, and along_d, along_p. With q = √(curvature) of each direction:
///
///   c = clamp(−dᵀ(G+λI)p / (q_d q_p)),  s_d = g·d / q_d,  s_p = −g·p / q_p,  each smoothed
///   (α q_d, μ q_p) = [1 c; c 1]⁻¹ (s_d, s_p);  μ clamped to [0, 1], α re-solved; α ≥ 0
///   ½δᵀGδ ≤ radius, else δ is scaled down to it
///
/// A rejected step gives δ = −p, which undoes it, and a radius reduced by `shrink`; an accepted one
/// lets the radius grow back by `grow`, up to `largest_radius`.
///
/// Without the previous direction, and m the mean gradient of which d = P⁻¹m is made, the model has
///
///   dᵀGd = κ · m·d,   κ = mean of (dᵀGd / m·d) where it was measured, weights
///   curvature_smoothing^age
///
/// which is right while P and G are proportional along d, and in the length of d always: a measured
/// κ is of few images, and serves steps that measure none. One of 0, as of images without a label,
/// does not count: the mean of earlier ones does.
///
/// With a curvature dᵀGd that is not above 0 nothing would bound the step: it stays. So it does
/// with numbers that are not finite.
struct QuadraticStep {
  // Device: dᵀGd, and with p: dᵀGp, pᵀGp. nullptr, only without p: nothing was measured.
  const float* form = nullptr;
  // Device: g·d, d·d, and with p: g·p, d·p, p·p, without: m·d.
  const float* products = nullptr;
  const float* factor = nullptr;  // device: δ is multiplied by it; nullptr: 1
  QuadraticState* state = nullptr;
  bool previous_direction = true;    // false: the model is of d alone, μ = 0
  float damping = 0.01f;             // λ
  float smoothing = 0.8f;            // of c, s_d, s_p
  float curvature_smoothing = 0.0f;  // of κ
  float largest_correlation = 0.95f;
  float largest_radius = 0.05f;
  float shrink = 0.25f, grow = 1.1f;
};

/// A learning rate that curvature measures, for directions that are not scaled by it.
struct RateState {
  float slope = 0.0f;      // Σ max(g·d, 0) of the steps measured, those with a dᵀGd above 0
  float curvature = 0.0f;  // Σ dᵀGd
  float steps = 0.0f;
  float rate = 0.0f;
  float trust = 0.0f;  // that the measured rate is shortened by; 0: 1, none yet

  static constexpr int kFloats = 5;
};
static_assert(sizeof(RateState) == RateState::kFloats * sizeof(float));

/// δ = −factor·rate·d, or −p where the last step is rejected. With a form the rate is first
/// measured anew over all steps so far:
///
///   rate = trust · min(fraction · Σ max(g·d, 0) / Σ dᵀGd,  √(2·largest_change / mean dᵀGd))
///
/// The second bound keeps the mean change of the model's output, ½δᵀGδ in nats, small. A rejected
/// step of this rate halves trust and rate, also while the rate is measured; one of another method,
/// before there was a rate, does not.
struct RateStep {
  const float* form = nullptr;      // device: dᵀGd; nullptr: the rate stays
  const float* products = nullptr;  // device: g·d
  const float* factor = nullptr;    // device; nullptr: 1
  QuadraticState* state = nullptr;
  RateState* rate = nullptr;
  float fraction = 0.5f;
  float largest_change = 0.01f;
};

/// What a method with steps of a given length remembers so that it can take one back, one float
/// each, in device memory. Zero before the first step.
struct GuardState {
  float loss_mean = 0.0f, loss_weight = 0.0f;  // of accepted steps
  float loss_variance = 0.0f;
  float has_previous = 0.0f;  // 1: the theta before the last step is kept
  float trust = 0.0f;         // that steps are shortened by; 0: 1, none yet
  float rejected = 0.0f;      // steps taken back so far
  // Decided by GuardStep.
  float accepted = 0.0f;           // of the gradient: 0 or 1
  float keep = 0.0f, undo = 0.0f;  // theta ← keep·theta + undo·(theta before the last step)
  float rate = 0.0f;               // factor of the step; 0 where the last one is taken back

  static constexpr int kFloats = 10;
};
static_assert(sizeof(GuardState) == GuardState::kFloats * sizeof(float));

/// Is the loss that the last step led to acceptable? By the rule of JudgeLoss. If not, the last
/// step is taken back and nothing else is done, and later steps are shorter by `shrink`; each one
/// that is accepted lengthens the next by `grow`, up to their full length.
struct GuardStep {
  const float* loss = nullptr;          // device
  const float* squared_norm = nullptr;  // device, of the gradient; nullptr: not looked at
  GuardState* state = nullptr;
  float factor = 1.5f, margin = 0.1f;
  float deviations = 4.0f;
  float loss_smoothing = 0.9f;
  float shrink = 0.5f, grow = 1.1f;
};

}  // namespace curvseg
