// FOOF's preconditioner against factors formed explicitly in double, and its first step.
#include "host/optim/input_factors.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>

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

/// `x` with every pixel repeated `times` times along both axes.
std::vector<float> enlarged(const std::vector<float>& x, const Shape& shape, int times) {
  std::vector<float> result;
  for (int n = 0; n < shape.n; ++n)
    for (int h = 0; h < shape.h * times; ++h)
      for (int w = 0; w < shape.w * times; ++w) {
        const int pixel = (n * shape.h + h / times) * shape.w + w / times;
        const auto at = x.begin() + std::ptrdiff_t{pixel} * shape.c;
        result.insert(result.end(), at, at + shape.c);
      }
  return result;
}

/// A model of one layer, and what its factors make of a vector after one batch. Behind a pooling
/// the layer reads what is left of images whose windows are all of one value.
class LargeLayer {
 public:
  LargeLayer(const Device& device, const Model& model, const Shape& shape, int pooled = 1)
      : layer_(layer_matrices(model)[0]),
        x_(uniform_floats(elements(shape) / static_cast<std::size_t>(pooled * pooled), 3)),
        m_(uniform_floats(static_cast<std::size_t>(model.parameter_count()), 4)) {
    clear_padding(model, m_);
    const Stream stream(device);
    Tensor images(stream.device(), shape);
    const Shape read{shape.n, shape.h / pooled, shape.w / pooled, shape.c};
    const std::vector<float> all = enlarged(x_, read, pooled);
    images.upload(stream, all);
    const auto size = static_cast<std::int64_t>(m_.size());
    DeviceArray<float> theta(stream.device(), size), d(stream.device(), size);
    theta.upload(stream, m_.data(), size);
    DeviceArray<std::int32_t> labels(stream.device(), shape.pixels());
    const std::vector<std::int32_t> zeros(static_cast<std::size_t>(shape.pixels()));
    labels.upload(stream, zeros.data(), labels.size());
    BatchLoss loss(stream, model, shape);
    loss.linearise({theta.data(), size}, images, labels.data());
    InputFactors factors(stream, model, {});
    factors.observe(stream, loss, 1, nullptr);
    factors.invert(stream);
    factors.apply(stream, {theta.data(), size}, {d.data(), size});
    d_ = d.to_host(stream);
  }

  /// The rows of the weights from `from` on are multiplied by the inverse factor of inputs [first,
  /// first + count) of pixels with `channels` channels.
  void expect_multiplied(int from, int channels, int first, int count) const {
    const InverseFactor factor = inverse_factor(channels, first, count);
    const auto n = static_cast<std::size_t>(count);
    const std::int64_t at = layer_.weight + std::int64_t{from} * layer_.out;
    const std::int64_t size = std::int64_t{count} * layer_.out;
    const DenseMatrix block(n, static_cast<std::size_t>(layer_.out), values(m_, at, size));
    expect_close(values(d_, at, size), multiply(factor.inverse, block).values,
                 "rows from " + std::to_string(from), factor.tolerance);
  }
  /// The same of the columns [first, first + count) of a transposed convolution.
  void expect_multiplied_transposed(int channels, int first, int count) const {
    const InverseFactor factor = inverse_factor(channels, first, count);
    const auto n = static_cast<std::size_t>(count);
    for (int row = 0; row < layer_.rows(); ++row) {
      const std::int64_t at = layer_.weight + std::int64_t{row} * layer_.in + first;
      const DenseMatrix block(1, n, values(m_, at, count));
      expect_close(values(d_, at, count), multiply(block, factor.inverse).values,
                   "row " + std::to_string(row) + " from " + std::to_string(first),
                   factor.tolerance);
    }
  }
  void expect_bias_is_copied() const {
    EXPECT_EQ(values(d_, layer_.bias, layer_.out), values(m_, layer_.bias, layer_.out));
  }

 private:
  struct InverseFactor {
    DenseMatrix inverse;
    double tolerance;
  };
  InverseFactor inverse_factor(int channels, int first, int count) const {
    const auto n = static_cast<std::size_t>(count);
    DenseMatrix rows(x_.size() / static_cast<std::size_t>(channels), n);
    for (std::size_t i = 0; i < rows.rows; ++i)
      for (std::size_t c = 0; c < n; ++c)
        rows.at(i, c) = static_cast<double>(
            x_[i * static_cast<std::size_t>(channels) + static_cast<std::size_t>(first) + c]);
    DenseMatrix mean = multiply(transpose(rows), rows);
    for (double& value : mean.values) value /= static_cast<double>(rows.rows);
    // Few pixels leave most eigenvalues to the damping, a hundredth of their mean: an inverse is as
    // wrong as the largest is times that, in rounding errors.
    double square = 0.0, trace = 0.0;
    for (const double value : mean.values) square += value * value;
    for (std::size_t i = 0; i < n; ++i) trace += mean.at(i, i);
    const double condition = std::sqrt(square) / (0.01 * trace / static_cast<double>(n));
    return {damped_inverse(mean), condition * std::ldexp(1.0, -24)};
  }

  LayerMatrix layer_;
  std::vector<float> x_, m_, d_;
};

// 229 channels under 3x3 taps are 2062 inputs: the taps share a factor over the channels.
TEST(InputFactors, TapsOfALargeLayerShareAFactorOverItsChannels) {
  ModelBuilder builder("large", 229);
  const Model model =
      builder.build(builder.conv(builder.input(), {.name = "large", .k = 2, .relu = false}));
  const LargeLayer layer(Device::open("host"), model, {1, 4, 5, 229});
  for (int tap = 0; tap < 9; ++tap) layer.expect_multiplied(tap * 229, 229, 0, 229);
  layer.expect_bias_is_copied();
}

