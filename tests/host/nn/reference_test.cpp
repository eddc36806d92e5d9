// The reference itself: its gradient against differences of its output, ReLU masks and pooling
// winners frozen at the base point, where the function is smooth.
#include <gtest/gtest.h>

#include <cmath>

#include "host/nn/network_case.hpp"
#include "host/nn/random_graph.hpp"

namespace curvseg {
namespace {

using namespace testing;

double inner_product(const std::vector<double>& a, const std::vector<double>& b) {
  double sum = 0.0;
  for (std::size_t i = 0; i < a.size(); ++i) sum += a[i] * b[i];
  return sum;
}

void expect_gradient_is_difference(const Model& model, const Shape& input, unsigned seed) {
  const NetworkData data = real_data(model, input, seed);
  const reference::Network network = reference_network(model);
  const reference::Extents extents{input.n, input.h, input.w, input.c};
  const std::vector<double> theta = to_double(data.theta), x = to_double(data.x),
                            dy = to_double(data.dy);
  const reference::Pass base = reference::forward(network, theta, extents, x);
  const reference::Numbers gradient = reference::backward(network, theta, base, dy);
  const double size =
      std::sqrt(inner_product(gradient.value, gradient.value) / static_cast<double>(theta.size()));
  ASSERT_GT(size, 0.0);
  // A product of one weight per layer: linear in each weight alone, so the step may be large.
  constexpr double kStep = 1e-3;
  std::mt19937 engine(seed);
  for (int i = 0; i < 60; ++i) {
    const std::size_t at = engine() % theta.size();
    const auto value = [&](double step) {
      std::vector<double> moved = theta;
      moved[at] += step;
      const auto pass = reference::forward(network, moved, extents, x, &base);
      return inner_product(dy, pass.value.back().value);
    };
    const double difference = (value(kStep) - value(-kStep)) / (2.0 * kStep);
    const double error = std::fabs(difference - gradient.value[at]);
    EXPECT_TRUE(error <= 1e-8 * (std::fabs(difference) + size))
        << "parameter " << at << ": gradient " << gradient.value[at] << ", difference "
        << difference;
  }
}

TEST(Reference, GradientIsDifferenceQuotientForZooModels) {
  expect_gradient_is_difference(zoo::make("unet(width=2, depth=2)", 2, 3), {1, 9, 6, 2}, 1);
  expect_gradient_is_difference(zoo::make("fcn(width=2)", 1, 2), {1, 11, 8, 1}, 2);
  expect_gradient_is_difference(zoo::make("segnet(width=2, depth=2)", 1, 2), {1, 5, 7, 1}, 3);
  expect_gradient_is_difference(zoo::make("classifier2", 1, 3, 8, 8), {2, 8, 8, 1}, 4);
}

TEST(Reference, GradientIsDifferenceQuotientForRandomGraphs) {
  for (unsigned seed = 100; seed < 110; ++seed) {
    SCOPED_TRACE(seed);
    const Model model = RandomGraph(seed, seed % 2 == 0).build(10);
    expect_gradient_is_difference(model, {1, RandomGraph::kHeight, RandomGraph::kWidth, 2}, seed);
  }
}

TEST(Reference, ConvolutionByHand) {
  ModelBuilder b("hand", 1);
  const Model model = b.build(b.conv(b.input(), {.name = "c", .k = 1, .r = 1, .s = 2}));
  // w = [2, 3], bias −8: y = relu(2 x[q] + 3 x[q+1] − 8) on [1, 2, 5] without padding.
  const Shape input{1, 1, 3, 1};
  NetworkData data{std::vector<float>(32), {1, 2, 5}, {1, 1}};
  data.theta[0] = 2, data.theta[1] = 3, data.theta[16] = -8;
  const ReferenceResult result = run_reference(model, input, data);
  EXPECT_EQ(result.output().value, (std::vector<double>{0, 11}));
  EXPECT_EQ(result.grad.value[0], 2.0);
  EXPECT_EQ(result.grad.value[1], 5.0);
  EXPECT_EQ(result.grad.value[16], 1.0);
}

}  // namespace
}  // namespace curvseg
