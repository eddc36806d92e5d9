#include <stdexcept>

#include "curvseg/error.hpp"
#include "host/nn/executor.hpp"

namespace curvseg {
namespace {

bool reads_flattened_image(const Model& model) {
  for (const Node& node : model.nodes())
    if (node.flatten && node.inputs[0] == 0) return true;
  return false;
}

}  // namespace

struct Plan::State {
  State(const Model& m, const Device& d, const Shape& shape, PlanMode plan_mode, int at_once)
      : model(m),
        device(d),
        mode(plan_mode),
        input(shape),
        images_at_once(at_once == 0 ? shape.n : at_once),
        batch(shape.n) {
    check_input();
    schedule = plan_schedule(model, device, input, mode, images_at_once);
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
    const bool splits = is_for_curvature();
    if (images_at_once < (splits ? 1 : input.n) || images_at_once > input.n)
      throw std::invalid_argument(model.name() + ": a plan for " + std::to_string(images_at_once) +
                                  " images at once of a batch of " + std::to_string(input.n) +
                                  (splits ? "" : ", and it is not for curvature"));
  }

  bool is_for_hessian() const {
    return mode == PlanMode::kLowMemoryHessian || mode == PlanMode::kHessian;
  }
  bool is_for_curvature() const { return mode == PlanMode::kCurvature || is_for_hessian(); }

  /// `images` with their count, checked; at most so many.
  ImageRange checked(const char* pass, ImageRange images, int most) const {
    if (images.count == 0) images.count = batch - images.first;
    if (images.first < 0 || images.count < 1 || images.count > batch - images.first ||
        images.count > most)
      throw std::invalid_argument(model.name() + ": " + pass + ": " + std::to_string(images.count) +
                                  " images from " + std::to_string(images.first) +
                                  " on are asked for, the batch has " + std::to_string(batch) +
                                  " and the plan takes " + std::to_string(images_at_once) +
                                  " at once");
    return images;
  }

  void require_curvature(const char* what) const {
    if (!is_for_curvature())
      throw std::logic_error(model.name() + ": " + what + ": the plan is not for curvature");
  }

  void require_hessian(const char* what) const {
    if (!is_for_hessian())
      throw std::logic_error(model.name() + ": " + what + ": the plan is not for the Hessian");
  }

  void check_vector(const char* pass, const char* name, std::int64_t size) const {
    if (size != model.parameter_count())
      throw std::invalid_argument(model.name() + ": " + pass + ": " + name + " has " +
                                  std::to_string(size) + " elements, the model has " +
                                  std::to_string(model.parameter_count()));
  }

  void backward(const char* pass, const Call& call, const VectorView& grad, ImageRange images);

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
    for (std::vector<Step>* steps : {&schedule.forward, &schedule.backward, &schedule.kept_backward,
                                     &schedule.r_forward, &schedule.r_backward})
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
    const auto where = [&] { return model.name() + ": " + pass + ": "; };
    if (!(stream.device() == device))
      throw std::invalid_argument(where() + "the stream belongs to another device than the plan");
    if (theta.size != model.parameter_count())
      throw std::invalid_argument(where() + "theta has " + std::to_string(theta.size) +
                                  " elements, the model has " +
                                  std::to_string(model.parameter_count()));
    Shape wanted = input;
    wanted.n = batch;
    if (!(x.shape == wanted))
      throw std::invalid_argument(
          where() + "x is " + to_string(x.shape) +
          (batch == input.n ? ", the plan was made for " : ", the last forward() was on ") +
          to_string(wanted));
    if (dense_image && !x.dense())
      throw std::invalid_argument(where() + "x has pixel stride " + std::to_string(x.ld) +
                                  ", its first layer is dense and needs " +
                                  std::to_string(x.shape.c));
  }

  Model model;
  Device device;
  PlanMode mode;
  Shape input;
  int images_at_once;
  int batch;  // images of the last forward()
  Shape output_shape;
  Schedule schedule;
  DeviceArray<float> arena;
  std::int64_t bytes = 0;
  bool dense_image = false;
  bool ready_for_backward = false;
  ImageRange r_images = {0, 0};  // of the last r_forward(); no count: r_backward() cannot follow
  ImageRange kept_images = {0, 0};
};

Plan::Plan(const Model& model, const Device& device, Shape input, PlanMode mode, int images_at_once)
    : state_(std::make_unique<State>(model, device, input, mode, images_at_once)) {}
Plan::~Plan() = default;
Plan::Plan(Plan&&) noexcept = default;
Plan& Plan::operator=(Plan&&) noexcept = default;

const Shape& Plan::input_shape() const { return state_->input; }
const Shape& Plan::output_shape() const { return state_->output_shape; }
int Plan::images_at_once() const { return state_->images_at_once; }
std::size_t Plan::memory_bytes() const { return static_cast<std::size_t>(state_->bytes); }
TensorView Plan::output() const { return state_->schedule.output.view; }

