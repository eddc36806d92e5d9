#include "host/nn/executor.hpp"

#include <span>

namespace curvseg {
namespace {

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
        return bias_gradient(step, node);
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

  void bias_gradient(const Step& step, const Node& node) const {
    const VectorView db{call_.grad + offset(node.bias), node.channels};
    if (call_.squares)
      conv2d_backward_bias_squared(call_.stream, step.dy.view, call_.accumulate, step.workspace,
                                   db);
    else
      conv2d_backward_bias(call_.stream, step.dy.view, call_.accumulate, step.workspace, db);
  }

  void weight_gradient(const Step& step, const Node& node) const {
    if (call_.squares) return squared_weight_gradient(step, node);
    const Conv2dGradientOperands term{x_of(step), step.dy.view};
    const FilterView dw = filter_view<float>(node, call_.grad + offset(node.weight));
    if (step.kind == StepKind::kConvWeightGradient)
      conv2d_backward_weights(call_.stream, {&term, 1}, node.geometry, call_.accumulate,
                              step.workspace, dw);
    else
      conv2d_transpose_backward_weights(call_.stream, {&term, 1}, node.geometry, call_.accumulate,
                                        step.workspace, dw);
  }

  void squared_weight_gradient(const Step& step, const Node& node) const {
    const FilterView dw = filter_view<float>(node, call_.grad + offset(node.weight));
    if (step.kind == StepKind::kConvWeightGradient)
      conv2d_backward_weights_squared(call_.stream, x_of(step), step.dy.view, node.geometry,
                                      call_.accumulate, step.workspace, dw);
    else
      conv2d_transpose_backward_weights_squared(call_.stream, x_of(step), step.dy.view,
                                                node.geometry, call_.accumulate, step.workspace,
                                                dw);
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

/// The step on some images: their part of what is there for the whole batch, and the beginning of
/// what is of these images alone.
Step on_images(Step step, ImageRange images) {
  if (step.index) {
    const Shape& pooled = step.dy.buffer == kNoBuffer ? step.out.view.shape : step.dy.view.shape;
    step.index += images.first * (pooled.elements() / pooled.n);
  }
  for (Operand* operand : {&step.x, &step.rx, &step.dy, &step.rdy, &step.mask, &step.out}) {
    TensorView& view = operand->view;
    if (operand->whole) view.data += images.first * (view.shape.pixels() / view.shape.n) * view.ld;
    if (operand->buffer != kNoBuffer) view.shape.n = images.count;
  }
  return step;
}

}  // namespace

void execute(const Model& model, const std::vector<Step>& steps, const Call& call) {
  const Executor executor(model, call);
  for (const Step& step : steps) executor.run(step);
}

void execute_on_images(const Model& model, const std::vector<Step>& steps, Call call,
                       ImageRange images) {
  const Shape& shape = call.image.shape;
  call.image.data += images.first * (shape.pixels() / shape.n) * call.image.ld;
  call.image.shape.n = images.count;
  const Executor executor(model, call);
  for (const Step& step : steps) executor.run(on_images(step, images));
}

}  // namespace curvseg
