#include <stdexcept>

#include "curvseg/error.hpp"
#include "host/nn/schedule.hpp"

namespace curvseg {
namespace {

/// One call: what varies between calls of the same plan.
struct Call {
  const Stream& stream;
  const float* theta;
  ConstTensorView image;
  float* grad;
  bool accumulate;  // into grad
};

class Executor {
 public:
  Executor(const Model& model, const Call& call) : model_(model), call_(call) {}

  void run(const Step& step) const {
    const Node& node = model_.nodes()[static_cast<std::size_t>(step.node)];
    switch (step.kind) {
      case StepKind::kConvForward:
      case StepKind::kConvTransposeForward:
        return convolve(step, node);
      case StepKind::kMaxPoolForward:
        return max_pool_forward(call_.stream, x_of(step), node.window, step.out.view, step.index);
      case StepKind::kAveragePoolForward:
        return average_pool_forward(call_.stream, x_of(step), node.window, node.count_include_pad,
                                    step.out.view);
      case StepKind::kUpsampleForward:
        return bilinear_forward(call_.stream, x_of(step), step.out.view);
      case StepKind::kReluForward:
        return relu_forward(call_.stream, x_of(step), step.out.view);
      case StepKind::kCopy:
        return copy(step);
      case StepKind::kReluBackward:
        return relu_backward(call_.stream, step.x.view, step.dy.view, step.accumulate,
                             step.out.view);
      case StepKind::kBiasGradient:
        return conv2d_backward_bias(call_.stream, step.dy.view, call_.accumulate, step.workspace,
                                    bias_gradient(node));
      case StepKind::kConvWeightGradient:
      case StepKind::kConvTransposeWeightGradient:
        return weight_gradient(step, node);
      case StepKind::kConvDataGradient:
      case StepKind::kConvTransposeDataGradient:
        return data_gradient(step, node);
      case StepKind::kMaxPoolBackward:
        return max_pool_backward(call_.stream, step.dy.view, step.index, node.window,
                                 {step.mask.view, step.accumulate}, step.out.view);
      case StepKind::kAveragePoolBackward:
        return average_pool_backward(call_.stream, step.dy.view, node.window,
                                     node.count_include_pad, {step.mask.view, step.accumulate},
                                     step.out.view);
      case StepKind::kUpsampleBackward:
        return bilinear_backward(call_.stream, step.dy.view, {step.mask.view, step.accumulate},
                                 step.out.view);
    }
  }

 private:
  /// The image of this call, or an activation of the plan.
  ConstTensorView x_of(const Step& step) const {
    if (step.x.buffer != kImage) return step.x.view;
    if (step.x.view.shape == call_.image.shape) return call_.image;
    return {call_.image.data, step.x.view.shape};  // flattened; forward() saw that it is dense
  }

  ConstFilterView weights(const Node& node) const {
    return filter_view<const float>(node, call_.theta + offset(node.weight));
  }
  ConstVectorView bias(const Node& node) const {
    if (node.bias < 0) return {};
    return {call_.theta + offset(node.bias), node.channels};
  }
  VectorView bias_gradient(const Node& node) const {
    return {call_.grad + offset(node.bias), node.channels};
  }
  std::int64_t offset(int parameter) const {
    return model_.parameters()[static_cast<std::size_t>(parameter)].offset;
  }

  void convolve(const Step& step, const Node& node) const {
    const Conv2dForwardOptions options{.geometry = node.geometry,
                                       .bias = bias(node),
                                       .relu = node.relu,
                                       .mask = {},
                                       .accumulate = step.accumulate};
    const Conv2dOperands term{x_of(step), weights(node)};
    if (step.kind == StepKind::kConvForward)
      conv2d_forward(call_.stream, {&term, 1}, options, step.workspace, step.out.view);
    else
      conv2d_transpose_forward(call_.stream, {&term, 1}, options, step.workspace, step.out.view);
  }

  void weight_gradient(const Step& step, const Node& node) const {
    const Conv2dGradientOperands term{x_of(step), step.dy.view};
    const FilterView dw = filter_view<float>(node, call_.grad + offset(node.weight));
    if (step.kind == StepKind::kConvWeightGradient)
      conv2d_backward_weights(call_.stream, {&term, 1}, node.geometry, call_.accumulate,
                              step.workspace, dw);
    else
      conv2d_transpose_backward_weights(call_.stream, {&term, 1}, node.geometry, call_.accumulate,
                                        step.workspace, dw);
  }

  void data_gradient(const Step& step, const Node& node) const {
    const Conv2dBackwardDataOptions options{
        .geometry = node.geometry, .mask = step.mask.view, .accumulate = step.accumulate};
    const Conv2dOperands term{step.dy.view, weights(node)};
    if (step.kind == StepKind::kConvDataGradient)
      conv2d_backward_data(call_.stream, {&term, 1}, options, step.workspace, step.out.view);
    else
      conv2d_transpose_backward_data(call_.stream, {&term, 1}, options, step.workspace,
                                     step.out.view);
  }

  void copy(const Step& step) const {
    const ConstTensorView from =
        step.dy.buffer != kNoBuffer ? ConstTensorView(step.dy.view) : x_of(step);
    copy_tensor(call_.stream, from, 1.0f, step.accumulate, step.out.view);
  }

