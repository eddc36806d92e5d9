// First-order parameter updates over flat memory. Plain C++.
//
// Whatever changes between steps lies in device memory (UpdateScalars): a step is the same launches
// with the same arguments.
#pragma once

#include <cstdint>
#include <limits>

namespace curvseg {

struct MeanWeights;  // quadratic/quadratic.hpp

/// Written by the host before a step, read by the kernels of that step.
struct UpdateScalars {
  float learning_rate = 0.0f;
  float bias_correction1 = 1.0f;  // 1 − β₁^t
  float bias_correction2 = 1.0f;  // 1 − β₂^t
  float max_norm = 0.0f;          // clip the gradient's norm to this; 0: do not clip
};

/// norm[0] = Σ_i x_i² (not its root). Fixed order. Overwrites.
struct SquaredNorm {
  const float* x = nullptr;
  std::int64_t n = 0;
  float* norm = nullptr;
  float* workspace = nullptr;
};

/// How a parameter is pulled towards zero. Coupled terms join the gradient before the method sees
/// it; decoupled ones act on theta beside it.
struct Regularisation {
  float l1 = 0.0f;            // coupled subgradient: g += l1·sign(θ)
  float l2 = 0.0f;            // coupled: g += l2·θ
  float decoupled_l2 = 0.0f;  // θ ← θ·(1 − η·decoupled_l2), before the step (AdamW, SGDW)
  float proximal_l1 = 0.0f;   // after the step: θ ← sign(θ)·max(|θ| − η·proximal_l1, 0)
};

/// One step of stochastic gradient descent, PyTorch's convention (dampening 0):
///   g ← clip · grad + l2·θ + l1·sign θ;   m ← momentum·m + g (m = g at the first step)
///   θ ← θ − η·(nesterov ? g + momentum·m : m)
/// with clip = min(1, max_norm / √squared_norm) where squared_norm is given. Where that is not
/// finite nothing is done: a gradient that overflowed would stay in the momentum for ever.
/// `momentum_buffer` (zero before the first step) may be nullptr when momentum is 0.
struct SgdUpdate {
  std::int64_t n = 0;
  float* theta = nullptr;
  const float* grad = nullptr;
  float* momentum_buffer = nullptr;
  const UpdateScalars* scalars = nullptr;  // device
  const float* squared_norm = nullptr;     // device, may be nullptr
  float momentum = 0.0f;
  bool nesterov = false;
  Regularisation regularisation;
};

/// One step of Adam (Kingma & Ba 2015, algorithm 1), AdamW with decoupled_l2 (Loshchilov & Hutter):
///   m ← β₁m + (1−β₁)g;  v ← β₂v + (1−β₂)g²
///   θ ← θ − η · (m / bias_correction1) / (√(v / bias_correction2) + ε)
/// Nothing is done where squared_norm is given and not finite.
struct AdamUpdate {
  std::int64_t n = 0;
  float* theta = nullptr;
  const float* grad = nullptr;
  float* m = nullptr;
  float* v = nullptr;
  const UpdateScalars* scalars = nullptr;
  const float* squared_norm = nullptr;
  float beta1 = 0.9f, beta2 = 0.999f, epsilon = 1e-8f;
  Regularisation regularisation;
};

/// The direction of Adam without its step: m and v as AdamUpdate without regularisation, and
///   to = (m / bias_correction1) / (√(v / bias_correction2) + ε)
/// `to` may be `grad`.
struct AdamDirection {
  std::int64_t n = 0;
  const float* grad = nullptr;
  float* m = nullptr;
  float* v = nullptr;
  float* to = nullptr;
  const UpdateScalars* scalars = nullptr;  // device; the bias corrections are used
  float beta1 = 0.9f, beta2 = 0.95f, epsilon = 1e-8f;
};

/// One step of gradient descent that ends in a box or a ball around 0:
///   θ ← clamp(s·(θ − f·η·clip·grad), low, high),  f = *factor, clip as in SgdUpdate
/// and nothing at all where f = 0.
/// s = min(1, radius / ‖θ − f·η·clip·grad‖), 1 for radius 0. The two sets are not combined: with a
/// radius low and high are infinite. Plain gradient descent without any.
struct ProjectedUpdate {
  std::int64_t n = 0;
  float* theta = nullptr;
  const float* grad = nullptr;
  const UpdateScalars* scalars = nullptr;  // device; learning rate and max_norm
  const float* squared_norm = nullptr;     // device, may be nullptr
  const float* factor = nullptr;           // device, may be nullptr: 1
  float low = -std::numeric_limits<float>::infinity();
  float high = std::numeric_limits<float>::infinity();
  float radius = 0.0f;
  float* workspace = nullptr;  // with a radius
};

/// One step of gradient descent with a diagonal preconditioner:
///   v ← keep·v + take·value;   θ ← θ − f·η·clip·grad / (v + damping)
/// with keep and take of *weights and f = *factor. Or, with `inverse`, θ ← θ −
/// f·η·clip·grad∘inverse, and v is not used. Nothing at all is done where f = 0.
struct PreconditionedUpdate {
  std::int64_t n = 0;
  float* theta = nullptr;
  const float* grad = nullptr;
  const float* inverse = nullptr;        // may be nullptr
  float* v = nullptr;                    // without `inverse`, as the next two
  const float* value = nullptr;          // ≥ 0
  const MeanWeights* weights = nullptr;  // device
  float damping = 1e-3f;
  const UpdateScalars* scalars = nullptr;  // device; learning rate and max_norm
  const float* squared_norm = nullptr;     // device, may be nullptr
  const float* factor = nullptr;           // device, may be nullptr: 1
};

/// Takes an estimate d of the Hessian's diagonal into a running mean:
///   h ← keep·h + take·c·(square ? d² : d),  c = *coefficient, keep and take of *weights
/// Nothing is done where take is 0.
struct DiagonalMean {
  std::int64_t n = 0;
  const float* d = nullptr;
  float* h = nullptr;
  const MeanWeights* weights = nullptr;  // device
  const float* coefficient = nullptr;    // device, may be nullptr: 1
  bool square = false;
};

/// x[i, j] ← mean over i of |x[i, j]|, for all rows i: the spatial average of the diagonal over a
/// filter [R·S, C·K] (Yao et al. 2021, equation 10; absolute values as in the authors' code). In
/// place.
struct ColumnMeans {
  std::int64_t rows = 0, columns = 0;
  float* x = nullptr;
};

/// One step along the gradient's mean over a positive diagonal, each element bounded:
///   m ← β₁m + (1−β₁)·clip·grad,   q = h (× weight of *weights if `biased`), √q if `root`
///   θ ← θ·(1 − f·η·decoupled_l2) − f·η·bound((m / bias_correction1) / max(γ·q, ε))
/// f = *factor, bound(a) = clamp(a, −largest, largest). Nothing at all is done where f = 0.
struct DampedDiagonalUpdate {
  std::int64_t n = 0;
  float* theta = nullptr;
  const float* grad = nullptr;
  float* m = nullptr;
  const float* h = nullptr;
  const MeanWeights* weights = nullptr;    // device, of h
  const UpdateScalars* scalars = nullptr;  // device; bias_correction2 is not used
  const float* squared_norm = nullptr;     // device, may be nullptr
  const float* factor = nullptr;           // device, may be nullptr: 1
  float beta1 = 0.96f, gamma = 0.05f, epsilon = 1e-12f;
  float largest = 1.0f;  // infinite: no bound
  float decoupled_l2 = 0.0f;
  bool root = false;    // h is a mean of squares
  bool biased = false;  // a mean that starts at 0
};

/// to[i] = (x[i] + *damping)^−¾: the preconditioner of Martens (ICML 2010, section 4.7), x ≥ 0.
/// Overwrites; `to` may be x.
struct InverseThreeQuarterPower {
  std::int64_t n = 0;
  const float* x = nullptr;
  const float* damping = nullptr;  // device
  float* to = nullptr;
};

}  // namespace curvseg
