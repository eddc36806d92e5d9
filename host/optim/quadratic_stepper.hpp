// Steps along a direction whose length curvature decides, and which are taken back when they fail.
#pragma once

#include <cstddef>
#include <cstdint>

#include "curvseg/curvature.hpp"
#include "curvseg/device.hpp"
#include "curvseg/optim.hpp"
#include "host/optim/device_value.hpp"
#include "kernels/quadratic/quadratic.hpp"

namespace curvseg {

struct QuadraticStepperOptions {
  float momentum = 0.7f;           // of the mean gradient
  float damping = 0.03f;           // λ of the model
  bool previous_direction = true;  // p is a direction of the model
  float smoothing = 0.8f;          // of the model's numbers over steps
  float radius = 0.05f;            // nats a pixel that a step may change the output by
  float batch_fraction = 0.25f;    // of the images that the model is measured on
  // Steps from one measurement of dᵀGd to the next, after the first 10, and the smoothing of its
  // ratio to m·d; 1 and 0 with the previous direction.
  int model_every = 1;
  float curvature_smoothing = 0.0f;
  float rate_fraction = 1.0f;  // of the minimum along the direction, for a measured rate
  float rate_change = 0.03f;   // nats a pixel that a step of a measured rate may mean
};

/// Holds the previous step p and the numbers on the device that decide the next one. A step is
///
///   judge()          are loss and gradient acceptable that p led to?
///   mean_gradient()  m ← its mean with the gradient, if so
///   step() or rate_step() along a direction d that the caller makes in between
///
/// and each changes theta by δ = along_d·d + along_p·p, which becomes p.
class QuadraticStepper {
 public:
  QuadraticStepper(const Stream& stream, const QuadraticStepperOptions& options,
                   std::int64_t parameters);

  void judge(const StepContext& context);
  /// The mean of the gradients of accepted steps, which judge() has weighted.
  VectorView mean_gradient(const StepContext& context);
  /// Device: 1 if judge() accepts the last step, else 0.
  const float* accepted() const { return &state()->accepted; }

  /// δ = −α·d + μ·p from the two-dimensional quadratic model of L + ½·l2·|θ|², whose gradient is
  /// `grad`, and d made of mean_gradient().
  void step(const StepContext& context, ConstVectorView grad, ConstVectorView d, float l2);
  /// δ = −rate·d; with `measure`, the rate is measured on this step too.
  void rate_step(const StepContext& context, ConstVectorView grad, ConstVectorView d, bool measure);

  /// Optimizer::failed() and take_back().
  bool failed(const StepContext& context) const;
  void take_back(const StepContext& context) const;

  void append_state(OptimizerState& state);
  std::vector<NamedNumber> report(const Stream& stream) const;
  std::size_t bytes() const;

 private:
  QuadraticState* state() const { return reinterpret_cast<QuadraticState*>(numbers_.data()); }
  RateState* rate() const { return reinterpret_cast<RateState*>(rate_.data()); }
  float* form() const { return scratch_.data(); }
  float* products() const { return scratch_.data() + 3; }
  Workspace workspace() const { return {workspace_.data(), workspace_.bytes()}; }
  int images(const StepContext& context) const;
  void judge(const StepContext& context, const DeviceArray<float>& state) const;
  void move(const StepContext& context, ConstVectorView d);

  QuadraticStepperOptions options_;
  DeviceArray<float> numbers_, rate_;  // QuadraticState, RateState
  DeviceArray<float> trial_;           // a copy of the first to judge on
  DeviceArray<float> mean_gradient_, previous_;
  DeviceArray<float> scratch_, workspace_;
  DeviceValue<float> factor_;
};

}  // namespace curvseg