TensorView Plan::output_gradient() const {
  if (state_->mode == PlanMode::kInference)
    throw std::logic_error(state_->model.name() + ": a plan for inference has no gradient");
  return state_->schedule.output_gradient.view;
}

void Plan::forward(const Stream& stream, ConstVectorView theta, ConstTensorView x) {
  State& s = *state_;
  const bool fewer = !s.is_for_curvature() && x.shape.n >= 1 && x.shape.n < s.input.n;
  s.batch = fewer ? x.shape.n : s.input.n;
  s.check_call("forward", stream, theta, x);
  const Call call{.stream = stream, .theta = theta.data, .image = x};
  if (fewer)
    execute_on_images(s.model, s.schedule.forward, call, {0, s.batch});
  else
    execute(s.model, s.schedule.forward, call);
  state_->ready_for_backward = state_->mode != PlanMode::kInference;
  state_->r_images = state_->kept_images = {};
}

TensorView Plan::r_output() const {
  state_->require_curvature("r_output");
  return state_->schedule.r_output.view;
}

void Plan::r_forward(const Stream& stream, ConstVectorView theta, ConstVectorView v,
                     ConstTensorView x, ImageRange images) {
  state_->require_curvature("r_forward");
  state_->check_call("r_forward", stream, theta, x);
  state_->check_vector("r_forward", "v", v.size);
  images = state_->checked("r_forward", images, state_->images_at_once);
  if (!state_->ready_for_backward)
    throw std::logic_error(state_->model.name() + ": r_forward: it follows a forward()");
  execute_on_images(state_->model, state_->schedule.r_forward,
                    {.stream = stream, .theta = theta.data, .direction = v.data, .image = x},
                    images);
  state_->r_images = images;
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
                      ConstTensorView x, bool accumulate, VectorView product, ImageRange images) {
  state_->require_hessian("r_backward");
  state_->check_call("r_backward", stream, theta, x);
  state_->check_vector("r_backward", "v", v.size);
  state_->check_vector("r_backward", "product", product.size);
  images = state_->checked("r_backward", images, state_->images_at_once);
  if (images.first != state_->r_images.first || images.count != state_->r_images.count)
    throw std::logic_error(state_->model.name() +
                           ": r_backward: it follows an r_forward() on the same images, once");
  const ImageRange& kept = state_->kept_images;
  if (state_->mode == PlanMode::kHessian &&
      (images.first < kept.first || images.first + images.count > kept.first + kept.count))
    throw std::logic_error(state_->model.name() +
                           ": r_backward: keep_gradients() of these images comes first");
  state_->r_images = {};
  if (!accumulate) state_->zero_gaps(stream, product);
  execute_on_images(state_->model, state_->schedule.r_backward,
                    {.stream = stream,
                     .theta = theta.data,
                     .direction = v.data,
                     .image = x,
                     .grad = product.data,
                     .accumulate = accumulate},
                    images);
}

void Plan::keep_gradients(const Stream& stream, ConstVectorView theta, ConstTensorView x,
                          ImageRange images) {
  if (state_->mode != PlanMode::kHessian || !state_->ready_for_backward)
    throw std::logic_error(state_->model.name() +
                           ": keep_gradients: it follows a forward() of a plan for kHessian");
  state_->check_call("keep_gradients", stream, theta, x);
  images = state_->checked("keep_gradients", images, state_->input.n);
  execute_on_images(state_->model, state_->schedule.kept_backward,
                    {.stream = stream, .theta = theta.data, .image = x}, images);
  state_->kept_images = images;
}

void Plan::State::backward(const char* pass, const Call& call, const VectorView& grad,
                           ImageRange images) {
  check_vector(pass, "grad", grad.size);
  images = checked(pass, images, images_at_once);
  if (!ready_for_backward)
    throw std::logic_error(model.name() + ": " + pass +
                           ": it follows a forward() of a plan for training, once");
  ready_for_backward = mode != PlanMode::kTraining;
  r_images = {};
  if (!call.accumulate) zero_gaps(call.stream, grad);
  execute_on_images(model, schedule.backward, call, images);
}

void Plan::backward(const Stream& stream, ConstVectorView theta, ConstTensorView x, bool accumulate,
                    VectorView grad, ImageRange images) {
  state_->check_call("backward", stream, theta, x);
  state_->backward("backward",
                   {.stream = stream,
                    .theta = theta.data,
                    .image = x,
                    .grad = grad.data,
                    .accumulate = accumulate},
                   grad, images);
}

void Plan::squared_gradients(const Stream& stream, ConstVectorView theta, ConstTensorView x,
                             bool accumulate, VectorView to, ImageRange images) {
  state_->check_call("squared_gradients", stream, theta, x);
  state_->backward("squared_gradients",
                   {.stream = stream,
                    .theta = theta.data,
                    .image = x,
                    .grad = to.data,
                    .accumulate = accumulate,
                    .squares = true},
                   to, images);
}

}  // namespace curvseg
