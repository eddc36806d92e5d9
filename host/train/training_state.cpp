// The state of a trainer, out and in.
#include <cmath>
#include <map>
#include <stdexcept>
#include <utility>

#include "curvseg/checkpoint.hpp"
#include "host/train/device_memory.hpp"
#include "host/train/raw_copy.hpp"
#include "host/train/trainer_core.hpp"

namespace curvseg {
namespace {

std::string to_text(const std::vector<std::int64_t>& shape) {
  std::string result = "[";
  for (const std::int64_t extent : shape)
    result += (result.size() > 1 ? "," : "") + std::to_string(extent);
  return result + "]";
}

// ---- out ---------------------------------------------------------------------------------------

/// The parameters within a vector that is laid out as theta.
void append_parameters(const Model& model, const std::vector<float>& flat,
                       const std::string& prefix, std::vector<NamedTensor>& to) {
  for (const Parameter& p : model.parameters()) {
    const auto first = flat.begin() + p.offset;
    to.push_back({prefix + p.name, p.shape, std::vector<float>(first, first + p.size)});
  }
}

/// The last update is seen by no loss: without this a checkpoint could hold what it broke.
void check_finite(const TrainingState& state) {
  for (const NamedTensor& tensor : state.parameters)
    for (const float value : tensor.values)
      if (!std::isfinite(value))
        throw DivergenceError(state.progress.step,
                              "step " + std::to_string(state.progress.step) + ": parameter " +
                                  tensor.name + " has a value that is " + std::to_string(value));
}

// ---- in ----------------------------------------------------------------------------------------

/// What a message says of a disagreement.
class Comparison {
 public:
  explicit Comparison(std::string source) : source_(std::move(source)) {}

  template <class T>
  void same(const char* what, const T& saved, const T& mine) const {
    if (!(saved == mine)) refuse(std::string(what) + " " + text(saved), text(mine));
  }
  [[noreturn]] void refuse(const std::string& saved, const std::string& mine) const {
    throw InputError(source_ + ": has " + saved + ", the trainer has " + mine);
  }

