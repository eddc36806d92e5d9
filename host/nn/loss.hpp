// A loss of logits against labels, its gradient and its Hessian, on one device.
#pragma once

#include <cstddef>
#include <cstdint>

#include "curvseg/device.hpp"
#include "curvseg/loss.hpp"
#include "curvseg/ops.hpp"
#include "curvseg/tensor.hpp"

namespace curvseg {

/// \throws InputError for weights that are not one per class or negative, or label smoothing
///         outside [0, 1].
void check_loss_options(const LossOptions& options, int classes);

/// Labels lie on the device, one a pixel; those outside [0, classes) are ignored. Denominators and
/// losses are one float each on the device. All calls are asynchronous.
class Loss {
 public:
  /// For logits of up to the pixels of `largest`, whose channels are the classes. Options as
  /// checked.
  Loss(const Stream& stream, const LossOptions& options, const Shape& largest);

  /// denominator[0] (+)= what the sum of the loss is divided by.
  void denominator(const Stream& stream, const std::int32_t* labels, std::int64_t pixels,
                   float* denominator, bool accumulate = false) const;
  /// loss[0] (+)= the loss, and its gradient unless dlogits is empty.
  void gradient(const Stream& stream, ConstTensorView logits, const std::int32_t* labels,
                const float* denominator, float* loss, TensorView dlogits,
                bool accumulate = false) const;
  /// hu = H·u, H the Hessian with respect to the logits; `hu` may be `u`.
  void hessian(const Stream& stream, ConstTensorView logits, const std::int32_t* labels,
               const float* denominator, ConstTensorView u, TensorView hu) const;

  /// fu = F·u, F the empirical Fisher matrix with respect to the logits, or with labels `sampled`
  /// from the model; without `u` the root of F's term of each pixel. Cross-entropy alone for both.
  void fisher(const Stream& stream, ConstTensorView logits, const std::int32_t* labels,
              const std::int32_t* sampled, const float* denominator, ConstTensorView u,
              TensorView fu) const;

  LossKind kind() const { return kind_; }
  std::size_t memory_bytes() const { return class_weights_.bytes() + workspace_.bytes(); }

 private:
  CrossEntropyOptions cross_entropy() const {
    return {{class_weights_.data(), class_weights_.size()}, label_smoothing_};
  }
  Workspace workspace() const { return {workspace_.data(), workspace_.bytes()}; }

  LossKind kind_;
  int classes_;
  float label_smoothing_;
  DeviceArray<float> class_weights_;
  DeviceArray<float> workspace_;
};

}  // namespace curvseg
