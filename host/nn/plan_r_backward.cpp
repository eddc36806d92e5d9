// The R-backward pass as steps: every step of the backward pass beside its derivative along a
// direction v of the parameters (Pearlmutter 1994).
//
//   Rdw = x ⊛ Rdy + Rx ⊛ dy,   Rdx = Rdy ⊛ᵀ w + dy ⊛ᵀ Rw,   Rdb = Σ Rdy
//
// with Rw taken from v, and masks and winners as stored; the other layers are linear, so that
// their backward step runs on Rdy. The gradients dy are in memory of their own: kept, for the whole
// batch and any number of products, or computed anew beside Rdy.
#include "host/nn/schedule_builder.hpp"

namespace curvseg {
namespace {

class RBackwardPlanner {
 public:
  explicit RBackwardPlanner(ScheduleBuilder& builder) : builder_(builder) {}

  void plan() {
    for (const Step& step : std::vector<Step>(builder_.backward_steps())) plan_step(step);
  }

  void plan_kept() {
    for (const Step& step : std::vector<Step>(builder_.backward_steps()))
      if (step.out.buffer != kNoBuffer) builder_.add_kept_backward(repeated(step));
  }

 private:
  void plan_step(const Step& step) {
    switch (step.kind) {
      case StepKind::kBiasGradient:
        return plan_bias_gradient(step);
      case StepKind::kConvWeightGradient:
        return plan_weight_gradient(step, StepKind::kConvRWeightGradient);
      case StepKind::kConvTransposeWeightGradient:
        return plan_weight_gradient(step, StepKind::kConvTransposeRWeightGradient);
      case StepKind::kConvDataGradient:
        return plan_data_gradient(step, StepKind::kConvRDataGradient);
      case StepKind::kConvTransposeDataGradient:
        return plan_data_gradient(step, StepKind::kConvTransposeRDataGradient);
      default:
        return plan_linear(step);
    }
  }

  /// The step of the backward pass again, on gradients of its own.
  Step repeated(Step step) {
    step.dy = builder_.repeated(step.dy);
    if (step.out.buffer != kNoBuffer) step.out = builder_.repeated(step.out);
    return with_workspace(step, step.workspace.bytes);
  }
  Step on_derivatives(Step step) {
    step.dy = builder_.r_gradient(step.dy);
    if (step.out.buffer != kNoBuffer) step.out = builder_.r_gradient(step.out);
    return with_workspace(step, step.workspace.bytes);
  }
  Step with_workspace(Step step, std::size_t bytes) {
    step.workspace_buffer = kNoBuffer;
    builder_.set_workspace(step, bytes);
    return step;
  }

  /// Unless its gradients are kept.
  void repeat(const Step& step) {
    if (!builder_.keeps_gradients()) builder_.add_r_backward(repeated(step));
  }

  void plan_linear(const Step& step) {
    repeat(step);
    builder_.add_r_backward(on_derivatives(step));
  }

  void plan_bias_gradient(const Step& step) { builder_.add_r_backward(on_derivatives(step)); }

  void plan_weight_gradient(const Step& step, StepKind kind) {
    const Node& node = builder_.node(step.node);
    Step r = repeated(step);
    r.kind = kind;
    r.rdy = builder_.r_gradient(step.dy);
    r.rx = builder_.r_activation(node.inputs[0]);
    if (node.flatten && r.rx.buffer != kNoBuffer) r.rx = ScheduleBuilder::flatten(r.rx);
    builder_.add_r_backward(r);
  }

  void plan_data_gradient(const Step& step, StepKind kind) {
    const Node& node = builder_.node(step.node);
    const auto w = filter_view<const float>(node, nullptr);
    repeat(step);
    Step r = step;
    r.kind = kind;
    r.dy = builder_.repeated(step.dy);
    r.rdy = builder_.r_gradient(step.dy);
    r.out = builder_.r_gradient(step.out);
    builder_.add_r_backward(
        with_workspace(r, kind == StepKind::kConvTransposeRDataGradient
                              ? conv2d_transpose_backward_data_workspace(
                                    builder_.device(), r.dy.view.shape, w, node.geometry, 2)
                              : conv2d_backward_data_workspace(builder_.device(), r.out.view.shape,
                                                               w, node.geometry, 2)));
  }

  ScheduleBuilder& builder_;
};

}  // namespace

void plan_kept_backward(ScheduleBuilder& builder) { RBackwardPlanner(builder).plan_kept(); }

void plan_r_backward(ScheduleBuilder& builder) { RBackwardPlanner(builder).plan(); }

}  // namespace curvseg
