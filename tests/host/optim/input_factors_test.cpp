// FOOF's preconditioner against factors formed explicitly in double, and its first step.
#include "host/optim/input_factors.hpp"

#include <gtest/gtest.h>

#include <cmath>

#include "curvseg/error.hpp"
#include "reference/dense.hpp"
#include "reference/patches.hpp"
#include "tests/host/optim/layers_case.hpp"

namespace curvseg::testing {
namespace {

using reference::DenseMatrix;

/// x of a layer without the gaps that its memory may have.
std::vector<float> dense_copy(const Stream& stream, ConstTensorView x) {
  const Tensor copy(stream.device(), x.shape);
  copy_tensor(stream, x, 1.0f, false, copy.view());
  return copy.to_host(stream);
}

/// The mean outer product of what the layer reads, at all positions.
DenseMatrix factor(LayersCase& c, const LayerMatrix& layer) {
  const Node& node = c.model.nodes()[static_cast<std::size_t>(layer.node)];
  const ConstTensorView x = c.loss.layer_input(layer.node);
  const int taps = layer.transposed ? 1 : node.r;
  const reference::Conv2d g{.n = x.shape.n,
                            .h = x.shape.h,
                            .w = x.shape.w,
                            .c = x.shape.c,
                            .k = 1,
                            .r = taps,
                            .s = taps,
                            .pad_h = layer.transposed ? 0 : node.geometry.pad_h,
                            .pad_w = layer.transposed ? 0 : node.geometry.pad_w};
  std::vector<std::int64_t> positions(static_cast<std::size_t>(g.n * g.p() * g.q()));
  for (std::size_t i = 0; i < positions.size(); ++i) positions[i] = static_cast<std::int64_t>(i);
  const bool one = !layer.transposed;
  const std::size_t width = reference::Conv2d::size(1, taps, taps, g.c) + (one ? 1 : 0);
  const DenseMatrix rows(positions.size(), width,
                         reference::patch_rows(g, dense_copy(c.stream, x), positions,
                                               static_cast<int>(positions.size()), one, 1.0));
  return multiply(transpose(rows), rows);
}

/// (A + 0.01·trace(A)/n·I)⁻¹
DenseMatrix damped_inverse(DenseMatrix a) {
  double trace = 0.0;
  for (std::size_t i = 0; i < a.rows; ++i) trace += a.at(i, i);
  for (std::size_t i = 0; i < a.rows; ++i)
    a.at(i, i) += double(0.01f) * trace / static_cast<double>(a.rows);
  return inverse(a);
}

std::vector<double> values(const std::vector<float>& flat, std::int64_t first, std::int64_t count) {
  std::vector<double> result(static_cast<std::size_t>(count));
  for (std::size_t i = 0; i < result.size(); ++i)
    result[i] = static_cast<double>(flat[static_cast<std::size_t>(first) + i]);
  return result;
}

/// Weights and, behind them, the bias.
std::vector<double> with_bias(const std::vector<float>& flat, const LayerMatrix& layer) {
  std::vector<double> result(static_cast<std::size_t>(layer.elements() + layer.out));
  for (std::size_t i = 0; i < result.size(); ++i) {
    const auto at = static_cast<std::int64_t>(i);
    const std::int64_t from =
        at < layer.elements() ? layer.weight + at : layer.bias + at - layer.elements();
    result[i] = static_cast<double>(flat[static_cast<std::size_t>(from)]);
  }
  return result;
}

// Condition numbers of the damped factors of patches are in the hundreds.
void expect_close(const std::vector<double>& actual, const std::vector<double>& expected,
                  const std::string& what, double tolerance = 1e-4) {
  double size = 0.0;
  for (const double value : expected) size = std::max(size, std::fabs(value));
  ASSERT_GT(size, 0.0) << what;
  for (std::size_t i = 0; i < actual.size(); ++i)
    ASSERT_TRUE(std::fabs(actual[i] - expected[i]) <= tolerance * size)
        << what << ", element " << i << ": " << actual[i] << ", expected " << expected[i];
}

class InputFactorsTest : public ::testing::TestWithParam<std::string> {};

TEST_P(InputFactorsTest, AppliesTheInverseOfTheExplicitFactor) {
  LayersCase c(Device::open(GetParam()));
  const std::vector<float> grad = c.gradient();
  InputFactors factors(c.stream, c.model, {});
  factors.observe(c.stream, c.loss, 1, nullptr);
  factors.invert(c.stream);
  DeviceArray<float> d(c.stream.device(), c.grad.size());
  factors.apply(c.stream, {c.grad.data(), c.grad.size()}, {d.data(), d.size()});
  const std::vector<float> actual = d.to_host(c.stream);
  int transposed = 0, convolutions = 0, apart = 0;
  for (const LayerMatrix& layer : layer_matrices(c.model)) {
    const DenseMatrix inverse = damped_inverse(factor(c, layer));
    const auto rows = static_cast<std::size_t>(layer.rows());
    const auto columns = static_cast<std::size_t>(layer.columns());
    if (layer.transposed) {
      ++transposed;
      const DenseMatrix m(rows, columns, values(grad, layer.weight, layer.elements()));
      expect_close(values(actual, layer.weight, layer.elements()), multiply(m, inverse).values,
                   layer.name);
      EXPECT_EQ(values(actual, layer.bias, layer.out), values(grad, layer.bias, layer.out));
    } else {
      ++convolutions;
      if (layer.bias != layer.weight + layer.elements()) ++apart;
      const DenseMatrix m(rows + 1, columns, with_bias(grad, layer));
      expect_close(with_bias(actual, layer), multiply(inverse, m).values, layer.name);
    }
  }
  EXPECT_EQ(transposed, 1);
  EXPECT_EQ(convolutions, 7);
  EXPECT_GT(apart, 0) << "no layer has its bias apart from its weights";
  std::vector<float> cleared = actual;
  clear_padding(c.model, cleared);
  EXPECT_EQ(cleared, actual) << "the padding between parameters is not 0 any more";
}

// 229 channels under 3x3 taps are 2062 inputs: the taps share a factor over the channels.
TEST(InputFactors, TapsOfALargeLayerShareAFactorOverItsChannels) {
  constexpr int kChannels = 229, kTaps = 9, kClasses = 2;
  ModelBuilder builder("large", kChannels);
  const Model model =
      builder.build(builder.conv(builder.input(), {.name = "large", .k = kClasses, .relu = false}));
  const Stream stream(Device::open("host"));
  const Shape shape{1, 4, 5, kChannels};
  const std::vector<float> x = uniform_floats(elements(shape), 3);
  Tensor images(stream.device(), shape);
  images.upload(stream, x);
  std::vector<float> m = uniform_floats(static_cast<std::size_t>(model.parameter_count()), 4);
  clear_padding(model, m);
  const auto size = static_cast<std::int64_t>(m.size());
  DeviceArray<float> theta(stream.device(), size), d(stream.device(), size);
  theta.upload(stream, m.data(), size);
  DeviceArray<std::int32_t> labels(stream.device(), shape.pixels());
  const std::vector<std::int32_t> zeros(static_cast<std::size_t>(shape.pixels()));
  labels.upload(stream, zeros.data(), labels.size());
  BatchLoss loss(stream, model, shape);
  loss.linearise({theta.data(), size}, images, labels.data());
  InputFactors factors(stream, model, {});
  factors.observe(stream, loss, 1, nullptr);
  factors.invert(stream);
  factors.apply(stream, {theta.data(), size}, {d.data(), size});
  const std::vector<float> actual = d.to_host(stream);

  const DenseMatrix rows(static_cast<std::size_t>(shape.pixels()), kChannels, x);
  DenseMatrix mean = multiply(transpose(rows), rows);
  for (double& value : mean.values) value /= static_cast<double>(rows.rows);
  const DenseMatrix inverse = damped_inverse(mean);
  // Twenty pixels leave most of 229 eigenvalues to the damping, a hundredth of their mean: an
  // inverse is as wrong as the largest is times that, in rounding errors.
  double square = 0.0, trace = 0.0;
  for (const double value : mean.values) square += value * value;
  for (std::size_t i = 0; i < kChannels; ++i) trace += mean.at(i, i);
  const double condition = std::sqrt(square) / (0.01 * trace / kChannels);
  const double tolerance = condition * std::ldexp(1.0, -24);
  const LayerMatrix layer = layer_matrices(model)[0];
  for (int t = 0; t < kTaps; ++t) {
    const std::int64_t block = kChannels * kClasses, first = layer.weight + t * block;
    const DenseMatrix tap(kChannels, kClasses, values(m, first, block));
    expect_close(values(actual, first, block), multiply(inverse, tap).values,
                 "tap " + std::to_string(t), tolerance);
  }
  EXPECT_EQ(values(actual, layer.bias, kClasses), values(m, layer.bias, kClasses));
}

TEST_P(InputFactorsTest, MeansOfSeveralBatchesAndNoneOfARejectedOne) {
  LayersCase c(Device::open(GetParam()));
  c.gradient();
  const auto mean_of = [&](InputFactors& factors) {
    OptimizerState state;
    factors.append_state(state);
    return c.read(state.tensors[1].data);  // the first layer's
  };
  InputFactors factors(c.stream, c.model, {.decay = 0.9f});
  factors.observe(c.stream, c.loss, 1, nullptr);
  const std::vector<float> first = mean_of(factors);
  std::vector<float> twice = c.data.x;
  for (float& value : twice) value *= 2.0f;
  c.images.upload(c.stream, twice);
  c.gradient();
  const std::vector<float> zero{0.0f};
  DeviceArray<float> rejected(c.stream.device(), 1);
  rejected.upload(c.stream, zero.data(), 1);
  factors.observe(c.stream, c.loss, 2, rejected.data());
  EXPECT_EQ(mean_of(factors), first);
  factors.observe(c.stream, c.loss, 3, nullptr);
  const std::vector<float> second = mean_of(factors);
  // The first layer reads the image: its factor grows by 4, but for the row of the bias. Weights
  // 0.9 and 1, normalised.
  const double share = 1.0 / 1.9;
  const double expected = (1.0 - share) * first[0] + share * 4.0 * first[0];
  EXPECT_TRUE(std::fabs(second[0] - expected) <= 1e-5 * std::fabs(expected));
  EXPECT_TRUE(std::fabs(second.back() - 1.0f) <= 1e-5f);
}

TEST_P(InputFactorsTest, FirstStepOfFoofIsTheMinimumAlongItsDirection) {
  LayersCase c(Device::open(GetParam()));
  const std::vector<float> grad = c.gradient();
  InputFactors factors(c.stream, c.model, {});
  factors.observe(c.stream, c.loss, 1, nullptr);
  factors.invert(c.stream);
  DeviceArray<float> d(c.stream.device(), c.grad.size()), gd(c.stream.device(), c.grad.size());
  factors.apply(c.stream, {c.grad.data(), c.grad.size()}, {d.data(), d.size()});
  const std::vector<float> direction = d.to_host(c.stream);
  c.loss.ggnvp({d.data(), d.size()}, {gd.data(), gd.size()});
  const std::vector<float> product = gd.to_host(c.stream);
  double slope = 0.0, square = 0.0, curvature = 0.0;
  for (std::size_t i = 0; i < direction.size(); ++i) {
    slope += double(grad[i]) * direction[i];
    square += double(direction[i]) * direction[i];
    curvature += double(direction[i]) * product[i];
  }
  // Without a trust region that would hide λ.
  const FoofOptions options{.batch_fraction = 1.0f, .radius = 1e6f};
  const double damping = double(options.model_damping) * square;
  EXPECT_GT(damping, 1e-2 * curvature) << "λ makes no difference";
  const double alpha = slope / (curvature + damping);

  const auto foof = make_optimizer(c.stream, {.name = "foof", .foof = options}, c.model);
  c.gradient();
  foof->step(c.context(1));
  const std::vector<float> theta = c.theta.to_host(c.stream);
  for (std::size_t i = 0; i < theta.size(); ++i)
    ASSERT_TRUE(std::fabs(theta[i] - (c.data.theta[i] - alpha * direction[i])) <=
                1e-4 * (std::fabs(alpha * direction[i]) + 1e-3))
        << i;
}

INSTANTIATE_TEST_SUITE_P(Devices, InputFactorsTest, ::testing::ValuesIn(cheap_devices()),
                         [](const auto& instance) { return instance.param; });

TEST(Foof, NeedsAModelAndABatch) {
  const Stream stream(Device::open("host"));
  EXPECT_THROW(make_optimizer(stream, {.name = "foof"}, 10), InputError);
  LayersCase c(Device::open("host"));
  const auto foof = make_optimizer(c.stream, {.name = "foof"}, c.model);
  c.gradient();
  StepContext context = c.context(1);
  context.batch = nullptr;
  EXPECT_THROW(foof->step(context), std::invalid_argument);
}

}  // namespace
}  // namespace curvseg::testing
