#include "host/train/engine.hpp"

#include <algorithm>
#include <stdexcept>
#include <string>
#include <utility>

#include "curvseg/ops.hpp"
#include "host/optim/flat_vector.hpp"
#include "host/train/device_memory.hpp"
#include "host/train/raw_copy.hpp"

namespace curvseg {
namespace {

constexpr std::size_t kInferenceShapes = 4;

[[noreturn]] void refuse(const std::string& why) { throw std::invalid_argument("trainer: " + why); }

void check_labels(std::size_t labels, const Shape& output) {
  if (static_cast<std::int64_t>(labels) != output.pixels())
    refuse("the batch has " + std::to_string(labels) + " labels, the model's output " +
           to_string(output) + " takes " + std::to_string(output.pixels()));
}

}  // namespace

Engine::Engine(Stream stream, Model model, const TrainerOptions& options)
    : stream_(std::move(stream)),
      model_(std::move(model)),
      optimizer_options_(options.optimizer),
      clip_norm_(options.clip_norm),
      images_at_once_(options.images_at_once),
      theta_(zeroed_vector(stream_, model_.parameter_count())),  // also between the parameters
      loss_options_(options.loss),
      batch_losses_(stream_, kTrainingShapes,
                    [this](const Shape& x) { return make_batch_loss(x); }),
      inferences_(stream_, kInferenceShapes, [this](const Shape& x) { return make_inference(x); }),
      slots_{BatchSlot(stream_.device()), BatchSlot(stream_.device())} {
  for (const BatchSlot& slot : slots_) slot.clear(stream_);
  model_.initialise(stream_, options.seed, theta());
}

Engine::~Engine() {
  try {
    stream_.synchronise();
    for (const BatchSlot& slot : slots_) slot.settle();
  } catch (...) {
    // The device has failed; whoever used it last was told.
  }
}

Optimizer& Engine::optimizer() {
  if (!optimizer_) {
    grad_ = zeroed_vector(stream_, model_.parameter_count());
    gradient_norm_.emplace(stream_.device(), model_.parameter_count());
    optimizer_ = make_optimizer(stream_, optimizer_options_, model_);
  }
  return *optimizer_;
}

BatchLoss Engine::make_batch_loss(const Shape& input) {
  const Optimizer& method = optimizer();
  const int at_once =
      images_at_once_ > 0 ? std::min(images_at_once_, input.n) : method.images_at_once(input.n);
  return {stream_, model_, input, loss_options_, method.curvature(), at_once};
}

Inference Engine::make_inference(const Shape& input) const {
  return {Plan(model_, stream_.device(), input, PlanMode::kInference),
          Loss(stream_, loss_options_, output_shape(input))};
}

std::size_t Engine::memory_bytes() const {
  std::size_t result = theta_.bytes() + kept_theta_.bytes() + grad_.bytes() +
                       batch_losses_.memory_bytes() + inferences_.memory_bytes() + x_.bytes() +
                       predictions_.bytes();
  for (const BatchSlot& slot : slots_) result += slot.memory_bytes();
  if (optimizer_) result += optimizer_->state_bytes();
  if (gradient_norm_) result += gradient_norm_->memory_bytes();
  return result;
}

void Engine::check_input(const Shape& x) const {
  if (x.n < 1 || x.h < 1 || x.w < 1) refuse("a batch " + to_string(x) + " has no pixels");
  if (x.c != model_.in_channels())
    refuse("the batch " + to_string(x) + " has " + std::to_string(x.c) + " channels, model " +
           model_.name() + " takes " + std::to_string(model_.in_channels()));
  const Shape fixed = model_.fixed_input();
  if (fixed.h > 0 && (x.h != fixed.h || x.w != fixed.w))
    refuse("the batch " + to_string(x) + " has images of another size than the " +
           std::to_string(fixed.h) + "x" + std::to_string(fixed.w) + " (height x width) of model " +
           model_.name());
}

Shape Engine::output_shape(const Shape& x) const {
  return model_.is_classifier() ? Shape{x.n, 1, 1, model_.classes()}
                                : Shape{x.n, x.h, x.w, model_.classes()};
}

void Engine::check_images(std::size_t values, const Shape& x) const {
  check_input(x);
  if (static_cast<std::int64_t>(values) != x.elements())
    refuse("there are " + std::to_string(values) + " values for images " + to_string(x));
}

DeviceBatch Engine::upload(BatchSlot& slot) {
  const Batch& batch = slot.batch;
  const Shape shape{batch.n, batch.h, batch.w, batch.c};
  check_images(batch.images.size(), shape);
  check_labels(batch.labels.size(), output_shape(shape));
  return slot.upload(stream_);
}

DeviceBatch Engine::adopt(ConstTensorView x, const std::int32_t* labels) const {
  check_input(x.shape);
  if (!x.dense())
    refuse("x has pixel stride " + std::to_string(x.ld) + ", its " + std::to_string(x.shape.c) +
           " channels must lie side by side");
  if (!x.data || !labels) refuse("x or labels has no memory");
  return {x, labels};
}

void Engine::train(const DeviceBatch& batch, BatchSlot& slot, std::uint64_t step,
                   float learning_rate) {
  Optimizer& method = optimizer();
  if (has_kept_) copy_bytes(stream_, theta_.data(), kept_theta_.data(), theta_.bytes());
  has_kept_ = false;
  BatchLoss& loss = batch_losses_.get(batch.x.shape);
  loss.linearise(theta(), batch.x, batch.labels);
  loss.gradient(view(grad_));
  slot.take(stream_, loss.loss(), loss.denominator());
  gradient_norm_->compute(stream_, view(grad_), slot.squared_norm());
  method.step({.stream = stream_,
               .theta = theta(),
               .grad = view(grad_),
               .step = step,
               .learning_rate = learning_rate,
               .max_norm = clip_norm_,
               .squared_norm = slot.squared_norm(),
               .batch = &loss});
  slot.finish(stream_);
}

std::optional<double> Engine::settle(const DeviceBatch& batch) {
  if (!optimizer().recovers()) return std::nullopt;
  BatchLoss& loss = batch_losses_.get(batch.x.shape);
  loss.linearise(theta(), batch.x, batch.labels);
  loss.value();
  const StepContext context{.stream = stream_, .theta = theta(), .batch = &loss};
  if (!optimizer().failed(context)) return std::nullopt;
  const VectorView kept = begin_from_another_theta();
  copy_bytes(stream_, kept.data, theta_.data(), theta_.bytes());
  optimizer().take_back(context);
  return static_cast<double>(read_vector(stream_, {loss.loss(), 1}).front());
}

VectorView Engine::begin_from_another_theta() {
  ensure_size(stream_, kept_theta_, theta_.size());
  has_kept_ = true;
  return view(kept_theta_);
}

void Engine::evaluate(const DeviceBatch& batch, BatchSlot& slot, unsigned long long* matrix) {
  Inference& inference = inferences_.get(batch.x.shape);
  inference.plan.forward(stream_, theta(), batch.x);
  const TensorView logits = inference.plan.output();
  inference.loss.denominator(stream_, batch.labels, logits.shape.pixels(), slot.denominator());
  inference.loss.gradient(stream_, logits, batch.labels, slot.denominator(), slot.loss(), {});
  confusion_matrix(stream_, batch.labels, classify(logits).data(), logits.shape.pixels(),
                   logits.shape.c, matrix);
  slot.finish(stream_);
}

TensorView Engine::infer(const std::vector<float>& images, const Shape& shape) {
  check_images(images.size(), shape);
  ensure_size(stream_, x_, shape.elements());
  x_.upload(stream_, images.data(), shape.elements());
  Plan& plan = inferences_.get(shape).plan;
  plan.forward(stream_, theta(), ConstTensorView{x_.data(), shape});
  return plan.output();
}

const DeviceArray<std::int32_t>& Engine::classify(ConstTensorView logits) {
  ensure_size(stream_, predictions_, logits.shape.pixels());
  argmax(stream_, logits, predictions_.data());
  return predictions_;
}

}  // namespace curvseg
