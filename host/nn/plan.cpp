#include <span>
#include <stdexcept>

#include "curvseg/error.hpp"
#include "host/nn/schedule.hpp"

namespace curvseg {
namespace {

/// One call: what varies between calls of the same plan.
struct Call {
  const Stream& stream;
  const float* theta;
  const float* direction;  // of the R-pass
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
      case StepKind::kConvRForward:
      case StepKind::kConvTransposeRForward:
        return r_convolve(step, node);
      case StepKind::kMaxPoolSelect:
        return max_pool_select(call_.stream, step.rx.view, step.index, node.window, step.out.view);
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
      case StepKind::kZero:
        return copy_tensor(call_.stream, step.out.view, 0.0f, false, step.out.view);
      case StepKind::kReluBackward:
        return relu_backward(call_.stream, step.x.view, step.dy.view, step.accumulate,
                             step.out.view);
      case StepKind::kBiasGradient:
        return conv2d_backward_bias(call_.stream, step.dy.view, call_.accumulate, step.workspace,
                                    bias_gradient(node));
      case StepKind::kConvWeightGradient:
      case StepKind::kConvTransposeWeightGradient:
        return weight_gradient(step, node);
      case StepKind::kConvRWeightGradient:
      case StepKind::kConvTransposeRWeightGradient:
        return r_weight_gradient(step, node);
      case StepKind::kConvRDataGradient:
      case StepKind::kConvTransposeRDataGradient:
        return r_data_gradient(step, node);
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
  /// The image of this call, or an activation of the plan, or the derivative of one.
  ConstTensorView x_of(const Step& step) const {
    if (step.x.buffer == kNoBuffer) return step.rx.view;
    if (step.x.buffer != kImage) return step.x.view;
    if (step.x.view.shape == call_.image.shape) return call_.image;
    return {call_.image.data, step.x.view.shape};  // flattened; forward() saw that it is dense
  }

  /// Of theta, or of the direction.
  ConstFilterView weights(const Node& node, const float* parameters) const {
    return filter_view<const float>(node, parameters + offset(node.weight));
  }
  ConstVectorView bias(const Node& node, const float* parameters) const {
    if (node.bias < 0) return {};
    return {parameters + offset(node.bias), node.channels};
  }
  VectorView bias_gradient(const Node& node) const {
    return {call_.grad + offset(node.bias), node.channels};
  }
  std::int64_t offset(int parameter) const {
    return model_.parameters()[static_cast<std::size_t>(parameter)].offset;
  }

  void convolve(const Step& step, const Node& node) const {
    const Conv2dForwardOptions options{.geometry = node.geometry,
                                       .bias = bias(node, call_.theta),
                                       .relu = node.relu,
                                       .mask = {},
                                       .accumulate = step.accumulate};
    const Conv2dOperands term{x_of(step), weights(node, call_.theta)};
    if (step.kind == StepKind::kConvForward)
      conv2d_forward(call_.stream, {&term, 1}, options, step.workspace, step.out.view);
    else
      conv2d_transpose_forward(call_.stream, {&term, 1}, options, step.workspace, step.out.view);
  }

  void r_convolve(const Step& step, const Node& node) const {
    const Conv2dForwardOptions options{.geometry = node.geometry,
                                       .bias = bias(node, call_.direction),
                                       .relu = false,
                                       .mask = step.mask.view,
                                       .accumulate = step.accumulate};
    const Conv2dOperands terms[] = {{x_of(step), weights(node, call_.direction)},
                                    {step.rx.view, weights(node, call_.theta)}};
    const std::span used(terms, step.rx.buffer == kNoBuffer ? 1 : 2);
    if (step.kind == StepKind::kConvRForward)
      conv2d_forward(call_.stream, used, options, step.workspace, step.out.view);
    else
      conv2d_transpose_forward(call_.stream, used, options, step.workspace, step.out.view);
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
    const Conv2dOperands term{step.dy.view, weights(node, call_.theta)};
    if (step.kind == StepKind::kConvDataGradient)
      conv2d_backward_data(call_.stream, {&term, 1}, options, step.workspace, step.out.view);
    else
      conv2d_transpose_backward_data(call_.stream, {&term, 1}, options, step.workspace,
                                     step.out.view);
  }

