#include <algorithm>
#include <cmath>
#include <stdexcept>
#include <utility>

#include "curvseg/ops.hpp"
#include "curvseg/train.hpp"
#include "host/train/device_memory.hpp"
#include "host/train/fit.hpp"
#include "host/train/trainer_core.hpp"

namespace curvseg {
namespace {

/// softmax over the last extent, in double.
std::vector<float> softmax(const std::vector<float>& logits, int classes) {
  std::vector<float> result(logits.size());
  const auto stride = static_cast<std::size_t>(classes);
  for (std::size_t at = 0; at < logits.size(); at += stride) {
    const float* x = logits.data() + at;
    const double largest = static_cast<double>(*std::max_element(x, x + stride));
    double sum = 0.0;
    for (std::size_t c = 0; c < stride; ++c) sum += std::exp(static_cast<double>(x[c]) - largest);
    for (std::size_t c = 0; c < stride; ++c)
      result[at + c] = static_cast<float>(std::exp(static_cast<double>(x[c]) - largest) / sum);
  }
  return result;
}

/// The logits without the gaps that their memory may have.
std::vector<float> read_logits(const Stream& stream, ConstTensorView logits) {
  const Tensor dense(stream.device(), logits.shape);
  const SynchroniseOnExit idle(stream);
  copy_tensor(stream, logits, 1.0f, /*accumulate=*/false, dense.view());
  return dense.to_host(stream);
}

}  // namespace

Trainer::Trainer(Stream stream, Model model, TrainerOptions options)
    : core_(
          std::make_unique<TrainerCore>(std::move(stream), std::move(model), std::move(options))) {}

Trainer::~Trainer() = default;
Trainer::Trainer(Trainer&&) noexcept = default;
Trainer& Trainer::operator=(Trainer&&) noexcept = default;

const Model& Trainer::model() const { return core_->engine.model(); }
const TrainerOptions& Trainer::options() const { return core_->options; }
const Stream& Trainer::stream() const { return core_->engine.stream(); }
std::uint64_t Trainer::steps_done() const { return core_->progress.step; }
VectorView Trainer::theta() {
  core_->engine.begin_from_theta();  // it may be written
  return core_->engine.theta();
}
std::size_t Trainer::memory_bytes() const { return core_->engine.memory_bytes(); }
const Normalisation& Trainer::normalisation() const { return core_->normalisation_or_none(); }
const std::vector<std::string>& Trainer::class_names() const { return core_->class_names; }

FitResult Trainer::fit(const Dataset& train, const Dataset* validation,
                       const TrainingEvents& events) {
  return Fit(*core_, train, validation, events).run();
}

EvaluationResult Trainer::evaluate(const Dataset& dataset) { return core_->evaluate(dataset); }

Prediction Trainer::predict(const std::vector<float>& images, const Shape& shape,
                            const PredictOptions& options) {
  const SynchroniseOnExit idle(stream());  // the images may go away
  const TensorView logits = core_->engine.infer(images, shape);
  const DeviceArray<std::int32_t>& labels = core_->engine.classify(logits);
  Prediction result;
  result.shape = logits.shape;
  result.labels.resize(static_cast<std::size_t>(logits.shape.pixels()));
  labels.download(stream(), result.labels.data(), logits.shape.pixels());
  stream().synchronise();
  if (options.logits || options.probabilities) result.logits = read_logits(stream(), logits);
  if (options.probabilities) result.probabilities = softmax(result.logits, logits.shape.c);
  if (!options.logits) result.logits.clear();
  return result;
}

Prediction Trainer::predict(const Batch& batch, const PredictOptions& options) {
  return predict(batch.images, {batch.n, batch.h, batch.w, batch.c}, options);
}

void Trainer::step(const Batch& batch) { core_->run(batch); }

void Trainer::step(ConstTensorView x, const std::int32_t* labels) { core_->run(x, labels); }

StepReport Trainer::last_step() {
  core_->finish_pending();
  if (core_->last_report.step == 0)
    throw std::logic_error("Trainer::last_step: no step has been made here");
  return core_->last_report;
}

std::string_view to_string(StopReason reason) {
  switch (reason) {
    case StopReason::kFinished:
      return "finished";
    case StopReason::kConverged:
      return "converged";
    case StopReason::kPlateau:
      return "plateau";
    case StopReason::kCallback:
      return "callback";
  }
  return "finished";
}

}  // namespace curvseg
