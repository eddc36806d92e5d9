// One model on one device: its parameters, and the work of single batches. Knows no epochs.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>

#include "curvseg/curvature.hpp"
#include "curvseg/model.hpp"
#include "curvseg/train.hpp"
#include "host/device/shape_cache.hpp"
#include "host/nn/loss.hpp"
#include "host/optim/gradient_norm.hpp"
#include "host/train/batch_slot.hpp"

namespace curvseg {

/// What evaluation needs for one shape of batch.
struct Inference {
  Plan plan;
  Loss loss;

  const Shape& input_shape() const { return plan.input_shape(); }
  std::size_t memory_bytes() const { return plan.memory_bytes() + loss.memory_bytes(); }
};

class Engine {
 public:
  /// Parameters as `options.seed` makes them. Options as checked.
  Engine(Stream stream, Model model, const TrainerOptions& options);
  ~Engine();  // waits
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;

  const Stream& stream() const { return stream_; }
  const Model& model() const { return model_; }
  VectorView theta() const { return {theta_.data(), theta_.size()}; }
  /// Made, with the gradient, when first asked for.
  Optimizer& optimizer();
  std::size_t memory_bytes() const;

  /// The slot of batch number `n`; the one before has the other.
  BatchSlot& slot(std::uint64_t n) { return slots_[n % slots_.size()]; }

  /// Takes the memory of steps on such batches now.
  void reserve(const Shape& x) { batch_losses_.get(x); }
  /// slot.batch → device memory of the slot.
  /// \throws std::invalid_argument when it does not fit the model.
  DeviceBatch upload(BatchSlot& slot);
  /// Checks memory of the caller likewise.
  DeviceBatch adopt(ConstTensorView x, const std::int32_t* labels) const;

  /// One step of the optimiser; loss, denominator and squared norm go to the slot.
  void train(const DeviceBatch& batch, BatchSlot& slot, std::uint64_t step, float learning_rate);
  /// The last step judged by the loss that its batch has now: if the optimiser finds that it
  /// failed, theta is what it was before the step, and the loss is returned. Waits.
  std::optional<double> settle(const DeviceBatch& batch);
  /// The theta that settle() took back, for the next step to begin from; empty: none.
  ConstVectorView taken_back() const {
    return {kept_theta_.data(), has_kept_ ? kept_theta_.size() : 0};
  }
  /// Room for it, to be filled before the next step.
  VectorView begin_from_another_theta();
  /// The next step begins from theta as it is.
  void begin_from_theta() { has_kept_ = false; }
  /// Loss and denominator to the slot; pairs of truth and prediction are added to
  /// `matrix` [classes²].
  void evaluate(const DeviceBatch& batch, BatchSlot& slot, unsigned long long* matrix);
  /// Logits of [N,H,W,C] images in host memory, which must stay; valid until the next call.
  TensorView infer(const std::vector<float>& images, const Shape& shape);
  /// Classes of the largest logits, in device memory of this engine.
  const DeviceArray<std::int32_t>& classify(ConstTensorView logits);

 private:
  void check_input(const Shape& x) const;
  void check_images(std::size_t values, const Shape& x) const;
  Shape output_shape(const Shape& x) const;
  BatchLoss make_batch_loss(const Shape& input);
  Inference make_inference(const Shape& input) const;

  Stream stream_;
  Model model_;
  OptimizerOptions optimizer_options_;
  float clip_norm_;
  int images_at_once_;
  DeviceArray<float> theta_, grad_;
  DeviceArray<float> kept_theta_;  // that settle() took back
  bool has_kept_ = false;
  std::unique_ptr<Optimizer> optimizer_;
  std::optional<GradientNorm> gradient_norm_;  // made with the optimiser
  LossOptions loss_options_;
  ShapeCache<BatchLoss> batch_losses_;
  ShapeCache<Inference> inferences_;
  std::array<BatchSlot, 2> slots_;
  DeviceArray<float> x_;  // of infer()
  DeviceArray<std::int32_t> predictions_;
};

}  // namespace curvseg
