#include "host/nn/loss.hpp"

#include <cmath>
#include <string>
#include <vector>

#include "curvseg/error.hpp"

namespace curvseg {
namespace {

/// The weights of the labels in the denominator. The mean of the squared error is over the classes
/// of the labelled pixels: each label counts as many times as there are classes.
std::vector<float> label_weights(const LossOptions& options, int classes) {
  if (options.kind == LossKind::kCrossEntropy) return options.class_weights;
  return std::vector<float>(static_cast<std::size_t>(classes), static_cast<float>(classes));
}

}  // namespace

void check_loss_options(const LossOptions& options, int classes) {
  const std::size_t weights = options.class_weights.size();
  if (weights > 0 && weights != static_cast<std::size_t>(classes))
    throw InputError("loss: there are " + std::to_string(weights) + " class weights for " +
                     std::to_string(classes) + " classes");
  for (const float weight : options.class_weights)
    if (!(weight >= 0.0f && std::isfinite(weight)))
      throw InputError("loss: a class weight is " + std::to_string(weight) +
                       ", it must be finite and at least 0");
  if (!(options.label_smoothing >= 0.0f && options.label_smoothing <= 1.0f))
    throw InputError("loss: label smoothing is " + std::to_string(options.label_smoothing) +
                     ", it must lie in [0, 1]");
}

Loss::Loss(const Stream& stream, const LossOptions& options, const Shape& largest)
    : kind_(options.kind),
      classes_(largest.c),
      label_smoothing_(options.label_smoothing),
      workspace_(stream.device(), static_cast<std::int64_t>(
                                      loss_workspace(stream.device(), largest) / sizeof(float))) {
  const std::vector<float> weights = label_weights(options, classes_);
  if (weights.empty()) return;
  const auto count = static_cast<std::int64_t>(weights.size());
  class_weights_ = DeviceArray<float>(stream.device(), count);
  class_weights_.upload(stream, weights.data(), count);
  stream.synchronise();  // the weights go away
}

void Loss::denominator(const Stream& stream, const std::int32_t* labels, std::int64_t pixels,
                       float* denominator, bool accumulate) const {
  label_weight(stream, labels, pixels, classes_, cross_entropy(), accumulate, workspace(),
               denominator);
}

void Loss::gradient(const Stream& stream, ConstTensorView logits, const std::int32_t* labels,
                    const float* denominator, float* loss, TensorView dlogits,
                    bool accumulate) const {
  if (kind_ == LossKind::kMeanSquaredError)
    mean_squared_error(stream, logits, labels, denominator, accumulate, workspace(), loss, dlogits);
  else
    softmax_cross_entropy(stream, logits, labels, denominator, cross_entropy(), accumulate,
                          workspace(), loss, dlogits);
}

void Loss::hessian(const Stream& stream, ConstTensorView logits, const std::int32_t* labels,
                   const float* denominator, ConstTensorView u, TensorView hu) const {
  if (kind_ == LossKind::kMeanSquaredError)
    mean_squared_error_hessian(stream, labels, denominator, u, hu);
  else
    softmax_cross_entropy_hessian(stream, logits, labels, denominator, cross_entropy(), u, hu);
}

void Loss::fisher(const Stream& stream, ConstTensorView logits, const std::int32_t* labels,
                  const std::int32_t* sampled, const float* denominator, ConstTensorView u,
                  TensorView fu) const {
  if (kind_ == LossKind::kMeanSquaredError)
    mean_squared_error_fisher(stream, logits, labels, denominator, u, fu);
  else
    softmax_cross_entropy_fisher(stream, logits, labels, sampled, denominator, cross_entropy(), u,
                                 fu);
}

}  // namespace curvseg