  void r_weight_gradient(const Step& step, const Node& node) const {
    const Conv2dGradientOperands terms[] = {{x_of(step), step.rdy.view},
                                            {step.rx.view, step.dy.view}};
    const std::span used(terms, step.rx.buffer == kNoBuffer ? 1 : 2);
    const FilterView dw = filter_view<float>(node, call_.grad + offset(node.weight));
    if (step.kind == StepKind::kConvRWeightGradient)
      conv2d_backward_weights(call_.stream, used, node.geometry, call_.accumulate, step.workspace,
                              dw);
    else
      conv2d_transpose_backward_weights(call_.stream, used, node.geometry, call_.accumulate,
                                        step.workspace, dw);
  }

  void r_data_gradient(const Step& step, const Node& node) const {
    const Conv2dBackwardDataOptions options{
        .geometry = node.geometry, .mask = step.mask.view, .accumulate = step.accumulate};
    const Conv2dOperands terms[] = {{step.rdy.view, weights(node, call_.theta)},
                                    {step.dy.view, weights(node, call_.direction)}};
    if (step.kind == StepKind::kConvRDataGradient)
      conv2d_backward_data(call_.stream, terms, options, step.workspace, step.out.view);
    else
      conv2d_transpose_backward_data(call_.stream, terms, options, step.workspace, step.out.view);
  }

  void copy(const Step& step) const {
    const ConstTensorView from =
        step.dy.buffer != kNoBuffer ? ConstTensorView(step.dy.view) : x_of(step);
    copy_tensor(call_.stream, from, 1.0f, step.accumulate, step.out.view);
  }

  const Model& model_;
  const Call& call_;
};

/// The step on the first images of the batch: of every tensor the beginning.
Step first_images(Step step, int images) {
  for (Operand* operand : {&step.x, &step.rx, &step.dy, &step.rdy, &step.mask, &step.out})
    if (operand->buffer != kNoBuffer) operand->view.shape.n = images;
  return step;
}

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

  void require_curvature(const char* what) const {
    if (mode != PlanMode::kCurvature && mode != PlanMode::kHessian)
      throw std::logic_error(model.name() + ": " + what + ": the plan is not for curvature");
  }

  void require_hessian(const char* what) const {
    if (mode != PlanMode::kHessian)
      throw std::logic_error(model.name() + ": " + what + ": the plan is not for the Hessian");
  }

  void check_vector(const char* pass, const char* name, std::int64_t size) const {
    if (size != model.parameter_count())
      throw std::invalid_argument(model.name() + ": " + pass + ": " + name + " has " +
                                  std::to_string(size) + " elements, the model has " +
                                  std::to_string(model.parameter_count()));
  }

