// Solvers on the Gauss-Newton matrix of a small network, which is formed column by column as well.
#include <cmath>
#include <numeric>

#include "curvseg/curvature.hpp"
#include "host/nn/network_case.hpp"
#include "host/solvers/operators.hpp"

namespace curvseg::testing {
namespace {

class NetworkCurvature : public SolverTest {
 protected:
  void SetUp() override {
    theta_ = upload(data_.theta);
    images_ = Tensor(device_, kInput);
    images_.upload(stream_, data_.x);
    std::vector<std::int32_t> labels(static_cast<std::size_t>(kInput.pixels()));
    for (std::size_t i = 0; i < labels.size(); ++i) labels[i] = static_cast<int>(i * i % 3);
    labels_ = DeviceArray<std::int32_t>(device_, static_cast<std::int64_t>(labels.size()));
    labels_.upload(stream_, labels.data(), labels_.size());
    mask_ = DeviceArray<float>(device_, theta_.size());
    model_.mark_parameters(stream_, view(mask_));
    stream_.synchronise();
    loss_.linearise(view(theta_), images_, labels_.data());
    for (const Parameter& p : model_.parameters())
      for (std::int64_t i = 0; i < p.size; ++i)
        parameters_.push_back(static_cast<std::size_t>(p.offset + i));
  }

  static Model small_model() {
    ModelBuilder b("small", 1);
    const int hidden = b.conv(b.input(), {.name = "a", .k = 3});
    return b.build(b.conv(hidden, {.name = "b", .k = 3, .r = 1, .s = 1, .relu = false}));
  }
  /// (G + damping)·v
  LinearMap damped(float damping) {
    return [this, damping](ConstVectorView v, VectorView product) {
      loss_.ggnvp(v, product);
      linear_combination(stream_, {{product}, {v, damping}}, product);
    };
  }
  /// The same without padding, in double, symmetric to the last bit.
  reference::Symmetric formed(float damping) {
    reference::Symmetric g(parameters_.size());
    for (std::size_t j = 0; j < g.n; ++j) {
      std::vector<float> unit(static_cast<std::size_t>(theta_.size()), 0.0f);
      unit[parameters_[j]] = 1.0f;
      const auto column = upload(unit), product = upload(unit);
      damped(damping)(view(column), view(product));
      const auto values = download(product);
      for (std::size_t i = 0; i < g.n; ++i) {
        g.at(i, j) += 0.5 * values[parameters_[i]];
        g.at(j, i) += 0.5 * values[parameters_[i]];
      }
    }
    return g;
  }
  std::vector<double> unpadded(const std::vector<float>& v) const {
    std::vector<double> result;
    for (const std::size_t i : parameters_) result.push_back(v[i]);
    return result;
  }

  static constexpr Shape kInput{2, 5, 4, 1};
  Model model_ = small_model();
  NetworkData data_ = real_data(model_, kInput, 3);
  BatchLoss loss_{stream_, model_, kInput};
  DeviceArray<float> theta_, mask_;
  Tensor images_;
  DeviceArray<std::int32_t> labels_;
  std::vector<std::size_t> parameters_;  // where they are
};

TEST_P(NetworkCurvature, MasksMarkParameters) {
  const auto mask = download(mask_);
  EXPECT_EQ(std::accumulate(mask.begin(), mask.end(), 0.0), 42.0);  // 9·3 + 3 + 3·3 + 3
  EXPECT_EQ(mask.size(), 80u);
  for (const std::size_t i : parameters_) EXPECT_EQ(mask[i], 1.0f);
  expect_refused(
      [&] {
        model_.mark_parameters(stream_, {mask_.data(), 7});
      },
      "mark_parameters: the mask has 7 elements, small has 80");
}

TEST_P(NetworkCurvature, ConjugateGradientsTakeTheGaussNewtonStep) {
  DeviceArray<float> grad(device_, theta_.size()), step(device_, theta_.size());
  loss_.gradient(view(grad));
  ConjugateGradients solver(stream_, theta_.size(), {.model_tolerance = 0.0});
  const auto report =
      solver.solve(damped(0.05f), {.b = view(grad), .residual_tolerance = 1e-5}, view(step));
  EXPECT_EQ(report.stop, ConjugateGradientsStop::kResidual);
  const auto values = download(step);
  const auto expected = reference::solve(formed(0.05f), unpadded(download(grad)));
  const auto actual = unpadded(values);
  for (std::size_t i = 0; i < expected.size(); ++i)
    EXPECT_NEAR(actual[i], expected[i], 1e-3 * reference::norm(expected)) << i;
  const auto mask = download(mask_);
  for (std::size_t i = 0; i < mask.size(); ++i)
    EXPECT_TRUE(mask[i] == 1.0f || values[i] == 0.0f) << i;
}

TEST_P(NetworkCurvature, SpectrumAndTrace) {
  const auto g = formed(0.0f);
  const auto spectrum = reference::eigenvalues(g);
  const double top = spectrum.back();
  const LinearMap a = damped(0.0f);
  const auto pairs = lanczos_eigenpairs(stream_, a, theta_.size(),
                                        {.count = 3, .tolerance = 1e-5, .mask = view(mask_)});
  ASSERT_EQ(pairs.values.size(), 3u);
  for (std::size_t i = 0; i < 3; ++i)
    EXPECT_NEAR(pairs.values[i], spectrum[spectrum.size() - 1 - i], 1e-5 * top) << i;
  // As many columns as G has dimensions; that many products take the emulated target too long.
  if (!emulated()) {
    EXPECT_NEAR(
        hutch_plus_plus_trace(stream_, a, theta_.size(), {.products = 3 * 42, .mask = view(mask_)})
            .trace,
        g.trace(), 1e-4 * g.trace());
  }
  const auto density = spectral_density(
      stream_, a, theta_.size(),
      {.probes = emulated() ? 1 : 4, .steps = emulated() ? 8 : 64, .mask = view(mask_)});
  double weight = 0.0;
  for (std::size_t i = 0; i < density.nodes.size(); ++i) {
    weight += density.weights[i];
    EXPECT_GT(density.nodes[i], -1e-5 * top) << "G has no negative eigenvalues";
    EXPECT_LT(density.nodes[i], 1.00001 * top);
  }
  EXPECT_NEAR(weight, 1.0, 1e-5);
}

CURVSEG_INSTANTIATE_DEVICES(NetworkCurvature);

}  // namespace
}  // namespace curvseg::testing
