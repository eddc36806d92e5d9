#include "host/nn/layout.hpp"

#include <algorithm>

namespace curvseg {
namespace {

constexpr Slice kOwnMemory{-1, 0};

class LayoutPlanner {
 public:
  explicit LayoutPlanner(const std::vector<Node>& nodes) : nodes_(nodes), n_(nodes.size()) {
    layout_.consumers = consumers_of(nodes);
    layout_.needs_gradient.assign(n_, false);
    layout_.forward_edges.resize(n_);
    layout_.backward_edges.resize(n_);
    layout_.accumulates.assign(n_, false);
    layout_.activation.assign(n_, kOwnMemory);  // until resolve(), `root` is the next node up
    layout_.gradient.assign(n_, kOwnMemory);
    modifies_.assign(n_, false);
  }

  Layout plan() {
    find_gradients();
    for (std::size_t i = 0; i < n_; ++i) {
      const Node& node = nodes_[i];
      const int number = static_cast<int>(i);
      modifies_[i] = node.relu || layout_.consumers[i].size() > 1;
      if (!is_identity(node)) continue;
      layout_.forward_edges[i].assign(node.inputs.size(), EdgeKind::kCopied);
      layout_.backward_edges[i].assign(node.inputs.size(), EdgeKind::kCopied);
      if (node.kind == NodeKind::kConcat) share_slices(number);
      if (node.kind == NodeKind::kRelu && overwritable(node.inputs[0])) share_forward(number, 0, 0);
      if (node.kind == NodeKind::kAdd) {
        share_sum_forward(number);
        share_sum_backward(number);
      }
      if (node.kind == NodeKind::kRelu) share_backward(number, 0, 0);
    }
    resolve(layout_.activation);
    resolve(layout_.gradient);
    return std::move(layout_);
  }

 private:
  void find_gradients() {
    for (std::size_t i = 0; i < n_; ++i) {
      bool needed = nodes_[i].weight >= 0 || nodes_[i].bias >= 0;
      for (const int input : nodes_[i].inputs) needed = needed || layout_.needs_gradient[at(input)];
      layout_.needs_gradient[i] = needed;
    }
  }

  bool has_own_memory(const std::vector<Slice>& slices, int i) const {
    return slices[at(i)].root < 0;
  }

  /// A dense layer sees it as one long row, which a slice of something wider is not.
  bool must_be_dense(int i) const {
    return std::any_of(layout_.consumers[at(i)].begin(), layout_.consumers[at(i)].end(),
                       [&](int consumer) { return nodes_[at(consumer)].flatten; });
  }

  bool read_once_by(int consumer, int i) const {
    return std::count(layout_.consumers[at(i)].begin(), layout_.consumers[at(i)].end(), consumer) ==
           1;
  }

  // ---- activations -----------------------------------------------------------------------------

  /// May its memory hold something else once its only consumer has run? A rectified output is the
  /// mask of the backward pass, and a concatenation is the outputs of its inputs.
  bool overwritable(int i) const {
    const Node& node = nodes_[at(i)];
    return i != 0 && !node.relu && node.kind != NodeKind::kConcat &&
           layout_.consumers[at(i)].size() == 1 && has_own_memory(layout_.activation, i);
  }

  void share_forward(int consumer, std::size_t edge, int channel) {
    layout_.activation[at(nodes_[at(consumer)].inputs[edge])] = {consumer, channel};
    layout_.forward_edges[at(consumer)][edge] = EdgeKind::kShared;
  }

  /// One summand is written where the sum will be. The other is added to it by its own
  /// convolution's epilogue, if it has one and comes later, else by a pass of its own.
  void share_sum_forward(int sum) {
    const Node& node = nodes_[at(sum)];
    const std::size_t early = node.inputs[0] <= node.inputs[1] ? 0 : 1, late = 1 - early;
    if (overwritable(node.inputs[early])) {
      share_forward(sum, early, 0);
      const int other = node.inputs[late];
      if (overwritable(other) && is_convolution(nodes_[at(other)])) {
        share_forward(sum, late, 0);
        layout_.forward_edges[at(sum)][late] = EdgeKind::kAccumulated;
        layout_.accumulates[at(other)] = true;
      }
    } else if (overwritable(node.inputs[late])) {
      share_forward(sum, late, 0);
    }
  }

  // ---- gradients -------------------------------------------------------------------------------

  /// May the gradient of input `i` lie in that of `consumer`? Only if every other consumer of `i`
  /// comes before `consumer`, and so adds to the gradient after `consumer`'s own is complete.
  bool can_share_gradient(int consumer, int i) const {
    return i != 0 && layout_.needs_gradient[at(i)] && read_once_by(consumer, i) &&
           layout_.consumers[at(i)].back() == consumer && !must_be_dense(i);
  }

  void share_backward(int consumer, std::size_t edge, int channel) {
    const int input = nodes_[at(consumer)].inputs[edge];
    if (!can_share_gradient(consumer, input)) return;
    layout_.gradient[at(input)] = {consumer, channel};
    layout_.backward_edges[at(consumer)][edge] = EdgeKind::kShared;
    modifies_[at(consumer)] = modifies_[at(consumer)] || modifies_[at(input)];
  }

  /// Both summands' gradients equal the sum's. They may be one memory if nobody changes it; if one
  /// of them is changed (masked, or added to by other consumers), the other has to be a copy.
  void share_sum_backward(int sum) {
    const Node& node = nodes_[at(sum)];
    std::size_t first = 0;
    if (!can_share_gradient(sum, node.inputs[0])) first = 1;
    share_backward(sum, first, 0);
    if (first == 0 && !modifies_[at(node.inputs[0])] && !modifies_[at(node.inputs[1])])
      share_backward(sum, 1, 0);
  }

  void share_slices(int concat) {
    const Node& node = nodes_[at(concat)];
    int channel = 0;
    for (std::size_t edge = 0; edge < node.inputs.size(); ++edge) {
      const int input = node.inputs[edge];
      if (input != 0 && has_own_memory(layout_.activation, input) && !must_be_dense(input))
        share_forward(concat, edge, channel);
      share_backward(concat, edge, channel);
      channel += nodes_[at(input)].channels;
    }
  }

  /// From "the next node up" to "the node that owns the memory".
  void resolve(std::vector<Slice>& slices) const {
    for (std::size_t i = n_; i-- > 0;) {  // consumers have higher numbers, and are resolved first
      Slice& slice = slices[i];
      if (slice.root < 0) {
        slice = {static_cast<int>(i), 0};
      } else {
        const Slice& parent = slices[at(slice.root)];
        slice = {parent.root, parent.channel + slice.channel};
      }
    }
  }

  const std::vector<Node>& nodes_;
  std::size_t n_;
  Layout layout_;
  std::vector<bool> modifies_;  // its gradient's memory is changed after it is complete
};

}  // namespace

Layout plan_layout(const std::vector<Node>& nodes) { return LayoutPlanner(nodes).plan(); }

}  // namespace curvseg
