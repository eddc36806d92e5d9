// Passes over parts of a batch: together they are what one pass over all of it is, bit by bit on
// whole numbers.
#include <gtest/gtest.h>

#include "host/nn/network_case.hpp"
#include "host/nn/random_graph.hpp"

namespace curvseg {
namespace {

using namespace testing;

/// Everything that the passes after forward() give, summed over parts.
struct Passes {
  std::vector<float> grad, squares, r_output, product;
};

/// A plan with data, and the vectors of its passes.
class PlanWithData {
 public:
  PlanWithData(const Device& device, const Model& model, const Shape& input,
               const NetworkData& data, const std::vector<float>& v, PlanMode mode,
               int images_at_once)
      : stream_(device),
        keeps_(mode == PlanMode::kHessian),
        plan_(model, device, input, mode, images_at_once),
        theta_(device, model.parameter_count()),
        v_(device, theta_.size()),
        grad_(device, theta_.size()),
        squares_(device, theta_.size()),
        product_(device, theta_.size()),
        x_(device, input),
        dy_(device, plan_.output_shape()),
        rdy_(device, plan_.output_shape()),
        r_output_(device, plan_.output_shape()) {
    theta_.upload(stream_, data.theta.data(), theta_.size());
    v_.upload(stream_, v.data(), v_.size());
    x_.upload(stream_, data.x);
    dy_.upload(stream_, data.dy);
    std::vector<float> rdy(data.dy.rbegin(), data.dy.rend());
    rdy_.upload(stream_, rdy);
    plan_.forward(stream_, view(theta_), x_);
    stream_.synchronise();
  }

  Passes run(const std::vector<ImageRange>& parts) {
    for (DeviceArray<float>* array : {&grad_, &squares_, &product_})
      fill(stream_, {array->data(), array->size()}, std::numeric_limits<float>::quiet_NaN());
    if (keeps_) {
      copy(dy_, plan_.repeated_output_gradient());
      plan_.keep_gradients(stream_, view(theta_), x_);
    }
    bool first = true;
    for (const ImageRange& part : parts) {
      run_part(part, !first);
      first = false;
    }
    return {grad_.to_host(stream_), squares_.to_host(stream_), r_output_.to_host(stream_),
            product_.to_host(stream_)};
  }

 private:
  static ConstVectorView view(const DeviceArray<float>& array) {
    return {array.data(), array.size()};
  }
  static TensorView of(const Tensor& tensor, ImageRange part) {
    TensorView view = tensor;
    view.data += part.first * (view.shape.elements() / view.shape.n);
    view.shape.n = part.count;
    return view;
  }
  static TensorView first(TensorView view, ImageRange part) {
    view.shape.n = part.count;
    return view;
  }
  void copy(ConstTensorView from, TensorView to) {
    copy_tensor(stream_, from, 1.0f, /*accumulate=*/false, to);
  }

  void run_part(ImageRange part, bool add) {
    const ConstVectorView theta = view(theta_);
    copy(of(dy_, part), first(plan_.output_gradient(), part));
    plan_.backward(stream_, theta, x_, add, {grad_.data(), grad_.size()}, part);
    copy(of(dy_, part), first(plan_.output_gradient(), part));
    plan_.squared_gradients(stream_, theta, x_, add, {squares_.data(), squares_.size()}, part);
    plan_.r_forward(stream_, theta, view(v_), x_, part);
    copy(first(plan_.r_output(), part), of(r_output_, part));
    if (!keeps_) copy(of(dy_, part), first(plan_.repeated_output_gradient(), part));
    copy(of(rdy_, part), first(plan_.r_output_gradient(), part));
    plan_.r_backward(stream_, theta, view(v_), x_, add, {product_.data(), product_.size()}, part);
  }

