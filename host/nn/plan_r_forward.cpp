// The R-forward pass as steps: the derivative of every activation along a direction v of the
// parameters (Pearlmutter, "Fast Exact Multiplication by the Hessian", Neural Computation 6, 1994).
//
//   convolution   Ry = Rx ⊛ w + x ⊛ Rw + Rb, times the ReLU's mask, with Rw and Rb taken from v
//   max pooling   Ry = Rx at the stored winners
//   anything else is linear: the layer itself, on Rx
//
// The image and whatever no parameter leads to has R = 0: no memory, no steps.
#include "host/nn/schedule_builder.hpp"

namespace curvseg {
namespace {

class RForwardPlanner {
 public:
  explicit RForwardPlanner(ScheduleBuilder& builder) : builder_(builder) {}

  void plan() {
    for (int i = 1; i < builder_.node_count(); ++i)
      if (builder_.needs_gradient(i)) plan_node(i);
  }

 private:
  void plan_node(int i) {
    switch (builder_.node(i).kind) {
      case NodeKind::kConv:
      case NodeKind::kConvTranspose:
        return plan_convolution(i);
      case NodeKind::kMaxPool:
        return plan_max_pool(i);
      case NodeKind::kAveragePool:
        return plan_linear(i, StepKind::kAveragePoolForward);
      case NodeKind::kUpsample:
        return plan_linear(i, StepKind::kUpsampleForward);
      case NodeKind::kRelu:
        return plan_relu(i);
      case NodeKind::kConcat:
        return plan_concat(i);
      case NodeKind::kAdd:
        return plan_add(i);
      case NodeKind::kInput:
        return;
    }
  }

  bool moves(int node) const { return builder_.needs_gradient(node); }

  void plan_convolution(int i) {
    const Node& node = builder_.node(i);
    const auto w = filter_view<const float>(node, nullptr);
    const bool transposed = node.kind == NodeKind::kConvTranspose;
    Step step;
    step.kind = transposed ? StepKind::kConvTransposeRForward : StepKind::kConvRForward;
    step.node = i;
    step.x = builder_.activation(node.inputs[0]);
    step.rx = builder_.r_activation(node.inputs[0]);
    step.out = builder_.r_activation(i);
    if (node.relu) step.mask = builder_.activation(i);
    step.accumulate = builder_.layout().accumulates[at(i)] && other_summand_moves(i);
    if (node.flatten) {
      step.x = ScheduleBuilder::flatten(step.x);
      if (step.rx.buffer != kNoBuffer) step.rx = ScheduleBuilder::flatten(step.rx);
    }
    const int terms = step.rx.buffer != kNoBuffer ? 2 : 1;
    builder_.set_workspace(
        step, transposed
                  ? conv2d_transpose_forward_workspace(builder_.device(), step.out.view.shape, w,
                                                       node.geometry, terms)
                  : conv2d_forward_workspace(builder_.device(), builder_.part(step.x.view.shape), w,
                                             node.geometry, terms));
    builder_.add_r_forward(step);
  }

  /// Of a convolution that adds itself to a sum: does its memory hold anything yet?
  bool other_summand_moves(int i) const {
    const Node& sum = builder_.node(builder_.layout().consumers[at(i)].front());
    return moves(sum.inputs[0] == i ? sum.inputs[1] : sum.inputs[0]);
  }

  void plan_max_pool(int i) {
    Step step = linear_step(i, StepKind::kMaxPoolSelect);
    step.index_buffer = builder_.index_buffer(i);
    builder_.add_r_forward(step);
  }

  Step linear_step(int i, StepKind kind) {
    Step step;
    step.kind = kind;
    step.node = i;
    step.rx = builder_.r_activation(builder_.node(i).inputs[0]);
    step.out = builder_.r_activation(i);
    return step;
  }

  void plan_linear(int i, StepKind kind) { builder_.add_r_forward(linear_step(i, kind)); }

  void plan_relu(int i) {
    Step step = linear_step(i, StepKind::kReluBackward);
    step.x = builder_.activation(i);
    step.dy = step.rx;
    step.rx = {};
    builder_.add_r_forward(step);
  }

  void copy_input(int i, std::size_t edge, bool accumulate, Operand to) {
    Step step;
    step.kind = StepKind::kCopy;
    step.node = i;
    step.rx = builder_.r_activation(builder_.node(i).inputs[edge]);
    step.out = to;
    step.accumulate = accumulate;
    builder_.add_r_forward(step);
  }

  void plan_concat(int i) {
    const Node& node = builder_.node(i);
    const Operand whole = builder_.r_activation(i);
    int channel = 0;
    for (std::size_t edge = 0; edge < node.inputs.size(); ++edge) {
      const int input = node.inputs[edge];
      Operand slice = ScheduleBuilder::leading(whole, builder_.node(input).channels);
      slice.channel += channel;
      if (!moves(input)) {
        Step step;
        step.kind = StepKind::kZero;
        step.node = i;
        step.out = slice;
        builder_.add_r_forward(step);
      } else if (builder_.layout().forward_edges[at(i)][edge] == EdgeKind::kCopied) {
        copy_input(i, edge, false, slice);
      }
      channel += builder_.node(input).channels;
    }
  }

  void plan_add(int i) {
    const Node& node = builder_.node(i);
    const std::vector<EdgeKind>& edges = builder_.layout().forward_edges[at(i)];
    bool written = false;
    for (std::size_t edge = 0; edge < edges.size(); ++edge)
      written = written || (edges[edge] != EdgeKind::kCopied && moves(node.inputs[edge]));
    for (std::size_t edge = 0; edge < edges.size(); ++edge) {
      if (edges[edge] != EdgeKind::kCopied || !moves(node.inputs[edge])) continue;
      copy_input(i, edge, written, builder_.r_activation(i));
      written = true;
    }
  }

  ScheduleBuilder& builder_;
};

}  // namespace

void plan_r_forward(ScheduleBuilder& builder) { RForwardPlanner(builder).plan(); }

}  // namespace curvseg
