// Plans: memory, determinism, accumulation, messages.
#include <gtest/gtest.h>
#include <omp.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "curvseg/error.hpp"
#include "host/device/device_double.hpp"
#include "host/nn/message_of.hpp"
#include "host/nn/network_case.hpp"
#include "host/nn/random_graph.hpp"

namespace curvseg {
namespace {

using namespace testing;

constexpr Shape kInput{2, 21, 18, 3};

Model small_unet() { return zoo::make("unet(width=8, depth=2)", 3, 3); }

bool same_bits(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

TEST(Plan, TwoRunsAndAnyThreadCountGiveTheSameBits) {
  const Device device = Device::open("host");
  const NetworkData data = real_data(small_unet(), kInput, 3);
  const int threads = omp_get_max_threads();
  omp_set_num_threads(1);
  const NetworkResult one = run_plan(device, small_unet(), kInput, data);
  for (const int n : {1, 2, 3}) {
    omp_set_num_threads(n);
    const NetworkResult other = run_plan(device, small_unet(), kInput, data);
    EXPECT_TRUE(same_bits(one.output, other.output)) << n << " threads";
    EXPECT_TRUE(same_bits(one.grad, other.grad)) << n << " threads";
  }
  omp_set_num_threads(threads);
}

TEST(Plan, InferenceGivesTheBitsOfTraining) {
  const Device device = Device::open("host");
  for (unsigned seed = 0; seed < 12; ++seed) {
    const Model model = RandomGraph(seed, false).build(14);
    const Shape input{1, RandomGraph::kHeight, RandomGraph::kWidth, 2};
    const NetworkData data = real_data(model, input, seed);
    EXPECT_TRUE(same_bits(run_plan(device, model, input, data).output,
                          run_plan(device, model, input, data, PlanMode::kInference).output));
  }
}

TEST(Plan, GradientsAccumulate) {
  const NetworkData data = whole_data(small_unet(), kInput, 5);
  const Device device = Device::open("host");
  const NetworkResult once = run_plan(device, small_unet(), kInput, data);
  const NetworkResult thrice = run_plan(device, small_unet(), kInput, data, PlanMode::kTraining, 3);
  for (std::size_t i = 0; i < once.grad.size(); ++i)
    ASSERT_EQ(thrice.grad[i], 3.0f * once.grad[i]) << "element " << i;
}

TEST(Plan, PaddingBetweenParametersHasNoGradient) {
  const Model model = zoo::make("unet(width=5, depth=2)", 3, 3);  // many gaps
  const NetworkResult result =
      run_plan(Device::open("host"), model, kInput, real_data(model, kInput, 7));
  std::vector<float> owned = result.grad;
  clear_padding(model, owned);
  EXPECT_TRUE(same_bits(owned, result.grad));
}

TEST(Plan, TakesImagesWithAPixelStride) {
  const Device device = Device::open("host");
  const Model model = small_unet();
  const NetworkData data = real_data(model, kInput, 9);
  const Stream stream(device);
  Plan plan(model, device, kInput, PlanMode::kTraining);
  DeviceArray<float> theta(device, model.parameter_count()), grad(device, model.parameter_count());
  theta.upload(stream, data.theta.data(), theta.size());
  Tensor x(device, kInput), dy(device, plan.output_shape());
  Tensor wide(device, {kInput.n, kInput.h, kInput.w, 7});
  x.upload(stream, data.x);
  dy.upload(stream, data.dy);
  const TensorView slice = wide.view().channels(2, 3);
  copy_tensor(stream, x, 1.0f, false, slice);
  plan.forward(stream, {theta.data(), theta.size()}, slice);
  copy_tensor(stream, dy, 1.0f, false, plan.output_gradient());
  plan.backward(stream, {theta.data(), theta.size()}, slice, false, {grad.data(), grad.size()});
  EXPECT_TRUE(same_bits(grad.to_host(stream), run_plan(device, model, kInput, data).grad));
}

TEST(Plan, InferenceNeedsLessMemoryThanTraining) {
  const Device device = Device::open("host");
  for (const char* name : {"unet", "unet(transpose=false)", "fcn", "segnet"}) {
    const Model model = zoo::make(name, 3, 3);
    const Plan inference(model, device, {2, 48, 48, 3}, PlanMode::kInference);
    const Plan training(model, device, {2, 48, 48, 3}, PlanMode::kTraining);
    EXPECT_LT(inference.memory_bytes(), training.memory_bytes() / 2) << name;
  }
}

// ---- no allocation, no waiting -----------------------------------------------------------------

/// The host's runtime, counting. Function pointers have no state, so neither has this.
struct Counts {
  int allocations = 0, releases = 0, waits = 0, copies = 0;
  std::size_t bytes = 0;
};
Counts counts;

const Runtime& real_runtime() { return *Device::open("host").target().runtime; }

const Target& counting_target() {
  static Runtime runtime = [] {
    Runtime r = real_runtime();
    r.allocate = [](int device, std::size_t bytes) {
      ++counts.allocations;
      counts.bytes += bytes;
      return real_runtime().allocate(device, bytes);
    };
    r.release = [](int device, void* memory) {
      ++counts.releases;
      real_runtime().release(device, memory);
    };
    r.synchronise = [](int device, StreamHandle stream) {
      ++counts.waits;
      real_runtime().synchronise(device, stream);
    };
    r.copy = [](StreamHandle stream, void* to, const void* from, std::size_t bytes) {
      ++counts.copies;
      real_runtime().copy(stream, to, from, bytes);
    };
    return r;
  }();
  static const Target target{&runtime, Device::open("host").target().kernels};
  return target;
}

TEST(Plan, AllocatesOnceAndNeverWaits) {
  const Device device = DeviceDouble::make(counting_target());
  const Model model = small_unet();
  const Stream stream(device);
  DeviceArray<float> theta(device, model.parameter_count()), grad(device, model.parameter_count());
  Tensor x(device, kInput);
  model.initialise(stream, 1, {theta.data(), theta.size()});
  fill(stream, {x.data(), x.shape().elements()}, 0.5f);
  counts = {};
  {
    Plan plan(model, device, kInput, PlanMode::kTraining);
    EXPECT_EQ(counts.allocations, 1);
    EXPECT_EQ(counts.bytes, plan.memory_bytes());
    for (int i = 0; i < 3; ++i) {
      plan.forward(stream, {theta.data(), theta.size()}, x);
      const TensorView dy = plan.output_gradient();
      fill(stream, {dy.data, dy.shape.elements()}, 1.0f);
      plan.backward(stream, {theta.data(), theta.size()}, x, false, {grad.data(), grad.size()});
    }
    EXPECT_EQ(counts.allocations, 1);
    EXPECT_EQ(counts.waits, 0);
    EXPECT_EQ(counts.copies, 0);
    EXPECT_EQ(counts.releases, 0);
  }
  EXPECT_EQ(counts.releases, 1);
}

// ---- messages ----------------------------------------------------------------------------------

TEST(PlanMessages, NameTheLayerAndBothSides) {
  const Device device = Device::open("host");
  const auto plan = [&](const Model& model, const Shape& shape) {
    return message_of<InputError>([&] { Plan(model, device, shape, PlanMode::kInference); });
  };
  EXPECT_EQ(plan(small_unet(), {2, 16, 16, 4}),
            "unet(width=8, depth=2, transpose=true): it takes images of 3 channels, the input "
            "[2,16,16,4] has 4");
  EXPECT_EQ(plan(small_unet(), {2, 16, 3, 3}),
            "max_pool2: a window of 2x2 does not fit its input of 8x1; use larger images or fewer "
            "poolings");
  EXPECT_EQ(plan(small_unet(), {0, 16, 16, 3}),
            "unet(width=8, depth=2, transpose=true): the input [0,16,16,3] is empty");
  EXPECT_EQ(
      plan(zoo::make("classifier2", 1, 10, 28, 28), {1, 32, 28, 1}),
      "classifier2(width=32, hidden=128): it was made for images of 28x28, the input is 32x28");

  ModelBuilder b("wiring", 1);
  const int small = b.max_pool(b.input());
  const Model concat = b.build(b.concat(b.conv(small, {.k = 2}), b.conv(b.input(), {.k = 2})));
  EXPECT_EQ(plan(concat, {1, 8, 6, 1}), "concat1: one input is 4x3, the other 8x6");
  ModelBuilder t("wiring", 1);
  const Model up = t.build(t.conv_transpose(
      t.conv(t.input(), {.k = 2}), {.name = "up", .k = 1, .r = 2, .s = 2, .stride = 2}, 0));
  EXPECT_EQ(plan(up, {1, 8, 6, 1}),
            "up: a transposed convolution to 8x6 takes an input of 4x3, its input is 8x6");
}

TEST(PlanMessages, PassesAreOverTheImagesOfTheLastForward) {
  const Device device = Device::open("host");
  const Stream stream(device);
  const Model model = zoo::make("unet(width=2, depth=1)", 1, 2);
  const std::string name = "unet(width=2, depth=1, transpose=true): ";
  DeviceArray<float> theta(device, model.parameter_count());
  const VectorView all{theta.data(), theta.size()};
  fill(stream, all, 0.0f);
  Tensor one(device, {1, 8, 8, 1}), two(device, {2, 8, 8, 1}), three(device, {3, 8, 8, 1});
  for (const Tensor* x : {&one, &two, &three})
    fill(stream, {x->view().data, x->view().shape.elements()}, 1.0f);
  Plan plan(model, device, {2, 8, 8, 1}, PlanMode::kTraining);
  plan.forward(stream, all, one);
  EXPECT_EQ(message_of<std::invalid_argument>([&] { plan.backward(stream, all, two, false, all); }),
            name + "backward: x is [2,8,8,1], the last forward() was on [1,8,8,1]");
  EXPECT_EQ(message_of<std::invalid_argument>([&] { plan.forward(stream, all, three); }),
            name + "forward: x is [3,8,8,1], the plan was made for [2,8,8,1]");
  Plan curvature(model, device, {2, 8, 8, 1}, PlanMode::kCurvature);
  EXPECT_EQ(message_of<std::invalid_argument>([&] { curvature.forward(stream, all, one); }),
            name + "forward: x is [1,8,8,1], the plan was made for [2,8,8,1]");
}

TEST(PlanMessages, CallsWithWrongShapesAreRefused) {
  const Device device = Device::open("host");
  const Stream stream(device);
  const Model model = zoo::make("unet(width=2, depth=1)", 1, 2);
  Plan plan(model, device, {1, 8, 8, 1}, PlanMode::kTraining);
  DeviceArray<float> theta(device, model.parameter_count());
  const ConstVectorView whole{theta.data(), theta.size()}, part{theta.data(), 16};
  const VectorView grad{theta.data(), 16};
  Tensor x(device, {1, 8, 8, 1}), other(device, {1, 9, 8, 1});
  const std::string size = std::to_string(model.parameter_count());
  const std::string name = "unet(width=2, depth=1, transpose=true): ";
  EXPECT_EQ(message_of<std::invalid_argument>([&] { plan.forward(stream, part, x); }),
            name + "forward: theta has 16 elements, the model has " + size);
  EXPECT_EQ(message_of<std::invalid_argument>([&] { plan.forward(stream, whole, other); }),
            name + "forward: x is [1,9,8,1], the plan was made for [1,8,8,1]");
  EXPECT_EQ(
      message_of<std::invalid_argument>([&] { plan.backward(stream, whole, x, false, grad); }),
      name + "backward: grad has 16 elements, the model has " + size);
  const VectorView all{theta.data(), theta.size()};
  EXPECT_EQ(message_of<std::logic_error>([&] { plan.backward(stream, whole, x, false, all); }),
            name + "backward: it follows a forward() of a plan for training, once");
  const Plan inference(model, device, {1, 8, 8, 1}, PlanMode::kInference);
  EXPECT_EQ(message_of<std::logic_error>([&] { inference.output_gradient(); }),
            name + "a plan for inference has no gradient");
}

TEST(PlanMessages, ADenseFirstLayerTakesDenseImagesOnly) {
  ModelBuilder b("linear", 2, 4, 4);
  const Model model = b.build(b.dense(b.input(), 3, false));
  const Device device = Device::open("host");
  const Stream stream(device);
  const Shape input{2, 4, 4, 2};
  expect_matches_reference(device, model, input, 1);
  Plan plan(model, device, input, PlanMode::kInference);
  DeviceArray<float> theta(device, model.parameter_count());
  Tensor wide(device, {2, 4, 4, 5});
  EXPECT_EQ(message_of<std::invalid_argument>([&] {
              plan.forward(stream, {theta.data(), theta.size()}, wide.view().channels(0, 2));
            }),
            "linear: forward: x has pixel stride 5, its first layer is dense and needs 2");
}

// What a model is asked for reaches every pass: outputs and gradients differ, by rounding. Of one
// whose products are all zero the reference's bound is zero, and that of minimal filtering is not,
// so the largest number is the measure here; some 20 roundings of 64/9 · 2^-24 lie in between.
TEST(Plan, ConvolutionsAreComputedAsTheModelSays) {
  const Device device = Device::open("host");
  const Model model = zoo::make("unet(width=4, depth=1)", 2, 3);
  const Shape input{2, 7, 10, 2};
  const NetworkData data = real_data(model, input, 3);
  const auto run = [&](ConvAlgorithm algorithm) {
    return run_plan(device, model.with_convolutions(algorithm), input, data);
  };
  const NetworkResult direct = run(ConvAlgorithm::kDirect);
  const NetworkResult filtered = run(ConvAlgorithm::kWinograd);
  EXPECT_EQ(run(ConvAlgorithm::kAutomatic).output, direct.output) << "few channels";
  const auto expect_alike = [](const std::vector<float>& actual, const std::vector<float>& other) {
    EXPECT_NE(actual, other);
    double largest = 0.0;
    for (const float value : other) largest = std::max(largest, std::fabs(double{value}));
    expect_within(actual, to_double(other), std::vector<double>(other.size(), 1e-5 * largest));
  };
  expect_alike(filtered.output, direct.output);
  expect_alike(filtered.grad, direct.grad);
  EXPECT_EQ(model.with_convolutions(ConvAlgorithm::kWinograd).name(), model.name());
}

}  // namespace
}  // namespace curvseg
