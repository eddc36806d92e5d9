// What every first-order update does around its own step:
//
//   g = clip · grad + l2·θ + l1·sign θ,       clip = min(1, max_norm / √squared_norm)
//   θ ← soft(θ·(1 − η·decoupled_l2) − step),  soft(a) = sign(a)·max(|a| − η·proximal_l1, 0)
//
// Terms are always computed, also with a coefficient of 0, where they change no finite value: an
// update is bound by memory, and a loop without branches vectorises.
#pragma once

#include <cmath>

#include "exec/exec.hpp"
#include "update/update.hpp"

namespace curvseg::CURVSEG_TARGET {

/// Whether the gradient with this squared norm is to be left alone: something in it, or the norm
/// itself, overflowed.
__device__ __forceinline__ bool overflowed(const float* squared_norm) {
  return squared_norm != nullptr && !(*squared_norm - *squared_norm == 0.0f);
}

class Regulariser {
 public:
  __device__ __forceinline__ Regulariser(const Regularisation& terms, float learning_rate,
                                         float max_norm, const float* squared_norm)
      : clip_(clip_factor(max_norm, squared_norm)),
        l1_(terms.l1),
        l2_(terms.l2),
        keep_(1.0f - learning_rate * terms.decoupled_l2),
        threshold_(learning_rate * terms.proximal_l1) {}

  __device__ __forceinline__ float gradient(float theta, float grad) const {
    const float sign = (theta > 0.0f ? 1.0f : 0.0f) - (theta < 0.0f ? 1.0f : 0.0f);
    return clip_ * grad + l2_ * theta + l1_ * sign;
  }
  __device__ __forceinline__ float step(float theta, float step) const {
    const float moved = theta * keep_ - step;
    // Written so that a NaN stays one.
    const float shrunk = fabsf(moved) - threshold_;
    return copysignf(shrunk < 0.0f ? 0.0f : shrunk, moved);
  }

 private:
  static __device__ __forceinline__ float clip_factor(float max_norm, const float* squared_norm) {
    if (squared_norm == nullptr || max_norm == 0.0f) return 1.0f;
    const float factor = max_norm / sqrtf(*squared_norm);
    return factor > 1.0f ? 1.0f : factor;  // a NaN norm makes the step NaN, as it should be seen
  }

  float clip_, l1_, l2_, keep_, threshold_;
};

}  // namespace curvseg::CURVSEG_TARGET
