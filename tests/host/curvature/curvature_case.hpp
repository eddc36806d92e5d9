// A model with data on a device and its loss there, and what curvature products of it are in
// double.
#pragma once

#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <limits>
#include <random>
#include <vector>

#include "curvseg/curvature.hpp"
#include "curvseg/labels.hpp"
#include "host/nn/network_case.hpp"
#include "reference/loss.hpp"

namespace curvseg::testing {

using Labels = std::vector<std::int32_t>;
using Doubles = std::vector<double>;

inline Labels random_labels(const Shape& output, unsigned seed) {
  std::mt19937 engine(seed);
  Labels labels(static_cast<std::size_t>(output.pixels()));
  for (std::int32_t& label : labels)
    label = engine() % 9 == 0
                ? kIgnoreLabel
                : static_cast<std::int32_t>(engine() % static_cast<unsigned>(output.c));
  return labels;
}

inline double inner_product(const std::vector<float>& a, const std::vector<float>& b) {
  double sum = 0.0;
  for (std::size_t i = 0; i < a.size(); ++i) sum += double(a[i]) * double(b[i]);
  return sum;
}

/// A model with data on a device, and the operator there.
class CurvatureCase {
 public:
  CurvatureCase(const Device& device, const Model& model, const Shape& input, unsigned seed,
                const LossOptions& loss = {}, int images_at_once = 0,
                CurvatureKind kind = CurvatureKind::kHessian)
      : model_(model),
        input_(input),
        loss_(loss),
        data_(real_data(model, input, seed)),
        labels_(random_labels(infer_shapes(model.nodes(), input).back(), seed)),
        stream_(device),
        theta_(device, model.parameter_count()),
        v_(device, model.parameter_count()),
        out_(device, model.parameter_count()),
        x_(device, input),
        device_labels_(device, static_cast<std::int64_t>(labels_.size())),
        operator_(stream_, model, input, loss, kind, images_at_once) {
    theta_.upload(stream_, data_.theta.data(), theta_.size());
    x_.upload(stream_, data_.x);
    device_labels_.upload(stream_, labels_.data(), device_labels_.size());
    linearise();
  }

  void linearise() { operator_.linearise(view(theta_), x_, device_labels_.data()); }

  BatchLoss& curvature() { return operator_; }
  const Stream& stream() const { return stream_; }
  const Model& model() const { return model_; }
  const Labels& labels() const { return labels_; }
  ConstVectorView theta() const { return view(theta_); }

  std::vector<float> direction(unsigned seed) const {
    std::vector<float> v = uniform_floats(data_.theta.size(), seed);
    clear_padding(model_, v);
    return v;
  }
  /// What `call(loss, output)` writes to a vector that was full of NaNs.
  template <class Call>
  std::vector<float> result_of(Call call) {
    const std::vector<float> nothing(data_.theta.size(), std::numeric_limits<float>::quiet_NaN());
    out_.upload(stream_, nothing.data(), out_.size());
    stream_.synchronise();
    call(operator_, VectorView{out_.data(), out_.size()});
    return out_.to_host(stream_);
  }
  /// The same of `call(loss, v, product)`.
  template <class Call>
  std::vector<float> product_of(const std::vector<float>& v, Call call) {
    v_.upload(stream_, v.data(), v_.size());
    return result_of([&](BatchLoss& loss, VectorView product) { call(loss, view(v_), product); });
  }
  std::vector<float> ggnvp(const std::vector<float>& v) {
    return product_of(v, [](BatchLoss& loss, auto from, auto to) { loss.ggnvp(from, to); });
  }
  std::vector<float> hvp(const std::vector<float>& v) {
    return product_of(v, [](BatchLoss& loss, auto from, auto to) { loss.hvp(from, to); });
  }
  /// Of an operator that was made for Gauss-Newton products alone.
  std::vector<float> ggnvp_of_its_own(const std::vector<float>& v) {
    BatchLoss other(stream_, model_, input_, loss_, CurvatureKind::kGaussNewton,
                    operator_.images_at_once());
    other.linearise(view(theta_), x_, device_labels_.data());
    return product_of(v, [&](BatchLoss&, auto from, auto to) { other.ggnvp(from, to); });
  }
  std::vector<float> gradient() {
    return result_of([](BatchLoss& loss, VectorView grad) { loss.gradient(grad); });
  }

  // ---- in double, its network frozen at theta --------------------------------------------------

  reference::CrossEntropy cross_entropy() const {
    return {model_.classes(), to_double(loss_.class_weights), loss_.label_smoothing};
  }
  double label_weight() const {
    if (loss_.kind == LossKind::kCrossEntropy)
      return reference::label_weight(cross_entropy(), labels_);
    return model_.classes() * reference::label_weight({model_.classes(), {}, 0.0}, labels_);
  }
  Doubles logits() const { return base().value.back().value; }
  /// dL / d logits.
  Doubles logit_gradient(const Doubles& logits) const {
    if (loss_.kind == LossKind::kCrossEntropy)
      return reference::cross_entropy(cross_entropy(), logits, labels_, label_weight()).gradient;
    Doubles gradient(logits.size());
    const auto c = static_cast<std::size_t>(model_.classes());
    for (std::size_t i = 0; i < logits.size(); ++i) {
      const std::int32_t label = labels_[i / c];
      if (label < 0 || label >= model_.classes()) continue;
      const double target = static_cast<std::size_t>(label) == i % c ? 1.0 : 0.0;
      gradient[i] = 2.0 * (logits[i] - target) / label_weight();
    }
    return gradient;
  }