  Stream stream_;
  bool keeps_;  // the gradients of the backward pass
  Plan plan_;
  DeviceArray<float> theta_, v_, grad_, squares_, product_;
  Tensor x_, dy_, rdy_, r_output_;
};

void expect_parts_are_the_whole(const Device& device, const Model& model, const Shape& input,
                                unsigned seed) {
  const NetworkData data = whole_data(model, input, seed, 2);
  std::vector<float> v = small_integers(data.theta.size(), seed + 5, 1);
  clear_padding(model, v);
  PlanWithData whole(device, model, input, data, v, PlanMode::kLowMemoryHessian, 0);
  const Passes expected = whole.run({{0, input.n}});
  const auto expect_equals = [&](const Passes& actual) {
    EXPECT_EQ(actual.grad, expected.grad);
    EXPECT_EQ(actual.squares, expected.squares);
    EXPECT_EQ(actual.r_output, expected.r_output);
    EXPECT_EQ(actual.product, expected.product);
  };
  float largest = 0.0f;
  for (const auto* values : {&expected.grad, &expected.squares, &expected.product})
    for (const float value : *values) largest = std::max(largest, std::fabs(value));
  ASSERT_LT(largest, 1 << 24) << "these numbers are not exact in float32";
  EXPECT_GT(largest, 0.0f);
  expect_equals(whole.run({{0, 1}, {1, input.n - 1}}));
  expect_equals(whole.run({{input.n - 1, 1}, {0, input.n - 1}}));
  std::vector<ImageRange> parts;
  for (int begin = 0; begin < input.n; begin += 2)
    parts.push_back({begin, std::min(2, input.n - begin)});
  for (const PlanMode mode : {PlanMode::kLowMemoryHessian, PlanMode::kHessian}) {
    PlanWithData few(device, model, input, data, v, mode, 2);
    expect_equals(few.run(parts));
  }
  PlanWithData kept(device, model, input, data, v, PlanMode::kHessian, 0);
  expect_equals(kept.run({{0, input.n}}));
}

TEST(ImagesAtOnce, PartsAreTheWholeForZooModels) {
  struct {
    const char *device, *model;
    Shape input;
  } const cases[] = {{"host", "unet(width=3, depth=2)", {5, 10, 13, 2}},
                     {"host", "classifier2", {3, 8, 8, 1}},
                     {"emulated", "unet(width=2, depth=1)", {3, 6, 5, 1}},
                     {"cuda", "unet(width=3, depth=2)", {5, 10, 13, 2}}};
  for (const auto& [device, model, input] : cases) {
    if (!has_device(device)) continue;
    SCOPED_TRACE(std::string(device) + " " + model);
    expect_parts_are_the_whole(Device::open(device), zoo::make(model, input.c, 3, input.h, input.w),
                               input, 3);
  }
}

TEST(ImagesAtOnce, PartsAreTheWholeForRandomGraphs) {
  const Device device = Device::open("host");
  for (unsigned seed = 0; seed < 40; ++seed) {
    SCOPED_TRACE(seed);
    RandomGraph graph(seed, true);
    const Model model = graph.build(9);
    if (graph.unit() < 0.25) continue;  // sums of squared fractions are not exact
    expect_parts_are_the_whole(
        device, model, {3, RandomGraph::kHeight, RandomGraph::kWidth, RandomGraph::kChannels},
        seed);
  }
}

TEST(ImagesAtOnce, FewerTakeLessMemory) {
  const Device device = Device::open("host");
  const Model model = zoo::unet(1, 2, {.width = 8, .depth = 2});
  for (const PlanMode mode :
       {PlanMode::kCurvature, PlanMode::kLowMemoryHessian, PlanMode::kHessian}) {
    std::size_t more = Plan(model, device, {8, 64, 64, 1}, mode).memory_bytes();
    for (const int images : {4, 2, 1}) {
      const Plan plan(model, device, {8, 64, 64, 1}, mode, images);
      EXPECT_EQ(plan.images_at_once(), images);
      EXPECT_LT(plan.memory_bytes(), more);
      more = plan.memory_bytes();
    }
  }
}

TEST(ImagesAtOnce, RefuseWhatTheyCannotDo) {
  const Device device = Device::open("host");
  const Stream stream(device);
  const Model model = zoo::make("unet(width=2, depth=1)", 1, 2);
  const Shape input{3, 4, 4, 1};
  EXPECT_THROW(Plan(model, device, input, PlanMode::kTraining, 2), std::invalid_argument);
  EXPECT_THROW(Plan(model, device, input, PlanMode::kInference, 1), std::invalid_argument);
  EXPECT_THROW(Plan(model, device, input, PlanMode::kCurvature, 4), std::invalid_argument);
  EXPECT_THROW(Plan(model, device, input, PlanMode::kCurvature, -1), std::invalid_argument);
  EXPECT_NO_THROW(Plan(model, device, input, PlanMode::kTraining, 3));

  Plan plan(model, device, input, PlanMode::kHessian, 2);
  DeviceArray<float> theta(device, model.parameter_count()), to(device, theta.size());
  fill(stream, {theta.data(), theta.size()}, 0.0f);
  const Tensor x(device, input);
  fill(stream, {x.data(), input.elements()}, 0.0f);
  const ConstVectorView v{theta.data(), theta.size()};
  const VectorView out{to.data(), to.size()};
  plan.forward(stream, v, x);
  for (const ImageRange& images :
       {ImageRange{}, ImageRange{0, 3}, ImageRange{2, 2}, ImageRange{-1, 1}, ImageRange{3, 0}}) {
    EXPECT_THROW(plan.backward(stream, v, x, false, out, images), std::invalid_argument);
    EXPECT_THROW(plan.squared_gradients(stream, v, x, false, out, images), std::invalid_argument);
    EXPECT_THROW(plan.r_forward(stream, v, v, x, images), std::invalid_argument);
    EXPECT_THROW(plan.r_backward(stream, v, v, x, false, out, images), std::invalid_argument);
  }
  EXPECT_NO_THROW(plan.backward(stream, v, x, false, out, {1, 0}));  // 1 and 2
  EXPECT_THROW(plan.keep_gradients(stream, v, x, {0, 4}), std::invalid_argument);
  plan.r_forward(stream, v, v, x, {0, 2});
  EXPECT_THROW(plan.r_backward(stream, v, v, x, false, out, {0, 2}), std::logic_error)
      << "no gradients are kept";
  plan.keep_gradients(stream, v, x, {0, 1});
  EXPECT_THROW(plan.r_backward(stream, v, v, x, false, out, {0, 2}), std::logic_error);
  plan.keep_gradients(stream, v, x, {0, 2});
  EXPECT_THROW(plan.r_backward(stream, v, v, x, false, out, {1, 2}), std::logic_error);
  plan.r_backward(stream, v, v, x, false, out, {0, 2});
  plan.forward(stream, v, x);
  plan.r_forward(stream, v, v, x, {0, 2});
  EXPECT_THROW(plan.r_backward(stream, v, v, x, false, out, {0, 2}), std::logic_error)
      << "they were those of another forward pass";
  Plan low(model, device, input, PlanMode::kLowMemoryHessian, 2);
  low.forward(stream, v, x);
  EXPECT_THROW(low.keep_gradients(stream, v, x), std::logic_error);
  low.r_forward(stream, v, v, x, {0, 2});
  low.r_backward(stream, v, v, x, false, out, {0, 2});
}

}  // namespace
}  // namespace curvseg
