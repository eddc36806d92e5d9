// A step along a direction, with what regularisation does beside it.
#pragma once

#include "curvseg/ops.hpp"
#include "curvseg/optim.hpp"
#include "host/optim/upload_ring.hpp"

namespace curvseg {

/// θ ← keep·θ + along·d, the numbers read from device memory.
struct StepFactors {
  float keep = 1.0f, along = 0.0f;
};

/// θ ← θ·(1 − η·decoupled_l2) − η·d, η the learning rate of the step.
inline void step_along(const StepContext& context, ConstVectorView d, float decoupled_l2,
                       UploadRing<StepFactors>& factors) {
  const float rate = context.learning_rate;
  factors.upload(context.stream, {1.0f - rate * decoupled_l2, -rate});
  linear_combination(
      context.stream,
      {{context.theta, 1.0f, &factors.device()->keep}, {d, 1.0f, &factors.device()->along}},
      context.theta);
}

}  // namespace curvseg
