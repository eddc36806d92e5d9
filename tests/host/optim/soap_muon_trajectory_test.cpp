// SOAP and Muon over eight steps with given gradients, against their formulas in double.
#include <map>

#include "host/optim/layer_matrices.hpp"
#include "reference/rotated_adam.hpp"
#include "tests/host/optim/layers_case.hpp"

namespace curvseg::testing {
namespace {

using Doubles = std::vector<double>;
using reference::DenseMatrix;
using reference::RotatedAdam;
using reference::RotatedAdamOptions;

constexpr int kSteps = 8;

float rate(int t) { return 0.1f / static_cast<float>(t); }

/// θ ← θ(1 − η·decay) − η·d, `direction` giving d of the gradient of step t.
template <class Direction>
void expect_steps(const std::string& device, const OptimizerOptions& options, double decay,
                  double tolerance, Direction direction) {
  const Stream stream(Device::open(device));
  const Model model = layers_model();
  const auto optimizer = make_optimizer(stream, options, model);
  const auto size = static_cast<std::size_t>(model.parameter_count());
  std::vector<float> start = uniform_floats(size, 1);
  clear_padding(model, start);
  DeviceArray<float> theta(stream.device(), model.parameter_count());
  DeviceArray<float> grad(stream.device(), model.parameter_count());
  theta.upload(stream, start.data(), theta.size());
  Doubles expected(start.begin(), start.end());
  for (int t = 1; t <= kSteps; ++t) {
    SCOPED_TRACE("step " + std::to_string(t));
    // Numbers whose factors have eigenvalues well apart: in float an eigenvector is off by some
    // 1e-7 of the largest over the gap, on every instruction set by another part of it.
    std::vector<float> g = uniform_floats(size, 40 + static_cast<unsigned>(t));
    clear_padding(model, g);
    grad.upload(stream, g.data(), grad.size());
    optimizer->step({.stream = stream,
                     .theta = {theta.data(), theta.size()},
                     .grad = {grad.data(), grad.size()},
                     .step = static_cast<std::uint64_t>(t),
                     .learning_rate = rate(t)});
    const Doubles d = direction(model, Doubles(g.begin(), g.end()), t);
    for (std::size_t i = 0; i < size; ++i)
      expected[i] = expected[i] * (1.0 - double(rate(t)) * decay) - double(rate(t)) * d[i];
    const std::vector<float> actual = theta.to_host(stream);
    for (std::size_t i = 0; i < size; ++i)
      ASSERT_TRUE(std::fabs(double(actual[i]) - expected[i]) <= tolerance)
          << "element " << i << ": " << actual[i] << ", expected " << expected[i];
  }
}

DenseMatrix block(const Doubles& flat, std::int64_t first, int rows, int columns) {
  const auto begin = flat.begin() + first;
  return DenseMatrix(static_cast<std::size_t>(rows), static_cast<std::size_t>(columns),
                     Doubles(begin, begin + std::int64_t{rows} * columns));
}

void put(Doubles& flat, std::int64_t first, const DenseMatrix& values) {
  std::copy(values.values.begin(), values.values.end(), flat.begin() + first);
}

/// Adam, one element after the other: RotatedAdam of 1x1 matrices.
class Elementwise {
 public:
  explicit Elementwise(const RotatedAdamOptions& options) : options_(options) {}
  Doubles direction(const Doubles& g, int t) {
    while (adam_.size() < g.size()) adam_.emplace_back(options_, 1, 1, 1);
    Doubles d;
    for (std::size_t i = 0; i < g.size(); ++i)
      d.push_back(adam_[i].direction({DenseMatrix(1, 1, Doubles{g[i]})}, t)[0].values[0]);
    return d;
  }

