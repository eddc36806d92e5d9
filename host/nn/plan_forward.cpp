// The forward pass as steps.
#include "host/nn/schedule_builder.hpp"

namespace curvseg {
namespace {

Step layer_step(ScheduleBuilder& builder, StepKind kind, int i) {
  Step step;
  step.kind = kind;
  step.node = i;
  step.x = builder.activation(builder.node(i).inputs[0]);
  step.out = builder.activation(i);
  step.accumulate = builder.layout().accumulates[at(i)];
  return step;
}

void plan_convolution(ScheduleBuilder& builder, int i) {
  const Node& node = builder.node(i);
  const auto w = filter_view<const float>(node, nullptr);
  const bool transposed = node.kind == NodeKind::kConvTranspose;
  Step step =
      layer_step(builder, transposed ? StepKind::kConvTransposeForward : StepKind::kConvForward, i);
  if (node.flatten) step.x = ScheduleBuilder::flatten(step.x);
  builder.set_workspace(
      step, transposed
                ? conv2d_transpose_forward_workspace(builder.device(), step.out.view.shape, w,
                                                     node.geometry)
                : conv2d_forward_workspace(builder.device(), step.x.view.shape, w, node.geometry));
  builder.add_forward(step);
}

void plan_max_pool(ScheduleBuilder& builder, int i) {
  Step step = layer_step(builder, StepKind::kMaxPoolForward, i);
  // Only a gradient that goes on through the pooling asks for its winners.
  if (builder.training() && builder.needs_gradient(i)) step.index_buffer = builder.index_buffer(i);
  builder.add_forward(step);
}

void copy_input(ScheduleBuilder& builder, int i, std::size_t edge, bool accumulate, Operand to) {
  Step step;
  step.kind = StepKind::kCopy;
  step.node = i;
  step.x = builder.activation(builder.node(i).inputs[edge]);
  step.out = to;
  step.accumulate = accumulate;
  builder.add_forward(step);
}

void plan_concat(ScheduleBuilder& builder, int i) {
  const Node& node = builder.node(i);
  const Operand whole = builder.activation(i);
  int channel = 0;
  for (std::size_t edge = 0; edge < node.inputs.size(); ++edge) {
    const int channels = builder.node(node.inputs[edge]).channels;
    if (builder.layout().forward_edges[at(i)][edge] == EdgeKind::kCopied) {
      Operand to = ScheduleBuilder::leading(whole, channels);
      to.channel += channel;
      copy_input(builder, i, edge, false, to);
    }
    channel += channels;
  }
}

void plan_add(ScheduleBuilder& builder, int i) {
  const std::vector<EdgeKind>& edges = builder.layout().forward_edges[at(i)];
  bool written = edges[0] != EdgeKind::kCopied || edges[1] != EdgeKind::kCopied;
  for (std::size_t edge = 0; edge < edges.size(); ++edge) {
    if (edges[edge] != EdgeKind::kCopied) continue;
    copy_input(builder, i, edge, written, builder.activation(i));
    written = true;
  }
}

}  // namespace

void plan_forward(ScheduleBuilder& builder) {
  for (int i = 1; i < builder.node_count(); ++i) {
    switch (builder.node(i).kind) {
      case NodeKind::kConv:
      case NodeKind::kConvTranspose:
        plan_convolution(builder, i);
        break;
      case NodeKind::kMaxPool:
        plan_max_pool(builder, i);
        break;
      case NodeKind::kAveragePool:
        builder.add_forward(layer_step(builder, StepKind::kAveragePoolForward, i));
        break;
      case NodeKind::kUpsample:
        builder.add_forward(layer_step(builder, StepKind::kUpsampleForward, i));
        break;
      case NodeKind::kRelu:
        builder.add_forward(layer_step(builder, StepKind::kReluForward, i));
        break;
      case NodeKind::kConcat:
        plan_concat(builder, i);
        break;
      case NodeKind::kAdd:
        plan_add(builder, i);
        break;
      case NodeKind::kInput:
        break;
    }
  }
}

}  // namespace curvseg
