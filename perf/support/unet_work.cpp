#include "perf/support/unet_work.hpp"

#include <optional>
#include <random>
#include <stdexcept>
#include <vector>

#include "curvseg/model.hpp"
#include "curvseg/ops.hpp"
#include "host/nn/graph.hpp"

namespace curvseg::perf {
namespace {

std::vector<float> normal_numbers(std::int64_t count) {
  std::mt19937 engine(1);
  std::normal_distribution<float> normal;
  std::vector<float> result(static_cast<std::size_t>(count));
  for (float& value : result) value = normal(engine);
  return result;
}

std::vector<std::int32_t> random_labels(std::int64_t count, int classes) {
  std::mt19937 engine(2);
  std::vector<std::int32_t> result(static_cast<std::size_t>(count));
  for (std::int32_t& label : result)
    label = static_cast<std::int32_t>(engine() % static_cast<unsigned>(classes));
  return result;
}

/// Forward pass, loss and backward pass, as a training step does them.
class Gradient {
 public:
  Gradient(const Stream& stream, const Model& model, const Shape& input)
      : stream_(stream),
        plan_(model, stream.device(), input, PlanMode::kTraining),
        theta_(stream.device(), model.parameter_count()),
        grad_(stream.device(), model.parameter_count()),
        scalars_(stream.device(), 2),
        loss_memory_(stream.device(),
                     static_cast<std::int64_t>(
                         loss_workspace(stream.device(), plan_.output_shape()) / sizeof(float))) {
    fill(stream, {theta_.data(), theta_.size()}, 0.0f);
    model.initialise(stream, 1, {theta_.data(), theta_.size()});
  }

  void run(ConstTensorView x, const std::int32_t* labels) {
    const ConstVectorView theta{theta_.data(), theta_.size()};
    plan_.forward(stream_, theta, x);
    const ConstTensorView logits = plan_.output();
    const Workspace workspace{loss_memory_.data(), loss_memory_.bytes()};
    float* denominator = scalars_.data();
    label_weight(stream_, labels, logits.shape.pixels(), logits.shape.c, {}, false, workspace,
                 denominator);
    softmax_cross_entropy(stream_, logits, labels, denominator, {}, false, workspace,
                          denominator + 1, plan_.output_gradient());
    plan_.backward(stream_, theta, x, false, {grad_.data(), grad_.size()});
    stream_.synchronise();
  }

  std::size_t memory_bytes() const {
    return plan_.memory_bytes() + theta_.bytes() + grad_.bytes() + loss_memory_.bytes();
  }

 private:
  Stream stream_;
  Plan plan_;
  DeviceArray<float> theta_, grad_, scalars_, loss_memory_;
};

class Inference {
 public:
  Inference(const Stream& stream, const Model& model, const Shape& input)
      : stream_(stream),
        plan_(model, stream.device(), input, PlanMode::kInference),
        theta_(stream.device(), model.parameter_count()) {
    fill(stream, {theta_.data(), theta_.size()}, 0.0f);
    model.initialise(stream, 1, {theta_.data(), theta_.size()});
  }

  void run(ConstTensorView x) {
    plan_.forward(stream_, {theta_.data(), theta_.size()}, x);
    stream_.synchronise();
  }

  std::size_t memory_bytes() const { return plan_.memory_bytes() + theta_.bytes(); }

