// The loss of a batch at theta and near it, for methods that decide on the host.
#pragma once

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <vector>

#include "curvseg/curvature.hpp"
#include "curvseg/ops.hpp"
#include "curvseg/optim.hpp"

namespace curvseg {

/// f(θ) = L(θ) + ½·l2·|θ|². Every number that it returns is one small read-back, waited for.
class BatchObjective {
 public:
  BatchObjective(const Stream& stream, std::int64_t parameters, float l2);

  /// f(θ) of a step's context; its gradient becomes that of f.
  double begin(const StepContext& context);
  /// Of that step, as far as its context tells.
  bool gradient_is_finite() const { return gradient_is_finite_; }
  /// f(θ + scale·d). The batch's loss is linearised there afterwards.
  double trial(const StepContext& context, ConstVectorView d, double scale);
  /// xᵀy of up to 4 pairs. Valid until the next call.
  const std::vector<float>& products(const Stream& stream, std::initializer_list<VectorPair> pairs);

  std::size_t bytes() const { return trial_.bytes() + numbers_.bytes() + workspace_.bytes(); }

 private:
  double value(const StepContext& context, ConstVectorView theta);
  void read(const Stream& stream);

  static constexpr int kNumbers = 4;
  float l2_;
  bool gradient_is_finite_ = true;
  DeviceArray<float> trial_, numbers_, workspace_;
  std::vector<float> read_;  // copies write it later than they are asked for
};

/// Whether nothing can be said of a step: both the change of the loss and what was expected of it
/// are within the rounding of the loss.
bool within_rounding(double change, double expected, double loss);
/// How well a model predicted the change of a loss: change / predicted, both negative where the
/// loss falls. Negative where the model does not fall, as beyond twice its minimum; 1 within
/// rounding; a change that is not finite gives a NaN.
double reduction_ratio(double change, double predicted, double loss);

/// The quadratic model φ of a step δ along a fraction of it, φ(η·δ) = η·gᵀδ + ½η²·δᵀAδ, from the
/// slope gᵀδ and φ(δ).
inline double model_along(double eta, double slope, double whole) {
  return eta * ((1.0 - eta) * slope + eta * whole);
}

}  // namespace curvseg
