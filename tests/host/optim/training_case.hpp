/// @file
/// A model, its data and an optimiser on a device, stepped by hand; and what a linear model's
/// quadratic loss is in double.
#pragma once

#include <gtest/gtest.h>

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "curvseg/curvature.hpp"
#include "curvseg/model.hpp"
#include "curvseg/ops.hpp"
#include "curvseg/optim.hpp"
#include "host/optim/flat_vector.hpp"
#include "host/optim/gradient_norm.hpp"
#include "support/devices.hpp"

namespace curvseg::test {

/// x·w + b of every pixel, no ReLU.
inline Model linear_model(int channels, int classes) {
  ModelBuilder builder("linear", channels);
  return builder.build(builder.conv(
      builder.input(), {.name = "linear", .k = classes, .r = 1, .s = 1, .relu = false}));
}

/// One batch that every step is on, until another is set.
class TrainingCase {
 public:
  TrainingCase(const std::string& device, const Model& model, const Shape& input,
               std::vector<float> x, std::vector<std::int32_t> labels, LossKind loss)
      : stream_(Device::open(device)),
        model_(model),
        input_(input),
        x_values_(std::move(x)),
        label_values_(std::move(labels)),
        loss_kind_(loss),
        x_(stream_.device(), input),
        labels_(stream_.device(), static_cast<std::int64_t>(label_values_.size())),
        theta_(zeroed_vector(stream_, model.parameter_count())),
        grad_(zeroed_vector(stream_, model.parameter_count())),
        squared_norm_(stream_.device(), 1),
        norm_(stream_.device(), model.parameter_count()) {
    x_.upload(stream_, x_values_);
    labels_.upload(stream_, label_values_.data(), labels_.size());
    stream_.synchronise();
  }
  ~TrainingCase() { stream_.synchronise(); }
  TrainingCase(const TrainingCase&) = delete;
  TrainingCase& operator=(const TrainingCase&) = delete;

  const Stream& stream() const { return stream_; }
  const Model& model() const { return model_; }

  /// Makes the optimiser that the steps are of, and forgets the last one.
  Optimizer& use(const OptimizerOptions& options) {
    stream_.synchronise();
    optimizer_ = make_optimizer(stream_, options, model_);
    loss_ =
        std::make_unique<BatchLoss>(stream_, model_, input_, LossOptions{.kind = loss_kind_},
                                    optimizer_->curvature(), optimizer_->images_at_once(input_.n));
    step_ = 0;
    return *optimizer_;
  }
  void set_theta(const std::vector<float>& theta) {
    theta_.upload(stream_, theta.data(), theta_.size());
    stream_.synchronise();
  }
  std::vector<float> theta() const { return theta_.to_host(stream_); }

  /// Another batch of the same shape, for the steps that come.
  void set_batch(std::vector<float> x, std::vector<std::int32_t> labels) {
    stream_.synchronise();
    x_values_ = std::move(x);
    label_values_ = std::move(labels);
    x_.upload(stream_, x_values_);
    labels_.upload(stream_, label_values_.data(), labels_.size());
    stream_.synchronise();
  }

