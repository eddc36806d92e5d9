// The backward pass as steps, from the output to the image.
//
// A gradient is complete when every consumer of its node has been visited. The first to write it
// overwrites, the others add. The last one also applies the derivative of the ReLU that made the
// node's output, as the mask of its epilogue, so that a convolution finds its gradient masked;
// where the last writer cannot, one ReLU pass of its own follows.
#include <algorithm>

#include "host/nn/schedule_builder.hpp"

namespace curvseg {
namespace {

class BackwardPlanner {
 public:
  explicit BackwardPlanner(ScheduleBuilder& builder)
      : builder_(builder),
        written_(at(builder.node_count()), false),
        masked_(at(builder.node_count()), 0) {
    written_.back() = true;  // by the loss
  }

  void plan() {
    for (int i = builder_.node_count() - 1; i > 0; --i)
      if (builder_.needs_gradient(i)) plan_node(i);
  }

 private:
  void plan_node(int i) {
    const Node& node = builder_.node(i);
    if (node.relu && masked_[at(i)] < node.channels) mask_in_place(i);
    switch (node.kind) {
      case NodeKind::kConv:
      case NodeKind::kConvTranspose:
        plan_convolution(i);
        break;
      case NodeKind::kMaxPool:
        plan_resampling(i, StepKind::kMaxPoolBackward);
        break;
      case NodeKind::kAveragePool:
        plan_resampling(i, StepKind::kAveragePoolBackward);
        break;
      case NodeKind::kUpsample:
        plan_resampling(i, StepKind::kUpsampleBackward);
        break;
      case NodeKind::kConcat:
      case NodeKind::kAdd:
      case NodeKind::kRelu:
        plan_identity(i);
        break;
      case NodeKind::kInput:
        break;
    }
  }

  void mask_in_place(int i) {
    Step step;
    step.kind = StepKind::kReluBackward;
    step.node = i;
    step.x = builder_.activation(i);
    step.dy = step.out = builder_.gradient(i);
    builder_.add_backward(step);
  }

  // ---- masks -----------------------------------------------------------------------------------

  bool is_last_writer(int writer, int i) const {
    return builder_.layout().consumers[at(i)].front() == writer;
  }

  /// How many leading channels of node `i` can be masked, and up to which one it is of any use
  /// that the last writer of this gradient does it.
  struct MaskRange {
    int possible = 0;
    int useful = 0;
  };

  MaskRange mask_range(int i) const {
    const Node& node = builder_.node(i);
    if (node.relu) return {node.channels, node.channels};
    MaskRange range;
    if (node.kind != NodeKind::kConcat) return range;
    const auto& consumers = builder_.layout().consumers;
    for (std::size_t edge = 0; edge < node.inputs.size(); ++edge) {
      const int input = node.inputs[edge];
      const MaskRange inner = mask_range(input);
      // Another consumer writes this input's gradient later, and can mask it then.
      const bool last = consumers[at(input)].size() == 1 &&
                        builder_.layout().backward_edges[at(i)][edge] == EdgeKind::kShared;
      if (last && inner.useful > 0) range.useful = range.possible + inner.useful;
      range.possible += inner.possible;
      if (inner.possible < builder_.node(input).channels) break;
    }
    return range;
  }

  /// Makes `step`, run for node `writer`, write the gradient of node `i`.
  /// `flatten`: the step sees it as [N,1,1,H·W·C]. `part`: it can mask some leading channels alone.
  void write_gradient(Step& step, int writer, int i, bool flatten, bool part) {
    const int channels = builder_.node(i).channels;
    step.out = builder_.gradient(i);
    step.accumulate = written_[at(i)];
    written_[at(i)] = true;
    masked_[at(i)] = 0;
    if (is_last_writer(writer, i)) {
      const MaskRange range = mask_range(i);
      if (part && !flatten)
        masked_[at(i)] = range.useful;
      else if (range.possible == channels && range.useful > 0)
        masked_[at(i)] = channels;
    }
    if (masked_[at(i)] > 0)
      step.mask = ScheduleBuilder::leading(builder_.activation(i), masked_[at(i)]);
    if (flatten) {
      step.out = ScheduleBuilder::flatten(step.out);
      if (masked_[at(i)] > 0) step.mask = ScheduleBuilder::flatten(step.mask);
    }
  }

  // ---- layers ----------------------------------------------------------------------------------

