#include "host/nn/schedule_builder.hpp"

#include <algorithm>
#include <limits>

namespace curvseg {
namespace {

constexpr int kUnused = std::numeric_limits<int>::max();

/// More gaps than this are zeroed by one fill of the whole gradient: a launch costs more than
/// writing some memory twice.
constexpr std::size_t kFewGaps = 8;

std::vector<Gap> find_gaps(const Model& model) {
  std::vector<Gap> gaps;
  std::int64_t end = 0;
  const auto close = [&](std::int64_t next) {
    if (next > end) gaps.push_back({end, next - end});
  };
  for (const Parameter& parameter : model.parameters()) {
    close(parameter.offset);
    end = parameter.offset + parameter.size;
  }
  close(model.parameter_count());
  if (gaps.size() > kFewGaps) return {{0, model.parameter_count()}};
  return gaps;
}

}  // namespace

ScheduleBuilder::ScheduleBuilder(const Model& model, const Device& device, const Shape& input,
                                 PlanMode mode, int images_at_once)
    : nodes_(model.nodes()),
      device_(device),
      mode_(mode),
      images_at_once_(images_at_once == 0 ? input.n : images_at_once),
      shapes_(infer_shapes(nodes_, input)),
      layout_(plan_layout(nodes_)),
      activation_buffers_(nodes_.size(), kNoBuffer),
      r_activation_buffers_(nodes_.size(), kNoBuffer),
      gradient_buffers_(nodes_.size(), kNoBuffer),
      index_buffers_(nodes_.size(), kNoBuffer) {
  if (training()) schedule_.gaps = find_gaps(model);
}

int ScheduleBuilder::new_buffer(std::int64_t bytes) {
  schedule_.buffers.push_back({bytes, kUnused, -1});
  return static_cast<int>(schedule_.buffers.size()) - 1;
}

Operand ScheduleBuilder::operand(std::vector<int>& buffers, const Slice& slice, int i, bool whole) {
  int& buffer = buffers[at(slice.root)];
  const Shape root = whole ? shape(slice.root) : part(shape(slice.root));
  const Shape own = whole ? shape(i) : part(shape(i));
  if (buffer == kNoBuffer)
    buffer = new_buffer(root.elements() * static_cast<std::int64_t>(sizeof(float)));
  return {buffer, slice.channel, {nullptr, own, root.c}, whole};
}

Operand ScheduleBuilder::activation(int i) {
  if (i == 0) return {kImage, 0, {nullptr, shape(0)}};
  return operand(activation_buffers_, layout_.activation[at(i)], i, true);
}

Operand ScheduleBuilder::r_activation(int i) {
  if (!needs_gradient(i)) return {};
  return operand(r_activation_buffers_, layout_.activation[at(i)], i, false);
}

Operand ScheduleBuilder::gradient(int i) {
  return operand(gradient_buffers_, layout_.gradient[at(i)], i, false);
}

Operand ScheduleBuilder::twin(std::map<int, int>& twins, Operand operand, bool whole) {
  const auto [at, is_new] = twins.try_emplace(operand.buffer, kNoBuffer);
  if (is_new) {
    const std::int64_t bytes = schedule_.buffers[curvseg::at(operand.buffer)].bytes;
    at->second = new_buffer(whole ? bytes / images_at_once_ * shape(0).n : bytes);
  }
  operand.buffer = at->second;
  operand.whole = whole;
  if (whole) operand.view.shape.n = shape(0).n;
  return operand;
}

Operand ScheduleBuilder::flatten(Operand operand) {
  operand.view = {nullptr, flattened(operand.view.shape)};
  return operand;
}

Operand ScheduleBuilder::leading(Operand operand, int count) {
  operand.view.shape.c = count;
  return operand;
}

int ScheduleBuilder::index_buffer(int i) {
  int& buffer = index_buffers_[at(i)];
  if (buffer == kNoBuffer)
    buffer = new_buffer(shape(i).elements() * static_cast<std::int64_t>(sizeof(std::uint16_t)));
  return buffer;
}

void ScheduleBuilder::set_workspace(Step& step, std::size_t bytes) {
  step.workspace = {nullptr, bytes};
  if (bytes > 0) step.workspace_buffer = new_buffer(static_cast<std::int64_t>(bytes));
}

void ScheduleBuilder::touch(int buffer) {
  if (buffer < 0) return;
  BufferLifetime& lifetime = schedule_.buffers[at(buffer)];
  lifetime.first = std::min(lifetime.first, now_);
  lifetime.last = std::max(lifetime.last, now_);
}

void ScheduleBuilder::add(std::vector<Step>& steps, Step step) {
  for (const Operand* operand : {&step.x, &step.rx, &step.dy, &step.rdy, &step.mask, &step.out})
    touch(operand->buffer);
  touch(step.index_buffer);
  touch(step.workspace_buffer);
  steps.push_back(step);
  ++now_;
}

void ScheduleBuilder::use_at_loss() {
  schedule_.output = activation(node_count() - 1);
  touch(schedule_.output.buffer);
  if (training()) {
    schedule_.output_gradient = gradient(node_count() - 1);
    touch(schedule_.output_gradient.buffer);
  }
  loss_time_ = now_++;
}

void ScheduleBuilder::use_at_hessian() {
  schedule_.r_output = r_activation(node_count() - 1);
  touch(schedule_.r_output.buffer);
  if (hessian()) {
    schedule_.repeated_output_gradient = repeated(schedule_.output_gradient);
    schedule_.r_output_gradient = r_gradient(schedule_.output_gradient);
    touch(schedule_.repeated_output_gradient.buffer);
    touch(schedule_.r_output_gradient.buffer);
  }
  ++now_;
}

Schedule ScheduleBuilder::finish() {
  touch(schedule_.output.buffer);  // metrics may read it after backward()
  if (!curvature()) return std::move(schedule_);
  for (const std::vector<int>* buffers : {&activation_buffers_, &index_buffers_})
    for (const int buffer : *buffers)
      if (buffer >= 0 && schedule_.buffers[at(buffer)].last >= loss_time_) touch(buffer);
  if (keeps_gradients())
    for (const auto& [gradient, buffer] : repeated_buffers_) {
      BufferLifetime& lifetime = schedule_.buffers[at(buffer)];
      lifetime.first = std::min(lifetime.first, loss_time_);
      touch(buffer);
    }
  // The Hessian's product goes where backward() finds its gradient, too.
  if (schedule_.r_output.buffer >= 0) {
    BufferLifetime& lifetime = schedule_.buffers[at(schedule_.r_output.buffer)];
    lifetime.first = std::min(lifetime.first, loss_time_);
  }
  return std::move(schedule_);
}

Schedule plan_schedule(const Model& model, const Device& device, const Shape& input, PlanMode mode,
                       int images_at_once) {
  ScheduleBuilder builder(model, device, input, mode, images_at_once);
  plan_forward(builder);
  builder.use_at_loss();
  if (builder.training()) plan_backward(builder);
  if (builder.keeps_gradients()) plan_kept_backward(builder);
  if (builder.curvature()) {
    plan_r_forward(builder);
    builder.use_at_hessian();
  }
  if (builder.hessian()) plan_r_backward(builder);
  return builder.finish();
}

}  // namespace curvseg
