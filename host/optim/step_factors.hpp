// A step along a direction, with what regularisation does beside it.
#pragma once

#include "curvseg/ops.hpp"
#include "curvseg/optim.hpp"
#include "host/optim/device_value.hpp"
#include "host/optim/flat_vector.hpp"

namespace curvseg {

/// θ ← keep·θ + along·d, the numbers read from device memory.
struct StepFactors {
  float keep = 1.0f, along = 0.0f;
};

class StepAlong {
 public:
  explicit StepAlong(const Stream& stream)
      : factors_(stream.device()), rest_(zeroed_vector(stream, 2)), scaled_(stream.device(), 2) {
    fill(stream, {rest_.data(), 1}, 1.0f);
  }

  /// θ ← θ·(1 − f·η·decoupled_l2) − f·η·d, η the learning rate of the step and f = *factor, on the
  /// device; nullptr: 1. With f = 0 nothing is read of d.
  void step(const StepContext& context, ConstVectorView d, float decoupled_l2,
            const float* factor) {
    const Stream& stream = context.stream;
    const float rate = context.learning_rate;
    factors_.set(stream, {1.0f - rate * decoupled_l2, -rate});
    const StepFactors* by = factors_.device();
    if (factor != nullptr) {
      // rest + f·(factors − rest), in the order that leaves factors as they are where f is 1.
      const ConstVectorView rest = view(rest_), whole{&by->keep, 2};
      linear_combination(stream, {{rest}, {rest, -1.0f, factor}, {whole, 1.0f, factor}},
                         view(scaled_));
      by = reinterpret_cast<const StepFactors*>(scaled_.data());
    }
    linear_combination(stream, {{context.theta, 1.0f, &by->keep}, {d, 1.0f, &by->along}},
                       context.theta);
  }

  std::size_t bytes() const { return rest_.bytes() + scaled_.bytes(); }

 private:
  DeviceValue<StepFactors> factors_;
  DeviceArray<float> rest_, scaled_;  // StepFactors: of no step at all, and of f times a step
};

}  // namespace curvseg