  /// One step, as a trainer makes it. Returns the loss before it.
  double step(float learning_rate = 1.0f, float max_norm = 0.0f, bool gives_norm = true) {
    loss_->linearise(view(theta_), x_, labels_.data());
    loss_->gradient(view(grad_));
    const double loss = read_loss();
    if (poison_) fill(stream_, {grad_.data(), 1}, *poison_);
    norm_.compute(stream_, view(grad_), squared_norm_.data());
    optimizer_->step({.stream = stream_,
                      .theta = view(theta_),
                      .grad = view(grad_),
                      .step = ++step_,
                      .learning_rate = learning_rate,
                      .max_norm = max_norm,
                      .squared_norm = gives_norm ? squared_norm_.data() : nullptr,
                      .batch = loss_.get()});
    stream_.synchronise();
    return loss;
  }
  /// dL/dtheta, as the next step is given it.
  std::vector<float> gradient_now() {
    loss_->linearise(view(theta_), x_, labels_.data());
    loss_->gradient(view(grad_));
    return grad_.to_host(stream_);
  }
  double loss_now() {
    loss_->linearise(view(theta_), x_, labels_.data());
    loss_->value();
    return read_loss();
  }
  /// D·ĝ², ĝ the gradient with labels sampled from the model at theta.
  std::vector<float> sampled_square(unsigned long long seed) {
    DeviceArray<unsigned long long> device_seed(stream_.device(), 1);
    device_seed.upload(stream_, &seed, 1);
    loss_->linearise(view(theta_), x_, labels_.data());
    loss_->sampled_gradient({.seed = device_seed.data()}, view(grad_));
    multiply(stream_, view(grad_), view(grad_), 1.0f, /*accumulate=*/false, view(grad_));
    linear_combination(stream_, {{view(grad_), 1.0f, loss_->denominator()}}, view(grad_));
    return grad_.to_host(stream_);
  }
  void poison_images() { fill_images(NAN); }
  /// What the first element of later gradients is, whatever the loss; none: as it should be.
  void poison_gradients(std::optional<float> value) { poison_ = value; }
  /// Optimizer::failed() of the last step, on the batch as it is.
  bool last_step_failed() {
    loss_now();
    return optimizer_->failed({.stream = stream_, .theta = view(theta_), .batch = loss_.get()});
  }
  void take_back() {
    optimizer_->take_back({.stream = stream_, .theta = view(theta_), .batch = loss_.get()});
    stream_.synchronise();
  }
  /// All tensors of the optimiser's state, one after the other.
  std::vector<float> state() const {
    std::vector<float> all;
    for (const StateTensor& each : optimizer_->state().tensors)
      for (const float value : tensor(each.name)) all.push_back(value);
    return all;
  }
  void heal_images() {
    x_.upload(stream_, x_values_);
    stream_.synchronise();
  }

  /// Of the last step's report.
  double number(const std::string& name) const {
    for (const NamedNumber& each : optimizer_->report(stream_))
      if (each.name == name) return each.value;
    ADD_FAILURE() << "there is no number " << name;
    return NAN;
  }
  bool reports(const std::string& name) const {
    for (const NamedNumber& each : optimizer_->report(stream_))
      if (each.name == name) return true;
    return false;
  }
  std::string text(const std::string& name) const {
    for (const NamedNumber& each : optimizer_->report(stream_))
      if (each.name == name) return each.text;
    ADD_FAILURE() << "there is no text " << name;
    return "";
  }
  std::vector<float> tensor(const std::string& name) const {
    for (const StateTensor& each : optimizer_->state().tensors)
      if (each.name == name) return testing::values_of(stream_, each.data);
    ADD_FAILURE() << "there is no tensor " << name;
    return {};
  }

  // ---- of a linear model with the mean squared error, in double --------------------------------

