// What the planners of the forward and the backward pass share: shapes, sharing of memory, and the
// buffers that steps read and write.
#pragma once

#include <string>
#include <vector>

#include "host/nn/schedule.hpp"

namespace curvseg {

class ScheduleBuilder {
 public:
  ScheduleBuilder(const Model& model, const Device& device, const Shape& input, PlanMode mode);

  const Node& node(int i) const { return nodes_[static_cast<std::size_t>(i)]; }
  const Shape& shape(int i) const { return shapes_[static_cast<std::size_t>(i)]; }
  const Layout& layout() const { return layout_; }
  const Device& device() const { return device_; }
  int node_count() const { return static_cast<int>(nodes_.size()); }
  bool training() const { return mode_ == PlanMode::kTraining; }
  bool needs_gradient(int i) const { return layout_.needs_gradient[static_cast<std::size_t>(i)]; }

  /// The output of node `i`, or the image.
  Operand activation(int i);
  Operand gradient(int i);
  /// The same as the rows of a dense layer's matrix.
  static Operand flatten(Operand operand);
  /// Channels [0, count).
  static Operand leading(Operand operand, int count);
  /// The winners of max-pooling node `i`.
  int index_buffer(int i);

  void add_forward(Step step) { add(schedule_.forward, step); }
  void add_backward(Step step) { add(schedule_.backward, step); }
  /// Sets the workspace of `step`, to be had for the time of that step alone.
  void set_workspace(Step& step, std::size_t bytes);

  /// Time passes from the forward steps to the loss and on to the backward steps.
  void use_at_loss();
  Schedule finish();

 private:
  int new_buffer(std::int64_t bytes);
  Operand operand(std::vector<int>& buffers, const Slice& slice, int i);
  void add(std::vector<Step>& steps, Step step);
  void touch(int buffer);

  const std::vector<Node>& nodes_;
  const Device& device_;
  PlanMode mode_;
  std::vector<Shape> shapes_;
  Layout layout_;
  Schedule schedule_;
  int now_ = 0;
  std::vector<int> activation_buffers_, gradient_buffers_, index_buffers_;  // by root node
};

/// Appends the forward steps of all nodes.
void plan_forward(ScheduleBuilder& builder);
/// Appends the backward steps of all nodes, last to first.
void plan_backward(ScheduleBuilder& builder);

}  // namespace curvseg
