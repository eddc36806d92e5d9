// SOAP and Muon against their formulas in double, layer by layer.
#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <string>
#include <vector>

#include "host/optim/layer_matrices.hpp"
#include "reference/rotated_adam.hpp"
#include "tests/host/optim/layers_case.hpp"

namespace curvseg::testing {
namespace {

using reference::DenseMatrix;

DenseMatrix tap(const std::vector<float>& flat, const LayerMatrix& layer, int t, int rows,
                int columns) {
  const auto first = flat.begin() + layer.weight + std::int64_t(t) * rows * columns;
  return DenseMatrix(static_cast<std::size_t>(rows), static_cast<std::size_t>(columns),
                     std::vector<float>(first, first + std::int64_t(rows) * columns));
}
/// The matrix of one tap.
DenseMatrix tap(const std::vector<float>& flat, const LayerMatrix& layer, int t) {
  return tap(flat, layer, t, layer.rows() / layer.taps, layer.columns());
}
/// Of a state that lies turned over.
DenseMatrix turned_tap(const std::vector<float>& flat, const LayerMatrix& layer, int t) {
  return transpose(tap(flat, layer, t, layer.columns(), layer.rows() / layer.taps));
}

/// Σ_t G_t G_tᵀ, or of the transposed.
DenseMatrix gram(const std::vector<float>& grad, const LayerMatrix& layer, bool left) {
  DenseMatrix sum(1, 1);
  for (int t = 0; t < layer.taps; ++t) {
    const DenseMatrix g = tap(grad, layer, t);
    const DenseMatrix square = left ? multiply(g, transpose(g)) : multiply(transpose(g), g);
    if (t == 0)
      sum = square;
    else
      for (std::size_t i = 0; i < sum.values.size(); ++i) sum.values[i] += square.values[i];
  }
  return sum;
}

double largest(const DenseMatrix& a) {
  double result = 0.0;
  for (const double value : a.values) result = std::max(result, std::fabs(value));
  return result;
}

void expect_close(const DenseMatrix& actual, const DenseMatrix& expected, double tolerance,
                  const std::string& what) {
  ASSERT_EQ(actual.values.size(), expected.values.size());
  for (std::size_t i = 0; i < actual.values.size(); ++i)
    ASSERT_TRUE(std::fabs(actual.values[i] - expected.values[i]) <= tolerance)
        << what << ", element " << i << ": " << actual.values[i] << ", expected "
        << expected.values[i];
}

class SoapTest : public ::testing::TestWithParam<std::string> {
 protected:
  /// A side's factor or basis.
  static DenseMatrix side(LayersCase& c, Optimizer& soap, const LayerMatrix& layer,
                          const std::string& name, int n) {
    const auto size = static_cast<std::size_t>(n);
    return {size, size, c.state(soap, "soap." + layer.name + name)};
  }
};

TEST_P(SoapTest, FirstStepIsTheSignInTheEigenbasisOfTheGradient) {
  LayersCase c(Device::open(GetParam()));
  const std::vector<float> grad = c.gradient();
  const auto soap = make_optimizer(c.stream, {.name = "soap"}, c.model);
  constexpr float kRate = 0.5f;
  soap->step(c.context(1, kRate));
  const std::vector<float> theta = c.theta.to_host(c.stream);
  for (const LayerMatrix& layer : layer_matrices(c.model)) {
    SCOPED_TRACE(layer.name);
    const int rows = layer.rows() / layer.taps, columns = layer.columns();
    ASSERT_GT(rows, 1);
    ASSERT_GT(columns, 1);
    DenseMatrix basis[2] = {side(c, *soap, layer, ".left.basis", rows),
                            side(c, *soap, layer, ".right.basis", columns)};
    for (const bool left : {true, false}) {
      const DenseMatrix expected = gram(grad, layer, left);
      const DenseMatrix factor =
          side(c, *soap, layer, left ? ".left.sum" : ".right.sum", left ? rows : columns);
      expect_close(factor, expected, 1e-5 * largest(expected), "factor");
      // The basis is orthonormal, makes the factor diagonal, and has the largest values first.
      const DenseMatrix& q = basis[left ? 0 : 1];
      const DenseMatrix product = multiply(transpose(q), q);
      const DenseMatrix diagonal = multiply(transpose(q), multiply(expected, q));
      for (std::size_t i = 0; i < q.rows; ++i)
        for (std::size_t j = 0; j < q.rows; ++j) {
          EXPECT_NEAR(product.at(i, j), i == j ? 1.0 : 0.0, 1e-5);
          if (i != j) {
            EXPECT_NEAR(diagonal.at(i, j), 0.0, 1e-5 * largest(expected));
          }
          if (i + 1 == j) {
            EXPECT_GE(diagonal.at(i, i), diagonal.at(j, j) - 1e-5 * largest(expected));
          }
        }
    }
    for (int t = 0; t < layer.taps; ++t) {
      const DenseMatrix g = tap(grad, layer, t);
      DenseMatrix rotated = multiply(transpose(basis[0]), multiply(g, basis[1]));
      bool is_clear = true;  // a rotated gradient of nothing but rounding has either sign
      for (double& value : rotated.values) {
        if (std::fabs(value) < 1e-4 * largest(g)) is_clear = false;
        value = value / (std::fabs(value) + 1e-8);
      }
      if (!is_clear) continue;
      const DenseMatrix expected = multiply(basis[0], multiply(rotated, transpose(basis[1])));
      DenseMatrix moved = tap(theta, layer, t);
      const DenseMatrix start = tap(c.data.theta, layer, t);
      for (std::size_t i = 0; i < moved.values.size(); ++i)
        moved.values[i] = (start.values[i] - moved.values[i]) / double(kRate);
      expect_close(moved, expected, 1e-3, "direction");
    }
    // A bias is Adam's: its first step is the sign.
    for (int k = 0; k < layer.out; ++k) {
      const auto at = static_cast<std::size_t>(layer.bias + k);
      if (std::fabs(grad[at]) < 1e-5f) continue;
      EXPECT_NEAR(c.data.theta[at] - theta[at], std::copysign(kRate, grad[at]), 1e-3 * kRate);
    }
  }
}

TEST_P(SoapTest, RefreshesTheBasisByOrthogonalIterationAndTurnsTheMomentum) {
  LayersCase c(Device::open(GetParam()));
  const auto soap = make_optimizer(c.stream, {.name = "soap", .soap = {.basis_every = 2}}, c.model);
  const std::vector<float> first = c.gradient();
  soap->step(c.context(1, 0.05f));
  const LayerMatrix layer = layer_matrices(c.model)[1];
  const int rows = layer.rows() / layer.taps, columns = layer.columns();
  const DenseMatrix old_left = side(c, *soap, layer, ".left.basis", rows);
  const DenseMatrix old_right = side(c, *soap, layer, ".right.basis", columns);
  const std::vector<float> m1 = c.state(*soap, "turned_m");
  const std::vector<float> second = c.gradient();
  soap->step(c.context(2, 0.05f));
  const DenseMatrix left = side(c, *soap, layer, ".left.basis", rows);
  const DenseMatrix right = side(c, *soap, layer, ".right.basis", columns);
  for (const bool is_left : {true, false}) {
    const int n = is_left ? rows : columns;
    const DenseMatrix factor = side(c, *soap, layer, is_left ? ".left.sum" : ".right.sum", n);
    const DenseMatrix& q = is_left ? left : right;
    // Q spans what F·Q_old does, column by column: QᵀF·Q_old is upper triangular.
    const DenseMatrix iterated = multiply(factor, is_left ? old_left : old_right);
    const DenseMatrix r = multiply(transpose(q), iterated);
    for (std::size_t i = 0; i < r.rows; ++i)
      for (std::size_t j = 0; j < i; ++j)
        EXPECT_NEAR(r.at(i, j), 0.0, 1e-5 * largest(iterated)) << i << " " << j;
  }
  const std::vector<float> m2 = c.state(*soap, "turned_m");
  for (int t = 0; t < layer.taps; ++t) {
    const DenseMatrix before =
        multiply(old_left, multiply(turned_tap(m1, layer, t), transpose(old_right)));
    const DenseMatrix g = tap(second, layer, t);
    DenseMatrix mean = before;
    for (std::size_t i = 0; i < mean.values.size(); ++i)
      mean.values[i] = double(0.9f) * before.values[i] + (1.0 - double(0.9f)) * g.values[i];
    const DenseMatrix expected = multiply(transpose(left), multiply(mean, right));
    expect_close(turned_tap(m2, layer, t), expected, 1e-5 * (largest(mean) + largest(g)),
                 "momentum");
  }
  std::vector<float> cleared = c.theta.to_host(c.stream);
  const std::vector<float> theta = cleared;
  clear_padding(c.model, cleared);
  EXPECT_EQ(cleared, theta) << "the padding between parameters is not 0 any more";
}

TEST_P(SoapTest, MuonOrthogonalisesItsMomentum) {
  LayersCase c(Device::open(GetParam()));
  const std::vector<float> grad = c.gradient();
  const auto muon = make_optimizer(c.stream, {.name = "muon"}, c.model);
  constexpr float kRate = 0.5f;
  muon->step(c.context(1, kRate));
  const std::vector<float> theta = c.theta.to_host(c.stream);
  int wide = 0, tall = 0;
  for (const LayerMatrix& layer : layer_matrices(c.model)) {
    SCOPED_TRACE(layer.name);
    const auto rows = static_cast<std::size_t>(layer.rows());
    const auto columns = static_cast<std::size_t>(layer.columns());
    ++(columns > rows ? wide : tall);
    const auto block = [&](const std::vector<float>& flat) {
      const auto first = flat.begin() + layer.weight;
      return DenseMatrix(rows, columns, std::vector<float>(first, first + layer.elements()));
    };
    const DenseMatrix expected = newton_schulz(block(grad));
    const DenseMatrix start = block(c.data.theta);
    DenseMatrix moved = block(theta);
    const double scale = 0.2 * std::sqrt(static_cast<double>(std::max(rows, columns)));
    for (std::size_t i = 0; i < moved.values.size(); ++i)
      moved.values[i] = (start.values[i] - moved.values[i]) / (double(kRate) * scale);
    expect_close(moved, expected, 2e-3, "direction");
  }
  EXPECT_GT(tall, 0);
}

INSTANTIATE_TEST_SUITE_P(Devices, SoapTest, ::testing::ValuesIn(cheap_devices()),
                         [](const auto& instance) { return instance.param; });

TEST(Soap, StatesNameTheBasesOfAllGroups) {
  ModelBuilder builder("wide", 40);
  const Model model =
      builder.build(builder.conv(builder.input(), {.name = "wide", .k = 5, .relu = false}));
  const Stream stream(Device::open("host"));
  const auto optimizer =
      make_optimizer(stream, {.name = "soap", .soap = {.largest_basis = 32}}, model);
  std::map<std::string, std::vector<std::int64_t>> shapes;
  for (const StateTensor& tensor : optimizer->state().tensors) shapes[tensor.name] = tensor.shape;
  using Extents = std::vector<std::int64_t>;
  EXPECT_EQ(shapes["soap.wide.left.sum"], (Extents{32, 32}));
  EXPECT_EQ(shapes["soap.wide.left.basis"], (Extents{32, 32}));
  EXPECT_EQ(shapes["soap.wide.left from channel 32.sum"], (Extents{8, 8}));
  EXPECT_EQ(shapes["soap.wide.left from channel 32.basis"], (Extents{8, 8}));
  EXPECT_EQ(shapes["soap.wide.right.sum"], (Extents{5, 5}));
}

}  // namespace
}  // namespace curvseg::testing