 private:
  RotatedAdamOptions options_;
  std::vector<RotatedAdam> adam_;
};

class SoapMuonTrajectory : public ::testing::TestWithParam<std::string> {
 protected:
  static void expect_soap(const SoapOptions& o) {
    const RotatedAdamOptions options{double(o.beta1),
                                     double(o.beta2),
                                     double(o.epsilon),
                                     double(o.factor_decay),
                                     o.factor_every,
                                     o.basis_every,
                                     static_cast<std::size_t>(o.largest_basis)};
    Elementwise rest(options);
    std::map<std::string, RotatedAdam> layers;
    const auto direction = [&](const Model& model, const Doubles& g, int t) {
      Doubles d = rest.direction(g, t);
      for (const LayerMatrix& layer : layer_matrices(model)) {
        const int rows = layer.rows() / layer.taps, columns = layer.columns();
        auto [at, is_new] =
            layers.try_emplace(layer.name, options, static_cast<std::size_t>(layer.taps),
                               static_cast<std::size_t>(rows), static_cast<std::size_t>(columns));
        std::vector<DenseMatrix> taps;
        const auto place = [&](int tap) { return layer.weight + tap * rows * columns; };
        for (int tap = 0; tap < layer.taps; ++tap)
          taps.push_back(block(g, place(tap), rows, columns));
        const std::vector<DenseMatrix> turned = at->second.direction(taps, t);
        for (int tap = 0; tap < layer.taps; ++tap)
          put(d, place(tap), turned[static_cast<std::size_t>(tap)]);
      }
      return d;
    };
    expect_steps(GetParam(), {.name = "soap", .soap = o}, double(o.decoupled_l2), 2e-5, direction);
  }
};

TEST_P(SoapMuonTrajectory, SoapFollowsItsFormulas) {
  expect_soap({.beta1 = 0.8f,
               .beta2 = 0.9f,
               .epsilon = 1e-3f,
               .factor_decay = 0.7f,
               .basis_every = 3,
               .decoupled_l2 = 0.2f});
}

TEST_P(SoapMuonTrajectory, FactorsSeeSomeGradientsOnly) {
  expect_soap({.epsilon = 1e-3f, .factor_decay = 0.7f, .factor_every = 2, .basis_every = 3});
}

// Sides of 6 channels have two bases. (Groups of 2 would have eigenvalues too close together.)
TEST_P(SoapMuonTrajectory, LongSidesHaveABasisForEachGroupOfChannels) {
  for (const int largest : {3, 4, 5}) {
    SCOPED_TRACE(largest);
    expect_soap({.epsilon = 1e-3f, .basis_every = 4, .largest_basis = largest});
  }
}

TEST_P(SoapMuonTrajectory, WithoutBasesItIsAdam) {
  expect_soap({.epsilon = 1e-3f, .basis_every = 4, .largest_basis = 1});
}

TEST_P(SoapMuonTrajectory, MuonFollowsItsFormulas) {
  const MuonOptions o{
      .momentum = 0.8f, .beta1 = 0.7f, .beta2 = 0.9f, .epsilon = 1e-3f, .decoupled_l2 = 0.2f};
  Elementwise rest({double(o.beta1), double(o.beta2), double(o.epsilon)});
  Doubles momentum;
  const auto direction = [&](const Model& model, const Doubles& g, int t) {
    momentum.resize(g.size());
    Doubles nesterov(g.size());
    for (std::size_t i = 0; i < g.size(); ++i) {
      momentum[i] = double(o.momentum) * momentum[i] + g[i];
      nesterov[i] = g[i] + double(o.momentum) * momentum[i];
    }
    Doubles d = rest.direction(g, t);
    for (const LayerMatrix& layer : layer_matrices(model)) {
      DenseMatrix x =
          reference::newton_schulz(block(nesterov, layer.weight, layer.rows(), layer.columns()));
      const double longer = std::max(layer.rows(), layer.columns());
      for (double& value : x.values) value *= 0.2 * std::sqrt(longer);
      put(d, layer.weight, x);
    }
    return d;
  };
  expect_steps(GetParam(), {.name = "muon", .muon = o}, double(o.decoupled_l2), 2e-4, direction);
}

INSTANTIATE_TEST_SUITE_P(Devices, SoapMuonTrajectory, ::testing::ValuesIn(cheap_devices()),
                         [](const auto& instance) { return instance.param; });

}  // namespace
}  // namespace curvseg::testing