 private:
  Stream stream_;
  Plan plan_;
  DeviceArray<float> theta_;
};

TrainerOptions trainer_options(const UnetRun& options) {
  TrainerOptions result;
  result.optimizer.name = options.optimizer;
  AutoOptions& automatic = result.optimizer.automatic;
  if (options.optimizer == "auto-second-phase") {
    result.optimizer.name = "auto";
    automatic.foof_steps = 20;
    automatic.watched_steps = 10;
    automatic.measured_steps = 6;
  } else if (options.optimizer == "auto-watched") {
    result.optimizer.name = "auto";
    automatic.foof_steps = automatic.watched_steps = 1'000'000;
  }
  result.schedule.kind = ScheduleKind::kConstant;
  result.divergence_factor = 0.0;  // random labels teach nothing
  return result;
}

}  // namespace

UnetRun unet_options(Arguments& arguments) {
  UnetRun o;
  o.work = arguments.text("work", o.work);
  o.optimizer = arguments.text("optimizer", o.optimizer);
  o.width = arguments.number("width", o.width);
  o.depth = arguments.number("depth", o.depth);
  o.channels = arguments.number("channels", o.channels);
  o.classes = arguments.number("classes", o.classes);
  o.batch = arguments.number("batch", o.batch);
  o.height = o.image_width = arguments.number("size", o.height);
  return o;
}

struct UnetWork::State {
  State(const Device& device, const UnetRun& o)
      : stream(device),
        model(zoo::unet(o.channels, o.classes, {.width = o.width, .depth = o.depth})),
        images(device, {o.batch, o.height, o.image_width, o.channels}),
        labels(device, images.shape().pixels()) {
    images.upload(stream, normal_numbers(images.shape().elements()));
    const std::vector<std::int32_t> values = random_labels(labels.size(), o.classes);
    labels.upload(stream, values.data(), labels.size());
    stream.synchronise();
    if (o.work == "step")
      trainer.emplace(stream, model, trainer_options(o));
    else if (o.work == "gradient")
      gradient.emplace(stream, model, images.shape());
    else if (o.work == "inference")
      inference.emplace(stream, model, images.shape());
    else
      throw std::runtime_error("--work " + o.work + ": must be step, gradient or inference");
  }

  Stream stream;
  Model model;
  Tensor images;
  DeviceArray<std::int32_t> labels;
  std::optional<Trainer> trainer;
  std::optional<Gradient> gradient;
  std::optional<Inference> inference;
};

UnetWork::UnetWork(const Device& device, const UnetRun& options)
    : state_(std::make_unique<State>(device, options)) {}
UnetWork::~UnetWork() = default;

void UnetWork::run() {
  State& s = *state_;
  if (s.trainer) {
    s.trainer->step(s.images, s.labels.data());
    s.trainer->last_step();
  } else if (s.gradient) {
    s.gradient->run(s.images, s.labels.data());
  } else {
    s.inference->run(s.images);
  }
}

std::string UnetWork::model_name() const { return state_->model.name(); }

std::int64_t UnetWork::parameters() const {
  std::int64_t sum = 0;
  for (const Parameter& p : state_->model.parameters()) sum += p.size;
  return sum;
}

double UnetWork::flops() const {
  const std::vector<Node>& nodes = state_->model.nodes();
  const std::vector<Shape> shapes = infer_shapes(nodes, state_->images.shape());
  double sum = 0.0;
  for (std::size_t i = 0; i < nodes.size(); ++i) {
    if (!is_convolution(nodes[i])) continue;
    const auto input = static_cast<std::size_t>(nodes[i].inputs[0]);
    // A tap is used once an output; of a transposed convolution once an input.
    const Shape& uses = shapes[nodes[i].kind == NodeKind::kConv ? i : input];
    const double forward = 2.0 * static_cast<double>(uses.pixels()) *
                           static_cast<double>(filter_view<float>(nodes[i], nullptr).elements());
    const double passes = state_->inference ? 1.0 : input == 0 ? 2.0 : 3.0;
    sum += passes * forward;
  }
  return sum;
}

std::size_t UnetWork::memory_bytes() const {
  const State& s = *state_;
  const std::size_t own =
      static_cast<std::size_t>(s.images.shape().elements()) * sizeof(float) + s.labels.bytes();
  if (s.trainer) return own + s.trainer->memory_bytes();
  return own + (s.gradient ? s.gradient->memory_bytes() : s.inference->memory_bytes());
}

}  // namespace curvseg::perf
