// First-order parameter updates over flat memory. Plain C++.
//
// Whatever changes between steps lies in device memory (UpdateScalars), so a captured step replays
// with new values.
#pragma once

#include <cstdint>

namespace curvseg {

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
/// with clip = min(1, max_norm / √squared_norm) where squared_norm is given. `momentum_buffer`
/// (zero before the first step) may be nullptr when momentum is 0.
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

}  // namespace curvseg