  /// Parameter (channel or bias, class) in theta.
  std::size_t place(int row, int k) const {
    const Parameter& w = model_.parameters()[0];
    const Parameter& b = model_.parameters()[1];
    return static_cast<std::size_t>(row < input_.c ? w.offset + row * model_.classes() + k
                                                   : b.offset + k);
  }
  int rows() const { return input_.c + 1; }
  /// Input `row` of a pixel: a channel, or the bias's 1.
  double feature(std::size_t pixel, int row) const {
    const auto c = static_cast<std::size_t>(input_.c);
    return row == input_.c ? 1.0 : double{x_values_[pixel * c + static_cast<std::size_t>(row)]};
  }
  /// dL/dtheta; of pixels [first, last) alone, over the denominator of all.
  std::vector<double> gradient(const std::vector<double>& theta, std::size_t first,
                               std::size_t last) const {
    std::vector<double> g(theta.size());
    for (std::size_t p = first; p < last; ++p)
      for (int k = 0; k < model_.classes(); ++k) {
        double residual = label_values_[p] == k ? -1.0 : 0.0;
        for (int r = 0; r < rows(); ++r) residual += feature(p, r) * theta[place(r, k)];
        for (int r = 0; r < rows(); ++r)
          g[place(r, k)] += 2.0 * residual * feature(p, r) / denominator();
      }
    return g;
  }
  std::vector<double> gradient(const std::vector<double>& theta) const {
    return gradient(theta, 0, label_values_.size());
  }
  std::size_t pixels() const { return label_values_.size(); }
  std::size_t pixels_per_image() const { return pixels() / static_cast<std::size_t>(input_.n); }
  double loss(const std::vector<double>& theta) const {
    double sum = 0.0;
    for (std::size_t p = 0; p < pixels(); ++p)
      for (int k = 0; k < model_.classes(); ++k) {
        double residual = label_values_[p] == k ? -1.0 : 0.0;
        for (int r = 0; r < rows(); ++r) residual += feature(p, r) * theta[place(r, k)];
        sum += residual * residual / denominator();
      }
    return sum;
  }
  /// uᵀGv of the loss of the first `images` alone.
  double form(const std::vector<double>& u, const std::vector<double>& v, int images) const {
    const std::size_t count = static_cast<std::size_t>(images) * pixels_per_image();
    double sum = 0.0;
    for (std::size_t p = 0; p < count; ++p)
      for (int k = 0; k < model_.classes(); ++k) {
        double along_u = 0.0, along_v = 0.0;
        for (int r = 0; r < rows(); ++r) {
          along_u += feature(p, r) * u[place(r, k)];
          along_v += feature(p, r) * v[place(r, k)];
        }
        sum += along_u * along_v;
      }
    return 2.0 * sum / (static_cast<double>(count) * model_.classes());
  }
  /// Element (r, s) of the Hessian, the same for every class and 0 between classes.
  double hessian(int r, int s) const {
    double sum = 0.0;
    for (std::size_t p = 0; p < label_values_.size(); ++p) sum += feature(p, r) * feature(p, s);
    return 2.0 * sum / denominator();
  }
  /// Where the gradient is 0, by Gaussian elimination.
  std::vector<double> solution() const {
    std::vector<double> theta(static_cast<std::size_t>(model_.parameter_count()));
    const std::vector<double> g = gradient(theta);
    for (int k = 0; k < model_.classes(); ++k) {
      const auto n = static_cast<std::size_t>(rows());
      std::vector<std::vector<double>> a(n, std::vector<double>(n + 1));
      for (std::size_t i = 0; i < n; ++i) {
        for (std::size_t j = 0; j < n; ++j) a[i][j] = hessian(int(i), int(j));
        a[i][n] = -g[place(int(i), k)];
      }
      for (std::size_t i = 0; i < n; ++i)  // positive definite: no pivoting
        for (std::size_t j = 0; j < n; ++j) {
          if (j == i) continue;
          const double factor = a[j][i] / a[i][i];
          for (std::size_t c = i; c <= n; ++c) a[j][c] -= factor * a[i][c];
        }
      for (std::size_t i = 0; i < n; ++i) theta[place(int(i), k)] = a[i][n] / a[i][i];
    }
    return theta;
  }

 private:
  double denominator() const {
    return static_cast<double>(label_values_.size()) * model_.classes();
  }
  double read_loss() const {
    const DeviceArray<float> copy(stream_.device(), 1);
    linear_combination(stream_, {{{loss_->loss(), 1}}}, view(copy));
    return double{copy.to_host(stream_)[0]};
  }
  void fill_images(float value) {
    fill(stream_, {x_.data(), input_.elements()}, value);
    stream_.synchronise();
  }

  Stream stream_;
  Model model_;
  Shape input_;
  std::vector<float> x_values_;
  std::vector<std::int32_t> label_values_;
  LossKind loss_kind_;
  Tensor x_;
  DeviceArray<std::int32_t> labels_;
  DeviceArray<float> theta_, grad_, squared_norm_;
  GradientNorm norm_;
  std::unique_ptr<Optimizer> optimizer_;
  std::unique_ptr<BatchLoss> loss_;
  std::optional<float> poison_;
  std::uint64_t step_ = 0;
};

}  // namespace curvseg::test