  void zero_gaps(const Stream& stream, const VectorView& grad) const {
    for (const Gap& gap : schedule.gaps) fill(stream, {grad.data + gap.first, gap.count}, 0.0f);
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
    for (std::vector<Step>* steps :
         {&schedule.forward, &schedule.backward, &schedule.r_forward, &schedule.r_backward})
      for (Step& step : *steps) {
        for (Operand* operand : {&step.x, &step.rx, &step.dy, &step.rdy, &step.mask, &step.out})
          place(*operand);
        if (step.index_buffer >= 0)
          step.index = reinterpret_cast<std::uint16_t*>(address(step.index_buffer));
        if (step.workspace_buffer >= 0) step.workspace.data = address(step.workspace_buffer);
      }
    place(schedule.output);
    place(schedule.r_output);
    place(schedule.output_gradient);
    place(schedule.repeated_output_gradient);
    place(schedule.r_output_gradient);
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
  bool ready_for_r_backward = false;
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
  if (state_->mode == PlanMode::kInference)
    throw std::logic_error(state_->model.name() + ": a plan for inference has no gradient");
  return state_->schedule.output_gradient.view;
}

void Plan::forward(const Stream& stream, ConstVectorView theta, ConstTensorView x) {
  state_->check_call("forward", stream, theta, x);
  const Call call{stream, theta.data, nullptr, x, nullptr, false};
  const Executor executor(state_->model, call);
  for (const Step& step : state_->schedule.forward) executor.run(step);
  state_->ready_for_backward = state_->mode != PlanMode::kInference;
  state_->ready_for_r_backward = false;
}

TensorView Plan::r_output() const {
  state_->require_curvature("r_output");
  return state_->schedule.r_output.view;
}

void Plan::r_forward(const Stream& stream, ConstVectorView theta, ConstVectorView v,
                     ConstTensorView x, int images) {
  state_->require_curvature("r_forward");
  state_->check_call("r_forward", stream, theta, x);
  state_->check_vector("r_forward", "v", v.size);
  if (images < 0 || images > x.shape.n)
    throw std::invalid_argument(state_->model.name() + ": r_forward: the first " +
                                std::to_string(images) + " images are asked for, the batch has " +
                                std::to_string(x.shape.n));
  if (!state_->ready_for_backward)
    throw std::logic_error(state_->model.name() + ": r_forward: it follows a forward()");
  const bool all = images == 0 || images == x.shape.n;
  if (!all) x.shape.n = images;
  const Call call{stream, theta.data, v.data, x, nullptr, false};
  const Executor executor(state_->model, call);
  for (const Step& step : state_->schedule.r_forward)
    executor.run(all ? step : first_images(step, images));
  state_->ready_for_r_backward = all && state_->mode == PlanMode::kHessian;
}

ConstTensorView Plan::layer_input(int node, ConstTensorView x) const {
  state_->require_curvature("layer_input");
  for (const Step& step : state_->schedule.forward) {
    if (step.node != node || !is_convolution(state_->model.nodes()[static_cast<std::size_t>(node)]))
      continue;
    if (step.x.buffer != kImage) return step.x.view;
    return step.x.view.shape == x.shape ? x : ConstTensorView{x.data, step.x.view.shape};
  }
  throw std::invalid_argument(state_->model.name() + ": layer_input: node " + std::to_string(node) +
                              " is no convolution or dense layer");
}

TensorView Plan::repeated_output_gradient() const {
  state_->require_hessian("repeated_output_gradient");
  return state_->schedule.repeated_output_gradient.view;
}

TensorView Plan::r_output_gradient() const {
  state_->require_hessian("r_output_gradient");
  return state_->schedule.r_output_gradient.view;
}

void Plan::r_backward(const Stream& stream, ConstVectorView theta, ConstVectorView v,
                      ConstTensorView x, bool accumulate, VectorView product) {
  state_->require_hessian("r_backward");
  state_->check_call("r_backward", stream, theta, x);
  state_->check_vector("r_backward", "v", v.size);
  state_->check_vector("r_backward", "product", product.size);
  if (!state_->ready_for_r_backward)
    throw std::logic_error(state_->model.name() + ": r_backward: it follows an r_forward(), once");
  state_->ready_for_r_backward = false;
  if (!accumulate) state_->zero_gaps(stream, product);
  const Call call{stream, theta.data, v.data, x, product.data, accumulate};
  const Executor executor(state_->model, call);
  for (const Step& step : state_->schedule.r_backward) executor.run(step);
}

void Plan::backward(const Stream& stream, ConstVectorView theta, ConstTensorView x, bool accumulate,
                    VectorView grad) {
  state_->check_call("backward", stream, theta, x);
  state_->check_vector("backward", "grad", grad.size);
  if (!state_->ready_for_backward)
    throw std::logic_error(state_->model.name() +
                           ": backward: it follows a forward() of a plan for training, once");
  state_->ready_for_backward = state_->mode != PlanMode::kTraining;
  state_->ready_for_r_backward = false;
  if (!accumulate) state_->zero_gaps(stream, grad);
  const Call call{stream, theta.data, nullptr, x, grad.data, accumulate};
  const Executor executor(state_->model, call);
  for (const Step& step : state_->schedule.backward) executor.run(step);
}

}  // namespace curvseg