 private:
  static std::string text(const std::string& value) { return value; }
  template <class T>
  static std::string text(const T& value) {
    return std::to_string(value);
  }
  std::string source_;
};

void check_model(const Model& model, const TrainingState& state, const Comparison& compare) {
  compare.same("model", state.model, model.name());
  compare.same("input channels", state.in_channels, model.in_channels());
  compare.same("classes", state.classes, model.classes());
  compare.same("image height", state.image_h, model.fixed_input().h);
  compare.same("image width", state.image_w, model.fixed_input().w);
}

using TensorsByName = std::map<std::string, const NamedTensor*>;

TensorsByName by_name(const std::vector<NamedTensor>& tensors) {
  TensorsByName result;
  for (const NamedTensor& tensor : tensors) result[tensor.name] = &tensor;
  return result;
}

/// Takes the tensor called `name` out of `tensors`.
const NamedTensor& take(TensorsByName& tensors, const std::string& name,
                        const std::vector<std::int64_t>& shape, std::int64_t size,
                        const Comparison& compare) {
  const auto found = tensors.find(name);
  if (found == tensors.end()) compare.refuse("no tensor " + name, to_text(shape));
  const NamedTensor& tensor = *found->second;
  if (tensor.shape != shape || static_cast<std::int64_t>(tensor.values.size()) != size)
    compare.refuse("tensor " + name + " " + to_text(tensor.shape), to_text(shape));
  tensors.erase(found);
  return tensor;
}

void check_none_left(const TensorsByName& tensors, const Comparison& compare) {
  if (!tensors.empty()) compare.refuse("tensor " + tensors.begin()->first, "none of that name");
}

/// A vector laid out as theta, zero between the parameters.
std::vector<float> gather_parameters(const Model& model, const std::string& prefix,
                                     TensorsByName& tensors, const Comparison& compare) {
  std::vector<float> flat(static_cast<std::size_t>(model.parameter_count()));
  for (const Parameter& p : model.parameters()) {
    const NamedTensor& tensor = take(tensors, prefix + p.name, p.shape, p.size, compare);
    std::copy(tensor.values.begin(), tensor.values.end(), flat.begin() + p.offset);
  }
  return flat;
}

/// A copy that the device is still to make.
struct Upload {
  VectorView to;
  std::vector<float> from;
};

Upload theta_upload(const Engine& engine, const std::vector<NamedTensor>& parameters, VectorView to,
                    const Comparison& compare) {
  TensorsByName tensors = by_name(parameters);
  Upload result{to, gather_parameters(engine.model(), "", tensors, compare)};
  check_none_left(tensors, compare);
  return result;
}

std::vector<Upload> optimizer_uploads(Engine& engine, const TrainingState& state,
                                      const Comparison& compare) {
  TensorsByName tensors = by_name(state.optimizer_tensors);
  std::vector<Upload> result;
  for (const StateTensor& mine : engine.optimizer().state().tensors) {
    if (mine.shape.empty()) {
      result.push_back(
          {mine.data, gather_parameters(engine.model(), mine.name + ".", tensors, compare)});
    } else {
      const NamedTensor& saved = take(tensors, mine.name, mine.shape, mine.data.size, compare);
      result.push_back({mine.data, saved.values});
    }
  }
  check_none_left(tensors, compare);
  return result;
}

void run_uploads(const Stream& stream, const std::vector<Upload>& uploads) {
  const SynchroniseOnExit idle(stream);
  for (const Upload& each : uploads)
    copy_bytes(stream, each.to.data, each.from.data(), each.from.size() * sizeof(float));
  stream.synchronise();
}

/// Batches are numbered within an epoch: in its middle, the numbers must mean the same.
void check_position(const TrainerOptions& options, const TrainingState& state,
                    const Comparison& compare) {
  if (state.progress.batch_in_epoch == 0) return;
  const auto text = [](const TrainerOptions& o) {
    return "batches of " + std::to_string(o.batch) +
           (o.samples_per_epoch > 0 ? " of " + std::to_string(o.samples_per_epoch) + " samples"
                                    : std::string(" of all samples"));
  };
  if (text(state.options) != text(options))
    compare.refuse("stopped inside an epoch of " + text(state.options), text(options));
}

}  // namespace

TrainingState Trainer::state() {
  core_->finish_pending();
  if (core_->divergence) throw DivergenceError(*core_->divergence);
  Engine& engine = core_->engine;
  const Model& model = engine.model();
  TrainingState result;
  result.model = model.name();
  result.in_channels = model.in_channels();
  result.classes = model.classes();
  result.image_h = model.fixed_input().h;
  result.image_w = model.fixed_input().w;
  append_parameters(model, read_vector(stream(), engine.theta()), "", result.parameters);
  if (engine.taken_back().size > 0)
    append_parameters(model, read_vector(stream(), engine.taken_back()), "",
                      result.continued_parameters);
  result.optimizer = engine.optimizer().name();
  const OptimizerState optimizer = engine.optimizer().state();
  for (const StateTensor& tensor : optimizer.tensors) {
    std::vector<float> values = read_vector(stream(), tensor.data);
    if (tensor.shape.empty())
      append_parameters(model, values, tensor.name + ".", result.optimizer_tensors);
    else
      result.optimizer_tensors.push_back({tensor.name, tensor.shape, std::move(values)});
  }
  result.optimizer_scalars = optimizer.scalars;
  result.options = core_->options;
  result.progress = core_->progress;
  result.normalisation = core_->normalisation;
  result.class_names = core_->class_names;
  result.train_data = core_->train_data;
  check_finite(result);
  return result;
}

void Trainer::restore(const TrainingState& state, const std::string& source) {
  const Comparison compare(source);
  Engine& engine = core_->engine;
  check_model(engine.model(), state, compare);
  compare.same("optimiser", state.optimizer, core_->options.optimizer.name);
  check_position(core_->options, state, compare);
  check_normalisation_of(engine.model(), state.normalisation, source);
  std::vector<Upload> uploads = optimizer_uploads(engine, state, compare);
  uploads.push_back(theta_upload(engine, state.parameters, engine.theta(), compare));
  const bool goes_back = !state.continued_parameters.empty();
  if (goes_back) uploads.push_back(theta_upload(engine, state.continued_parameters, {}, compare));
  // Nothing is changed before everything was found to fit.
  core_->forget_pending();
  if (goes_back) uploads.back().to = engine.begin_from_another_theta();
  engine.optimizer().restore_scalars(state.optimizer_scalars);
  run_uploads(stream(), uploads);
  core_->options.seed = state.options.seed;
  core_->progress = state.progress;
  core_->normalisation = state.normalisation;
  core_->class_names = state.class_names;
  core_->train_data = state.train_data;
}

void Trainer::load_parameters(const TrainingState& state, const std::string& source) {
  const Comparison compare(source);
  check_model(core_->engine.model(), state, compare);
  check_normalisation_of(core_->engine.model(), state.normalisation, source);
  const Upload upload =
      theta_upload(core_->engine, state.parameters, core_->engine.theta(), compare);
  core_->forget_pending();
  run_uploads(stream(), {upload});
  if (state.normalisation) core_->normalisation = state.normalisation;
  core_->class_names = state.class_names;
}

}  // namespace curvseg