  /// d²L / d logits² times u.
  Doubles logit_hessian(const Doubles& u) const {
    if (loss_.kind == LossKind::kCrossEntropy)
      return reference::cross_entropy_hessian(cross_entropy(), logits(), labels_, u, label_weight())
          .value;
    // The gradient is linear in the logits.
    const Doubles at_u = logit_gradient(u), at_zero = logit_gradient(Doubles(u.size()));
    Doubles result(u.size());
    for (std::size_t i = 0; i < u.size(); ++i) result[i] = at_u[i] - at_zero[i];
    return result;
  }

  /// J·v, J = d logits / d theta, by a difference along v(i).
  template <class Direction>
  Doubles jacobian_product(Direction v) const {
    constexpr double kStep = 1e-5;
    const Doubles theta = to_double(data_.theta);
    Doubles above = theta, below = theta;
    for (std::size_t i = 0; i < theta.size(); ++i)
      above[i] += kStep * v(i), below[i] -= kStep * v(i);
    Doubles high = frozen_logits(above);
    const Doubles low = frozen_logits(below);
    for (std::size_t i = 0; i < high.size(); ++i) high[i] = (high[i] - low[i]) / (2.0 * kStep);
    return high;
  }
  /// Jᵀ·u by the reference's backward pass.
  Doubles transposed_jacobian_product(const Doubles& u) const {
    return reference::backward(network(), to_double(data_.theta), base(), u).value;
  }

  /// Jᵀ H J v: J by differences along each parameter.
  Doubles expected_ggnvp(const std::vector<float>& v) const {
    const Doubles hu = logit_hessian(jacobian_product([&](std::size_t i) { return double(v[i]); }));
    Doubles product(v.size());
    for (const Parameter& p : model_.parameters())
      for (std::int64_t i = p.offset; i < p.offset + p.size; ++i) {
        const auto at = static_cast<std::size_t>(i);
        const Doubles column = jacobian_product([&](std::size_t j) { return j == at ? 1.0 : 0.0; });
        for (std::size_t j = 0; j < column.size(); ++j) product[at] += column[j] * hu[j];
      }
    return product;
  }

  /// Jᵀ H J v by one difference and one backward pass.
  Doubles expected_ggnvp_by_passes(const std::vector<float>& v) const {
    return transposed_jacobian_product(
        logit_hessian(jacobian_product([&](std::size_t i) { return double(v[i]); })));
  }

  /// The difference of gradients along v.
  Doubles expected_hvp(const std::vector<float>& v) const {
    const auto gradient = [&](double step) {
      Doubles moved = to_double(data_.theta);
      for (std::size_t i = 0; i < moved.size(); ++i) moved[i] += step * v[i];
      const reference::Pass start = base();
      const reference::Pass pass =
          reference::forward(network(), moved, extents(), to_double(data_.x), &start);
      return reference::backward(network(), moved, pass, logit_gradient(pass.value.back().value))
          .value;
    };
    constexpr double kStep = 1e-5;
    Doubles high = gradient(kStep);
    const Doubles low = gradient(-kStep);
    for (std::size_t i = 0; i < high.size(); ++i) high[i] = (high[i] - low[i]) / (2.0 * kStep);
    return high;
  }

 private:
  static ConstVectorView view(const DeviceArray<float>& array) {
    return {array.data(), array.size()};
  }
  reference::Network network() const { return reference_network(model_); }
  reference::Extents extents() const { return {input_.n, input_.h, input_.w, input_.c}; }
  reference::Pass base() const {
    return reference::forward(network(), to_double(data_.theta), extents(), to_double(data_.x));
  }
  Doubles frozen_logits(const Doubles& theta) const {
    const reference::Pass start = base();
    return reference::forward(network(), theta, extents(), to_double(data_.x), &start)
        .value.back()
        .value;
  }

  Model model_;
  Shape input_;
  LossOptions loss_;
  NetworkData data_;
  Labels labels_;
  Stream stream_;
  DeviceArray<float> theta_, v_, out_;
  Tensor x_;
  DeviceArray<std::int32_t> device_labels_;
  BatchLoss operator_;
};

/// Within the rounding of float32 through a dozen layers; a term left out is of order 1.
inline void expect_close(const std::vector<float>& actual, const Doubles& expected) {
  double square = 0.0;
  for (const double value : expected) square += value * value;
  const double size = std::sqrt(square / static_cast<double>(expected.size()));
  ASSERT_GT(size, 0.0);
  for (std::size_t i = 0; i < actual.size(); ++i)
    ASSERT_TRUE(std::fabs(actual[i] - expected[i]) <= 5e-5 * (std::fabs(expected[i]) + size))
        << "element " << i << ": " << actual[i] << ", expected " << expected[i];
}

}  // namespace curvseg::testing