LargeLayer dense_layer(const std::string& device, const Shape& image) {
  ModelBuilder builder("large", image.c, image.h, image.w);
  return {Device::open(device), builder.build(builder.dense(builder.input(), 3, false)), image};
}

// 6x5 pixels of 19 channels are 570 inputs.
TEST_P(InputFactorsTest, PixelsBeforeALargeDenseLayerShareAFactorOverTheirChannels) {
  const LargeLayer layer = dense_layer(GetParam(), {4, 6, 5, 19});
  for (int pixel = 0; pixel < 30; ++pixel) layer.expect_multiplied(pixel * 19, 19, 0, 19);
  layer.expect_bias_is_copied();
}

/// What 600 channels are cut into.
constexpr ChannelGroup kGroupsOf600[] = {{0, 208}, {208, 208}, {416, 184}};

// Those of one pixel, and of several, which share their factors.
TEST_P(InputFactorsTest, ALargeDenseLayerHasAFactorForEachGroupOfChannels) {
  for (const Shape& image : {Shape{30, 1, 1, 600}, Shape{30, 1, 2, 600}}) {
    SCOPED_TRACE(to_string(image));
    const LargeLayer layer = dense_layer(GetParam(), image);
    for (int pixel = 0; pixel < image.w; ++pixel)
      for (const auto& [first, count] : kGroupsOf600)
        layer.expect_multiplied(pixel * 600 + first, 600, first, count);
    layer.expect_bias_is_copied();
  }
}

TEST_P(InputFactorsTest, PixelsOfFewChannelsShareNoFactor) {
  const LargeLayer layer = dense_layer(GetParam(), {30, 12, 10, 5});
  for (const auto& [first, count] : kGroupsOf600) layer.expect_multiplied(first, 600, first, count);
  layer.expect_bias_is_copied();
}

// 600 channels under 3x3 taps are 5400 inputs.
TEST_P(InputFactorsTest, TapsOfAWideLayerShareAFactorForEachGroupOfChannels) {
  ModelBuilder builder("large", 600);
  const Model model =
      builder.build(builder.conv(builder.input(), {.name = "large", .k = 2, .relu = false}));
  const LargeLayer layer(Device::open(GetParam()), model, {1, 4, 5, 600});
  for (int tap = 0; tap < 9; ++tap)
    for (const auto& [first, count] : kGroupsOf600)
      layer.expect_multiplied(tap * 600 + first, 600, first, count);
  layer.expect_bias_is_copied();
}

TEST_P(InputFactorsTest, AWideTransposedLayerHasAFactorForEachGroupOfChannels) {
  ModelBuilder builder("large", 600);
  const ModelBuilder::Conv options{
      .name = "large", .k = 2, .r = 2, .s = 2, .stride = 2, .pad_h = 0, .pad_w = 0, .relu = false};
  const int half = builder.max_pool(builder.input());
  const Model model = builder.build(builder.conv_transpose(half, options, builder.input()));
  const LargeLayer layer(Device::open(GetParam()), model, {2, 6, 8, 600}, 2);
  for (const auto& [first, count] : kGroupsOf600)
    layer.expect_multiplied_transposed(600, first, count);
  layer.expect_bias_is_copied();
}

TEST(ChannelGroups, CoverAllChannelsInOrder) {
  for (const int largest : {1, 3, 16, 20, 128, 256})
    for (int channels = 1; channels < 600; ++channels) {
      int next = 0;
      for (const auto& [first, count] : channel_groups(channels, largest)) {
        ASSERT_EQ(first, next) << channels << " in groups of " << largest;
        ASSERT_GE(count, 1);
        ASSERT_LE(count, largest);
        next += count;
      }
      ASSERT_EQ(next, channels);
    }
  const auto counts = [](int channels, int largest) {
    std::vector<int> result;
    for (const ChannelGroup& group : channel_groups(channels, largest))
      result.push_back(group.count);
    return result;
  };
  EXPECT_EQ(counts(128, 128), (std::vector{128}));
  EXPECT_EQ(counts(1024, 256), (std::vector{256, 256, 256, 256}));
  EXPECT_EQ(counts(384, 256), (std::vector{192, 192}));
  EXPECT_EQ(counts(600, 256), (std::vector{208, 208, 184}));
}

TEST(InputFactors, StatesNameTheFactorsOfAllParts) {
  ModelBuilder builder("large", 600, 1, 1);
  const Model model = builder.build(
      builder.dense(builder.dense(builder.input(), 512, true, "first"), 3, false, "second"));
  const Stream stream(Device::open("host"));
  InputFactors factors(stream, model, {});
  OptimizerState state;
  factors.append_state(state);
  std::map<std::string, std::vector<std::int64_t>> shapes;
  for (const StateTensor& tensor : state.tensors) shapes[tensor.name] = tensor.shape;
  using Extents = std::vector<std::int64_t>;
  EXPECT_EQ(shapes["input_factors.first.mean"], (Extents{208, 208}));
  EXPECT_EQ(shapes["input_factors.first from input 208.mean"], (Extents{208, 208}));
  EXPECT_EQ(shapes["input_factors.first from input 416.mean"], (Extents{184, 184}));
  EXPECT_EQ(shapes["input_factors.second.mean"], (Extents{513, 513}));
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