  void plan_convolution(int i) {
    const Node& node = builder_.node(i);
    if (node.bias >= 0) plan_bias_gradient(i);
    if (node.weight >= 0) plan_weight_gradient(i);
    if (builder_.needs_gradient(node.inputs[0])) plan_data_gradient(i);
  }

  void plan_bias_gradient(int i) {
    Step step;
    step.kind = StepKind::kBiasGradient;
    step.node = i;
    step.dy = builder_.gradient(i);
    builder_.set_workspace(step,
                           conv2d_backward_bias_workspace(builder_.device(), step.dy.view.shape));
    builder_.add_backward(step);
  }

  void plan_weight_gradient(int i) {
    const Node& node = builder_.node(i);
    const auto w = filter_view<const float>(node, nullptr);
    const bool transposed = node.kind == NodeKind::kConvTranspose;
    Step step;
    step.kind = transposed ? StepKind::kConvTransposeWeightGradient : StepKind::kConvWeightGradient;
    step.node = i;
    step.x = builder_.activation(node.inputs[0]);
    step.dy = builder_.gradient(i);
    if (node.flatten) step.x = ScheduleBuilder::flatten(step.x);
    builder_.set_workspace(
        step, transposed
                  ? conv2d_transpose_backward_weights_workspace(
                        builder_.device(), step.dy.view.shape, w, node.geometry)
                  : conv2d_backward_weights_workspace(
                        builder_.device(), builder_.part(step.x.view.shape), w, node.geometry));
    builder_.add_backward(step);
  }

  void plan_data_gradient(int i) {
    const Node& node = builder_.node(i);
    const auto w = filter_view<const float>(node, nullptr);
    const bool transposed = node.kind == NodeKind::kConvTranspose;
    Step step;
    step.kind = transposed ? StepKind::kConvTransposeDataGradient : StepKind::kConvDataGradient;
    step.node = i;
    step.dy = builder_.gradient(i);
    write_gradient(step, i, node.inputs[0], node.flatten, true);
    builder_.set_workspace(
        step, transposed ? conv2d_transpose_backward_data_workspace(
                               builder_.device(), step.dy.view.shape, w, node.geometry)
                         : conv2d_backward_data_workspace(builder_.device(), step.out.view.shape, w,
                                                          node.geometry));
    builder_.add_backward(step);
  }

  void plan_resampling(int i, StepKind kind) {
    const int input = builder_.node(i).inputs[0];
    if (!builder_.needs_gradient(input)) return;
    Step step;
    step.kind = kind;
    step.node = i;
    step.dy = builder_.gradient(i);
    if (kind == StepKind::kMaxPoolBackward) step.index_buffer = builder_.index_buffer(i);
    write_gradient(step, i, input, false, false);
    builder_.add_backward(step);
  }

  /// Copies first: a shared input may change the memory when its turn comes.
  void plan_identity(int i) {
    const Node& node = builder_.node(i);
    int channel = 0;
    for (std::size_t edge = 0; edge < node.inputs.size(); ++edge) {
      const int input = node.inputs[edge];
      const int channels = builder_.node(input).channels;
      if (builder_.needs_gradient(input)) {
        // A sum's summands have ReLUs of their own, if any: what holds for the sum tells nothing.
        const int masked =
            node.kind == NodeKind::kConcat ? std::clamp(masked_[at(i)] - channel, 0, channels) : 0;
        if (builder_.layout().backward_edges[at(i)][edge] == EdgeKind::kShared) {
          written_[at(input)] = true;
          masked_[at(input)] = masked;
        } else {
          copy_gradient(i, input, channel, masked);
        }
      }
      if (node.kind == NodeKind::kConcat) channel += channels;
    }
  }

  void copy_gradient(int i, int input, int channel, int masked) {
    const int channels = builder_.node(input).channels;
    Step step;
    step.kind = StepKind::kCopy;
    step.node = i;
    step.dy = ScheduleBuilder::leading(builder_.gradient(i), channels);
    step.dy.channel += channel;
    step.out = builder_.gradient(input);
    step.accumulate = written_[at(input)];
    // A sum is masked as far as both of its terms are.
    masked_[at(input)] = written_[at(input)] ? std::min(masked, masked_[at(input)]) : masked;
    written_[at(input)] = true;
    builder_.add_backward(step);
  }

  ScheduleBuilder& builder_;
  std::vector<bool> written_;  // by node: something lies in its gradient
  std::vector<int> masked_;    // by node: leading channels known to be masked
};

}  // namespace

void plan_backward(ScheduleBuilder& builder) { BackwardPlanner(builder).plan(); }

}  // namespace curvseg
