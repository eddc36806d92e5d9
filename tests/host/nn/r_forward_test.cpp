// The R-forward pass against differences of the double reference's output along a direction, ReLU
// masks and pooling winners frozen at the base point, where the output is smooth in theta.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "curvseg/error.hpp"
#include "host/nn/network_case.hpp"
#include "host/nn/random_graph.hpp"

namespace curvseg {
namespace {

using namespace testing;

struct RForwardResult {
  std::vector<float> output, r_output, grad;
};

/// forward, then `times` r_forward along v, each followed by a backward of `data.dy`.
RForwardResult run_r_forward(const Device& device, const Model& model, const Shape& input,
                             const NetworkData& data, const std::vector<float>& direction,
                             int times = 1) {
  const Stream stream(device);
  Plan plan(model, device, input, PlanMode::kCurvature);
  const std::int64_t size = model.parameter_count();
  DeviceArray<float> theta(device, size), v(device, size), grad(device, size);
  theta.upload(stream, data.theta.data(), size);
  v.upload(stream, direction.data(), size);
  Tensor x(device, input), dy(device, plan.output_shape());
  x.upload(stream, data.x);
  dy.upload(stream, data.dy);
  plan.forward(stream, {theta.data(), size}, x);
  RForwardResult result;
  for (int i = 0; i < times; ++i) {
    plan.r_forward(stream, {theta.data(), size}, {v.data(), size}, x);
    Tensor r(device, plan.output_shape());
    copy_tensor(stream, plan.r_output(), 1.0f, false, r);
    result.r_output = r.to_host(stream);
    copy_tensor(stream, dy.view(), 1.0f, false, plan.output_gradient());
    plan.backward(stream, {theta.data(), size}, x, false, {grad.data(), size});
  }
  Tensor output(device, plan.output_shape());
  copy_tensor(stream, plan.output(), 1.0f, false, output);
  result.output = output.to_host(stream);
  result.grad = grad.to_host(stream);
  return result;
}

/// (f(theta + h·v) − f(theta − h·v)) / 2h with the base point's masks and winners.
std::vector<double> difference(const Model& model, const Shape& input, const NetworkData& data,
                               const std::vector<float>& direction, double step) {
  const reference::Network network = reference_network(model);
  const reference::Extents extents{input.n, input.h, input.w, input.c};
  const std::vector<double> theta = to_double(data.theta), x = to_double(data.x);
  const reference::Pass base = reference::forward(network, theta, extents, x);
  const auto moved = [&](double by) {
    std::vector<double> at = theta;
    for (std::size_t i = 0; i < at.size(); ++i) at[i] += by * direction[i];
    return reference::forward(network, at, extents, x, &base).value.back().value;
  };
  std::vector<double> above = moved(step);
  const std::vector<double> below = moved(-step);
  for (std::size_t i = 0; i < above.size(); ++i) above[i] = (above[i] - below[i]) / (2.0 * step);
  return above;
}

std::vector<float> random_direction(const Model& model, unsigned seed) {
  std::vector<float> v =
      uniform_floats(static_cast<std::size_t>(model.parameter_count()), seed + 77);
  clear_padding(model, v);
  return v;
}

void expect_r_forward_is_difference(const Device& device, const Model& model, const Shape& input,
                                    unsigned seed) {
  const NetworkData data = real_data(model, input, seed);
  const std::vector<float> v = random_direction(model, seed);
  const std::vector<float> actual = run_r_forward(device, model, input, data, v).r_output;
  const std::vector<double> expected = difference(model, input, data, v, 1e-5);
  double square = 0.0;
  for (const double value : expected) square += value * value;
  const double size = std::sqrt(square / static_cast<double>(expected.size()));
  ASSERT_GT(size, 0.0);
  // Rounding of float32 through a dozen layers; a term left out is of order 1. A pixel whose ReLU
  // the two precisions see differently would fail, and none does with these seeds.
  for (std::size_t i = 0; i < actual.size(); ++i)
    ASSERT_TRUE(std::fabs(actual[i] - expected[i]) <= 2e-5 * (std::fabs(expected[i]) + size))
        << "element " << i << ": " << actual[i] << ", difference " << expected[i];
}

/// Whole numbers: the output is a polynomial of the step with whole coefficients, so a small
/// difference quotient rounds to the exact derivative.
void expect_r_forward_is_exact(const Device& device, const Model& model, const Shape& input,
                               unsigned seed) {
  const NetworkData data = whole_data(model, input, seed);
  std::vector<float> v = small_integers(data.theta.size(), seed + 5, 1);
  clear_padding(model, v);
  const std::vector<float> actual = run_r_forward(device, model, input, data, v).r_output;
  const std::vector<double> expected = difference(model, input, data, v, std::ldexp(1.0, -18));
  int different = 0, zero = 0;
  for (std::size_t i = 0; i < actual.size(); ++i) {
    ASSERT_LT(std::fabs(expected[i] - std::round(expected[i])), 0.05) << "not a whole number";
    different += !(actual[i] == std::round(expected[i]));
    zero += actual[i] == 0.0f;
  }
  EXPECT_EQ(different, 0) << "of " << actual.size();
  EXPECT_LT(zero, static_cast<int>(actual.size()));
}

const std::vector<std::pair<const char*, Shape>>& zoo_cases() {
  static const std::vector<std::pair<const char*, Shape>> cases = {
      {"unet(width=4, depth=2)", {2, 9, 14, 2}},
      {"unet(width=3, depth=2, transpose=false)", {1, 11, 8, 3}},
      {"fcn(width=3)", {1, 17, 12, 1}},
      {"segnet(width=4, depth=2)", {1, 9, 7, 1}},
      {"classifier2", {2, 12, 8, 1}},
      {"classifier3", {1, 16, 8, 3}}};
  return cases;
}

TEST(RForward, IsTheDerivativeOfTheOutputForZooModels) {
  const Device device = Device::open("host");
  for (const auto& [name, input] : zoo_cases()) {
    SCOPED_TRACE(name);
    expect_r_forward_is_difference(device, zoo::make(name, input.c, 3, input.h, input.w), input, 3);
  }
}

TEST(RForward, IsTheDerivativeOfTheOutputForRandomGraphs) {
  const Device device = Device::open("host");
  for (unsigned seed = 0; seed < 60; ++seed) {
    SCOPED_TRACE(seed);
    const Model model = RandomGraph(seed, false).build(12);
    expect_r_forward_is_difference(device, model, {1, RandomGraph::kHeight, RandomGraph::kWidth, 2},
                                   seed);
  }
}

TEST(RForward, IsExactForWholeNumbers) {
  for (const char* name : {"host", "host_baseline", "emulated", "cuda"}) {
    if (!has_device(name)) continue;
    SCOPED_TRACE(name);
    const Shape input{1, 10, 13, 2};
    expect_r_forward_is_exact(Device::open(name), zoo::make("unet(width=3, depth=2)", 2, 3), input,
                              11);
    const Shape square{2, 8, 8, 1};
    expect_r_forward_is_exact(Device::open(name), zoo::make("classifier2", 1, 3, 8, 8), square, 12);
  }
}

TEST(RForward, LeavesTheOtherPassesAlone) {
  const Device device = Device::open("host");
  for (unsigned seed = 0; seed < 20; ++seed) {
    SCOPED_TRACE(seed);
    const Model model = RandomGraph(seed, false).build(14);
    const Shape input{1, RandomGraph::kHeight, RandomGraph::kWidth, 2};
    const NetworkData data = real_data(model, input, seed);
    const std::vector<float> v = random_direction(model, seed);
    const NetworkResult training = run_plan(device, model, input, data);
    const RForwardResult once = run_r_forward(device, model, input, data, v, 1);
    const RForwardResult thrice = run_r_forward(device, model, input, data, v, 3);
    EXPECT_EQ(once.output, training.output);
    EXPECT_EQ(once.grad, training.grad);
    EXPECT_EQ(thrice.grad, training.grad);
    EXPECT_EQ(thrice.r_output, once.r_output);
  }
}

TEST(RForward, RefusesWhatItCannotDo) {
  const Device device = Device::open("host");
  const Stream stream(device);
  const Model model = zoo::make("unet(width=2, depth=1)", 1, 2);
  const Shape input{1, 4, 4, 1};
  const std::int64_t size = model.parameter_count();
  DeviceArray<float> theta(device, size);
  fill(stream, {theta.data(), size}, 0.0f);
  Tensor x(device, input);
  fill(stream, {x.view().data, input.elements()}, 0.0f);
  Plan training(model, device, input, PlanMode::kTraining);
  training.forward(stream, {theta.data(), size}, x);
  EXPECT_THROW(training.r_forward(stream, {theta.data(), size}, {theta.data(), size}, x),
               std::logic_error);
  EXPECT_THROW(training.r_output(), std::logic_error);
  Plan plan(model, device, input, PlanMode::kCurvature);
  EXPECT_THROW(plan.r_forward(stream, {theta.data(), size}, {theta.data(), size}, x),
               std::logic_error);
  plan.forward(stream, {theta.data(), size}, x);
  EXPECT_THROW(plan.r_forward(stream, {theta.data(), size}, {theta.data(), size - 1}, x),
               std::invalid_argument);
}

}  // namespace
}  // namespace curvseg
