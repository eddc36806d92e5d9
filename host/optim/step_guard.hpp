// Takes back a step that failed, for methods whose steps have a length that nothing measures.
#pragma once

#include <cstddef>
#include <cstdint>

#include "curvseg/device.hpp"
#include "curvseg/optim.hpp"
#include "kernels/quadratic/quadratic.hpp"

namespace curvseg {

/// Keeps theta as it was before the last step. All decisions are the device's: no step waits.
class StepGuard {
 public:
  StepGuard(const Stream& stream, std::int64_t parameters);

  /// Before a step: are loss and gradient acceptable that the last one led to? If not, theta is
  /// what it was before that. Does nothing in a context without a batch, whose loss nobody knows.
  void judge(const StepContext& context);
  /// Device: the factor of this step, 0 where nothing is to be done; nullptr: 1.
  const float* factor(const StepContext& context) const {
    return context.batch != nullptr ? &state()->rate : nullptr;
  }
  /// Device: 1 if judge() accepts the last step, else 0; nullptr: nobody judges.
  const float* accepted(const StepContext& context) const {
    return context.batch != nullptr ? &state()->accepted : nullptr;
  }
  /// The gradient of a batch that judge() did not accept becomes 0, whatever is in it: what
  /// keeps means of gradients takes nothing of such a batch.
  void drop_rejected_gradient(const StepContext& context) const;

  /// Optimizer::failed() and take_back().
  bool failed(const StepContext& context) const;
  void take_back(const StepContext& context) const;

  void append_state(OptimizerState& to);
  /// "rejected" steps, and "trust", the next factor.
  std::vector<NamedNumber> report(const Stream& stream) const;
  std::size_t bytes() const { return numbers_.bytes() + trial_.bytes() + previous_.bytes(); }

 private:
  GuardState* state() const { return reinterpret_cast<GuardState*>(numbers_.data()); }
  void judge(const StepContext& context, const DeviceArray<float>& state) const;

  DeviceArray<float> numbers_, trial_;  // GuardState: the state, and a copy to judge on
  DeviceArray<float> previous_;
};

}  // namespace curvseg
