#include "host/train/loss.hpp"

#include <cmath>
#include <string>

#include "curvseg/ops.hpp"
#include "host/train/device_memory.hpp"

namespace curvseg {
namespace {

/// Scratch memory for the loss of any shape.
class LossWorkspace {
 public:
  Workspace get(const Stream& stream, const Shape& logits) {
    const std::size_t bytes = loss_workspace(stream.device(), logits);
    ensure_size(stream, memory_, static_cast<std::int64_t>(bytes / sizeof(float)));
    return {memory_.data(), bytes};
  }
  std::size_t bytes() const { return memory_.bytes(); }

 private:
  DeviceArray<float> memory_;
};

class CrossEntropyLoss final : public Loss {
 public:
  CrossEntropyLoss(const Stream& stream, const LossOptions& options)
      : label_smoothing_(options.label_smoothing) {
    if (options.class_weights.empty()) return;
    const auto count = static_cast<std::int64_t>(options.class_weights.size());
    class_weights_ = DeviceArray<float>(stream.device(), count);
    class_weights_.upload(stream, options.class_weights.data(), count);
    stream.synchronise();  // the options may go away
  }

  void compute(const Stream& stream, ConstTensorView logits, const std::int32_t* labels,
               BatchSlot& slot, TensorView dlogits) override {
    const CrossEntropyOptions options{{class_weights_.data(), class_weights_.size()},
                                      label_smoothing_};
    const Workspace workspace = workspace_.get(stream, logits.shape);
    label_weight(stream, labels, logits.shape.pixels(), logits.shape.c, options,
                 /*accumulate=*/false, workspace, slot.denominator());
    softmax_cross_entropy(stream, logits, labels, slot.denominator(), options,
                          /*accumulate=*/false, workspace, slot.loss(), dlogits);
  }

  std::size_t memory_bytes() const override { return class_weights_.bytes() + workspace_.bytes(); }

 private:
  DeviceArray<float> class_weights_;
  float label_smoothing_;
  LossWorkspace workspace_;
};

/// Against one-hot labels. Pixels without a label are taken out on both sides: their target is 0,
/// and a gate sets their logits to 0, so they add nothing to loss and gradient.
class MeanSquaredErrorLoss final : public Loss {
 public:
  void compute(const Stream& stream, ConstTensorView logits, const std::int32_t*, BatchSlot& slot,
               TensorView dlogits) override {
    const Shape& shape = logits.shape;
    const std::int64_t labelled = encode(slot, shape.c);
    // With no labelled pixel the loss is 0 over 1.
    slot.reset(stream, static_cast<float>(labelled > 0 ? labelled * shape.c : 1));
    for (DeviceArray<float>* array : {&target_, &gate_, &gated_})
      ensure_size(stream, *array, shape.elements());
    target_.upload(stream, slot.target.data(), shape.elements());
    gate_.upload(stream, slot.gate.data(), shape.elements());
    relu_backward(stream, ConstTensorView{gate_.data(), shape}, logits, /*accumulate=*/false,
                  TensorView{gated_.data(), shape});
    mean_squared_error(stream, ConstTensorView{gated_.data(), shape},
                       ConstTensorView{target_.data(), shape}, slot.denominator(),
                       /*accumulate=*/false, workspace_.get(stream, shape), slot.loss(), dlogits);
  }

  bool needs_host_labels() const override { return true; }
  std::size_t memory_bytes() const override {
    return target_.bytes() + gate_.bytes() + gated_.bytes() + workspace_.bytes();
  }

 private:
  /// Fills target and gate of the slot from its labels; returns the number of labelled pixels.
  static std::int64_t encode(BatchSlot& slot, int classes) {
    const std::vector<std::int32_t>& labels = slot.batch.labels;
    const auto stride = static_cast<std::size_t>(classes);
    slot.target.assign(labels.size() * stride, 0.0f);
    slot.gate.assign(labels.size() * stride, 0.0f);
    std::int64_t labelled = 0;
    for (std::size_t i = 0; i < labels.size(); ++i) {
      if (labels[i] < 0 || labels[i] >= classes) continue;
      ++labelled;
      slot.target[i * stride + static_cast<std::size_t>(labels[i])] = 1.0f;
      for (std::size_t c = 0; c < stride; ++c) slot.gate[i * stride + c] = 1.0f;
    }
    return labelled;
  }

  DeviceArray<float> target_, gate_, gated_;
  LossWorkspace workspace_;
};

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

std::unique_ptr<Loss> make_loss(const Stream& stream, const LossOptions& options) {
  if (options.kind == LossKind::kMeanSquaredError) return std::make_unique<MeanSquaredErrorLoss>();
  return std::make_unique<CrossEntropyLoss>(stream, options);
}

}  // namespace curvseg