  const Model& model_;
  const Call& call_;
};

bool reads_flattened_image(const Model& model) {
  for (const Node& node : model.nodes())
    if (node.flatten && node.inputs[0] == 0) return true;
  return false;
}

}  // namespace

struct Plan::State {
  State(const Model& m, const Device& d, const Shape& shape, PlanMode plan_mode)
      : model(m), device(d), mode(plan_mode), input(shape) {
    check_input();
    schedule = plan_schedule(model, device, input, mode);
    output_shape = schedule.output.view.shape;
    place_buffers();
    dense_image = reads_flattened_image(model);
  }

  void check_input() const {
    const Shape fixed = model.fixed_input();
    if (input.c != model.in_channels())
      throw InputError(model.name() + ": it takes images of " +
                       std::to_string(model.in_channels()) + " channels, the input " +
                       to_string(input) + " has " + std::to_string(input.c));
    if (fixed.h > 0 && (input.h != fixed.h || input.w != fixed.w))
      throw InputError(model.name() + ": it was made for images of " + std::to_string(fixed.h) +
                       "x" + std::to_string(fixed.w) + ", the input is " + std::to_string(input.h) +
                       "x" + std::to_string(input.w));
    if (input.n < 1 || input.h < 1 || input.w < 1)
      throw InputError(model.name() + ": the input " + to_string(input) + " is empty");
  }

  void place_buffers() {
    const MemoryPlan memory = plan_memory(schedule.buffers);
    bytes = memory.bytes;
    arena = DeviceArray<float>(device, bytes / static_cast<std::int64_t>(sizeof(float)));
    const auto address = [&](int buffer) {
      return arena.data() + memory.offsets[static_cast<std::size_t>(buffer)] /
                                static_cast<std::int64_t>(sizeof(float));
    };
    const auto place = [&](Operand& operand) {
      if (operand.buffer >= 0) operand.view.data = address(operand.buffer) + operand.channel;
    };
    for (std::vector<Step>* steps : {&schedule.forward, &schedule.backward})
      for (Step& step : *steps) {
        for (Operand* operand : {&step.x, &step.dy, &step.mask, &step.out}) place(*operand);
        if (step.index_buffer >= 0)
          step.index = reinterpret_cast<std::uint16_t*>(address(step.index_buffer));
        if (step.workspace_buffer >= 0) step.workspace.data = address(step.workspace_buffer);
      }
    place(schedule.output);
    place(schedule.output_gradient);
  }

  void check_call(const char* pass, const Stream& stream, const ConstVectorView& theta,
                  const ConstTensorView& x) const {
    const std::string where = model.name() + ": " + pass + ": ";
    if (!(stream.device() == device))
      throw std::invalid_argument(where + "the stream belongs to another device than the plan");
    if (theta.size != model.parameter_count())
      throw std::invalid_argument(where + "theta has " + std::to_string(theta.size) +
                                  " elements, the model has " +
                                  std::to_string(model.parameter_count()));
    if (!(x.shape == input))
      throw std::invalid_argument(where + "x is " + to_string(x.shape) +
                                  ", the plan was made for " + to_string(input));
    if (dense_image && !x.dense())
      throw std::invalid_argument(where + "x has pixel stride " + std::to_string(x.ld) +
                                  ", its first layer is dense and needs " +
                                  std::to_string(x.shape.c));
  }

  Model model;
  Device device;
  PlanMode mode;
  Shape input, output_shape;
  Schedule schedule;
  DeviceArray<float> arena;
  std::int64_t bytes = 0;
  bool dense_image = false;
  bool ready_for_backward = false;
};

Plan::Plan(const Model& model, const Device& device, Shape input, PlanMode mode)
    : state_(std::make_unique<State>(model, device, input, mode)) {}
Plan::~Plan() = default;
Plan::Plan(Plan&&) noexcept = default;
Plan& Plan::operator=(Plan&&) noexcept = default;

const Shape& Plan::input_shape() const { return state_->input; }
const Shape& Plan::output_shape() const { return state_->output_shape; }
std::size_t Plan::memory_bytes() const { return static_cast<std::size_t>(state_->bytes); }
TensorView Plan::output() const { return state_->schedule.output.view; }

TensorView Plan::output_gradient() const {
  if (state_->mode != PlanMode::kTraining)
    throw std::logic_error(state_->model.name() + ": a plan for inference has no gradient");
  return state_->schedule.output_gradient.view;
}

void Plan::forward(const Stream& stream, ConstVectorView theta, ConstTensorView x) {
  state_->check_call("forward", stream, theta, x);
  const Call call{stream, theta.data, x, nullptr, false};
  const Executor executor(state_->model, call);
  for (const Step& step : state_->schedule.forward) executor.run(step);
  state_->ready_for_backward = state_->mode == PlanMode::kTraining;
}

void Plan::backward(const Stream& stream, ConstVectorView theta, ConstTensorView x, bool accumulate,
                    VectorView grad) {
  state_->check_call("backward", stream, theta, x);
  if (grad.size != state_->model.parameter_count())
    throw std::invalid_argument(state_->model.name() + ": backward: grad has " +
                                std::to_string(grad.size) + " elements, the model has " +
                                std::to_string(state_->model.parameter_count()));
  if (!state_->ready_for_backward)
    throw std::logic_error(state_->model.name() +
                           ": backward: it follows a forward() of a plan for training, once");
  state_->ready_for_backward = false;
  if (!accumulate)
    for (const Gap& gap : state_->schedule.gaps)
      fill(stream, {grad.data + gap.first, gap.count}, 0.0f);
  const Call call{stream, theta.data, x, grad.data, accumulate};
  const Executor executor(state_->model, call);
  for (const Step& step : state_->schedule.backward) executor.run(step);
}

}  // namespace curvseg
