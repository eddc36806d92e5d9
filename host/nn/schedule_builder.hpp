// What the planners of the passes share: shapes, sharing of memory, and the
// buffers that steps read and write.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "host/nn/schedule.hpp"

namespace curvseg {

class ScheduleBuilder {
 public:
  ScheduleBuilder(const Model& model, const Device& device, const Shape& input, PlanMode mode,
                  int images_at_once);

  const Node& node(int i) const { return nodes_[static_cast<std::size_t>(i)]; }
  const Shape& shape(int i) const { return shapes_[static_cast<std::size_t>(i)]; }
  /// Of the images that the passes after the forward pass take at once.
  Shape part(Shape shape) const {
    shape.n = images_at_once_;
    return shape;
  }
  const Layout& layout() const { return layout_; }
  const Device& device() const { return device_; }
  int node_count() const { return static_cast<int>(nodes_.size()); }
  bool training() const { return mode_ != PlanMode::kInference; }
  bool curvature() const { return mode_ == PlanMode::kCurvature || hessian(); }
  bool hessian() const { return mode_ == PlanMode::kLowMemoryHessian || keeps_gradients(); }
  bool keeps_gradients() const { return mode_ == PlanMode::kHessian; }
  bool needs_gradient(int i) const { return layout_.needs_gradient[static_cast<std::size_t>(i)]; }

  /// The output of node `i`, or the image.
  Operand activation(int i);
  /// R{output of node `i`}; none where no parameter leads to it, since it is 0 there.
  Operand r_activation(int i);
  Operand gradient(int i);
  /// The same slice of another buffer: of the backward pass that r_backward reads, and R of it.
  Operand repeated(const Operand& gradient) {
    return twin(repeated_buffers_, gradient, keeps_gradients());
  }
  Operand r_gradient(const Operand& gradient) { return twin(r_gradient_buffers_, gradient, false); }
  /// The same as the rows of a dense layer's matrix.
  static Operand flatten(Operand operand);
  /// Channels [0, count).
  static Operand leading(Operand operand, int count);
  /// The winners of max-pooling node `i`.
  int index_buffer(int i);

  void add_forward(Step step) { add(schedule_.forward, step); }
  void add_r_forward(Step step) { add(schedule_.r_forward, step); }
  void add_r_backward(Step step) { add(schedule_.r_backward, step); }
  void add_kept_backward(Step step) { add(schedule_.kept_backward, step); }
  const std::vector<Step>& backward_steps() const { return schedule_.backward; }
  void add_backward(Step step) { add(schedule_.backward, step); }
  /// Sets the workspace of `step`, to be had for the time of that step alone.
  void set_workspace(Step& step, std::size_t bytes);

  /// Time passes from the forward steps to the loss, the backward steps, those of kept_backward, of
  /// r_forward, the loss's Hessian and those of r_backward.
  void use_at_loss();
  void use_at_hessian();
  Schedule finish();

 private:
  int new_buffer(std::int64_t bytes);
  Operand operand(std::vector<int>& buffers, const Slice& slice, int i, bool whole);
  Operand twin(std::map<int, int>& twins, Operand operand, bool whole);
  void add(std::vector<Step>& steps, Step step);
  void touch(int buffer);

  const std::vector<Node>& nodes_;
  const Device& device_;
  PlanMode mode_;
  int images_at_once_;
  std::vector<Shape> shapes_;
  Layout layout_;
  Schedule schedule_;
  int now_ = 0;
  int loss_time_ = 0;
  // By root node.
  std::vector<int> activation_buffers_, r_activation_buffers_, gradient_buffers_, index_buffers_;
  std::map<int, int> repeated_buffers_, r_gradient_buffers_;  // by gradient buffer
};

/// Appends the forward steps of all nodes.
void plan_forward(ScheduleBuilder& builder);
/// Appends the steps that carry a derivative along a direction forward through all nodes.
void plan_r_forward(ScheduleBuilder& builder);
/// Appends the steps that carry gradients backward for r_backward, if they are kept.
void plan_kept_backward(ScheduleBuilder& builder);
/// Appends the steps that carry gradients and their derivatives along a direction backward.
void plan_r_backward(ScheduleBuilder& builder);
/// Appends the backward steps of all nodes, last to first.
void plan_backward(ScheduleBuilder& builder);

}  // namespace curvseg
