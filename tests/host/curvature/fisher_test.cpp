// Products with Fisher matrices: against Jᵀ F J in double precision, and their mean over the labels
// that a model may draw.
#include "curvseg/error.hpp"
#include "host/curvature/curvature_case.hpp"
#include "host/nn/loss.hpp"

namespace curvseg {
namespace {

using namespace testing;

constexpr std::uint64_t kLabelStreams = std::uint64_t{1} << 63;

std::vector<LossOptions> losses() {
  return {{},
          {.class_weights = {0.5f, 2.0f, 1.0f}, .label_smoothing = 0.1f},
          {.kind = LossKind::kMeanSquaredError}};
}

/// Its own seed in device memory.
class Seed {
 public:
  Seed(const Stream& stream, unsigned long long seed) : seed_(stream.device(), 1) {
    set(stream, seed);
  }
  void set(const Stream& stream, unsigned long long seed) {
    seed_.upload(stream, &seed, 1);
    stream.synchronise();
  }
  const unsigned long long* get() const { return seed_.data(); }

 private:
  DeviceArray<unsigned long long> seed_;
};

/// What the model draws.
Labels drawn_labels(CurvatureCase& c, const Seed& seed, std::uint64_t stream_number) {
  const ConstTensorView logits = c.curvature().logits();
  DeviceArray<std::int32_t> sampled(c.stream().device(), logits.shape.pixels());
  sample_labels(c.stream(), logits, c.curvature().labels(), seed.get(),
                kLabelStreams + stream_number, sampled.data());
  return sampled.to_host(c.stream());
}

/// F·u in double, per pixel.
Doubles logit_fisher(const CurvatureCase& c, bool mean_squared_error, const Labels* sampled,
                     const Doubles* u) {
  const Doubles logits = c.logits();
  if (!mean_squared_error)
    return reference::cross_entropy_fisher(c.cross_entropy(), logits, c.labels(), sampled, u,
                                           c.label_weight())
        .value;
  Doubles g = c.logit_gradient(logits), product(g.size());
  const auto classes = static_cast<std::size_t>(c.model().classes());
  for (std::size_t i = 0; i < g.size(); ++i)
    for (std::size_t k = i - i % classes; k < i - i % classes + classes; ++k)
      product[i] += g[i] * g[k] * (*u)[k] * c.label_weight();
  return product;
}

Doubles expected_product(const CurvatureCase& c, bool mean_squared_error, const Labels* sampled,
                         const std::vector<float>& v) {
  const Doubles u = c.jacobian_product([&](std::size_t i) { return double(v[i]); });
  return c.transposed_jacobian_product(logit_fisher(c, mean_squared_error, sampled, &u));
}

std::vector<float> fisher_vp(CurvatureCase& c, const std::vector<float>& v,
                             const SampledLabels& labels) {
  return c.product_of(
      v, [&](BatchLoss& loss, auto from, auto to) { loss.fisher_vp(from, labels, to); });
}

std::vector<float> sampled_gradient(CurvatureCase& c, const SampledLabels& labels) {
  return c.result_of(
      [&](BatchLoss& loss, VectorView grad) { loss.sampled_gradient(labels, grad); });
}

TEST(Fisher, EmpiricalIsTheExplicitProduct) {
  for (const std::string& name : cheap_devices()) {
    for (const LossOptions& loss : losses()) {
      SCOPED_TRACE(name);
      CurvatureCase c(Device::open(name), zoo::make("unet(width=2, depth=1)", 1, 3), {2, 5, 6, 1},
                      1, loss);
      const std::vector<float> v = c.direction(2);
      const auto product = [](BatchLoss& batch, auto from, auto to) {
        batch.empirical_fisher_vp(from, to);
      };
      const std::vector<float> actual = c.product_of(v, product);
      expect_close(actual,
                   expected_product(c, loss.kind == LossKind::kMeanSquaredError, nullptr, v));
      EXPECT_GT(inner_product(v, actual), 0.0);
      const std::vector<float> gv = c.ggnvp(v), grad = c.gradient();  // nothing disturbs another
      EXPECT_EQ(c.product_of(v, product), actual);
      EXPECT_EQ(c.ggnvp(v), gv);
      EXPECT_EQ(c.gradient(), grad);
    }
  }
}

TEST(Fisher, SampledIsTheExplicitProductWithTheLabelsDrawn) {
  for (const std::string& name : cheap_devices()) {
    for (const LossOptions& loss : {losses()[0], losses()[1]}) {
      SCOPED_TRACE(name);
      CurvatureCase c(Device::open(name), zoo::make("unet(width=2, depth=1)", 1, 3), {2, 5, 6, 1},
                      3, loss);
      Seed seed(c.stream(), 11);
      const Labels sampled = drawn_labels(c, seed, 5);
      const std::vector<float> v = c.direction(4);
      const std::vector<float> product = fisher_vp(c, v, {seed.get(), 5});
      expect_close(product, expected_product(c, false, &sampled, v));
      const std::vector<float> grad = sampled_gradient(c, {seed.get(), 5});
      expect_close(grad, c.transposed_jacobian_product(logit_fisher(c, false, &sampled, nullptr)));

      // One seed, one matrix; another seed or stream, another.
      EXPECT_EQ(fisher_vp(c, v, {seed.get(), 5}), product);
      EXPECT_EQ(sampled_gradient(c, {seed.get(), 5}), grad);
      EXPECT_NE(fisher_vp(c, v, {seed.get(), 6}), product);
      seed.set(c.stream(), 12);
      EXPECT_NE(fisher_vp(c, v, {seed.get(), 5}), product);
      EXPECT_NE(sampled_gradient(c, {seed.get(), 5}), grad);
    }
  }
}

TEST(Fisher, ProductsAccumulate) {
  CurvatureCase c(Device::open("host"), zoo::make("unet(width=2, depth=1)", 1, 3), {2, 5, 6, 1}, 3);
  const Seed seed(c.stream(), 1);
  const std::vector<float> v = c.direction(5);
  const auto twice = c.product_of(v, [&](BatchLoss& loss, auto from, auto to) {
    loss.fisher_vp(from, {seed.get()}, to);
    loss.empirical_fisher_vp(from, to, {.accumulate = true});
    loss.sampled_gradient({seed.get()}, to, /*accumulate=*/true);
  });
  const auto product = fisher_vp(c, v, {seed.get()});
  const auto empirical = c.product_of(
      v, [](BatchLoss& loss, auto from, auto to) { loss.empirical_fisher_vp(from, to); });
  const auto grad = sampled_gradient(c, {seed.get()});
  double size = 0.0;
  for (const float value : twice) size = std::max(size, double(std::fabs(value)));
  for (std::size_t i = 0; i < twice.size(); ++i)
    ASSERT_NEAR(twice[i], double(product[i]) + empirical[i] + grad[i], 1e-6 * size) << i;
}

// ---- the mean over what a model may draw -------------------------------------------------------

/// Two images of 2x2 pixels, one of eight without a label: 2^7 ways to label them.
class AllLabels {
 public:
  explicit AllLabels(const LossOptions& loss)
      : device_(Device::open("host")),
        stream_(device_),
        model_(zoo::make("unet(width=2, depth=1)", 1, 2)),
        data_(real_data(model_, kInput, 3)),
        plan_(model_, device_, kInput, PlanMode::kCurvature),
        loss_(stream_, loss, plan_.output_shape()),
        theta_(device_, model_.parameter_count()),
        v_(device_, theta_.size()),
        out_(device_, theta_.size()),
        x_(device_, kInput),
        labels_(device_, kPixels),
        sampled_(device_, kPixels),
        denominator_(device_, 1) {
    theta_.upload(stream_, data_.theta.data(), theta_.size());
    direction_ = uniform_floats(data_.theta.size(), 9);
    clear_padding(model_, direction_);
    v_.upload(stream_, direction_.data(), v_.size());
    x_.upload(stream_, data_.x);
    labels_.upload(stream_, kLabels, kPixels);
    loss_.denominator(stream_, labels_.data(), kPixels, denominator_.data());
    plan_.forward(stream_, view(theta_), x_);
    stream_.synchronise();
  }

  /// Calls visit(probability) for every labelling, which lies in the sampled labels then.
  template <class Visit>
  void for_each_labelling(Visit visit) {
    Tensor dense(device_, plan_.output_shape());
    copy_tensor(stream_, plan_.output(), 1.0f, false, dense);
    const std::vector<float> logits = dense.to_host(stream_);
    for (unsigned labelling = 0; labelling < 1u << kPixels; ++labelling) {
      Labels labels(kPixels, kIgnoreLabel);
      double probability = 1.0;
      bool repeats = false;  // what differs from another in a pixel without a label
      for (std::size_t i = 0; i < kPixels; ++i) {
        const std::size_t label = labelling >> i & 1u;
        if (kLabels[i] < 0) {
          repeats = repeats || label != 0;
          continue;
        }
        labels[i] = static_cast<std::int32_t>(label);
        const double odds = std::exp(double(logits[2 * i + 1 - label]) - logits[2 * i + label]);
        probability /= 1.0 + odds;
      }
      if (repeats) continue;
      sampled_.upload(stream_, labels.data(), kPixels);
      stream_.synchronise();
      visit(probability);
    }
  }

  Doubles ggnvp() { return r_forward_and_backward(Matrix::kGaussNewton); }
  Doubles fisher_vp() { return r_forward_and_backward(Matrix::kFisher); }
  Doubles sampled_gradient() {
    loss_.fisher(stream_, plan_.output(), labels_.data(), sampled_.data(), denominator_.data(), {},
                 plan_.output_gradient());
    return backward();
  }
  double denominator() { return denominator_.to_host(stream_)[0]; }
  const std::vector<float>& direction() const { return direction_; }

 private:
  static constexpr Shape kInput{2, 2, 2, 1};
  static constexpr std::int64_t kPixels = 8;
  static constexpr std::int32_t kLabels[kPixels] = {0, 1, 1, kIgnoreLabel, 0, 0, 1, 0};
  enum class Matrix { kGaussNewton, kFisher };

  static ConstVectorView view(const DeviceArray<float>& array) {
    return {array.data(), array.size()};
  }
  Doubles r_forward_and_backward(Matrix matrix) {
    plan_.r_forward(stream_, view(theta_), view(v_), x_);
    if (matrix == Matrix::kGaussNewton)
      loss_.hessian(stream_, plan_.output(), labels_.data(), denominator_.data(), plan_.r_output(),
                    plan_.output_gradient());
    else
      loss_.fisher(stream_, plan_.output(), labels_.data(), sampled_.data(), denominator_.data(),
                   plan_.r_output(), plan_.output_gradient());
    return backward();
  }
  Doubles backward() {
    plan_.backward(stream_, view(theta_), x_, false, {out_.data(), out_.size()});
    return to_double(out_.to_host(stream_));
  }

  Device device_;
  Stream stream_;
  Model model_;
  NetworkData data_;
  Plan plan_;
  Loss loss_;
  DeviceArray<float> theta_, v_, out_;
  Tensor x_;
  DeviceArray<std::int32_t> labels_, sampled_;
  DeviceArray<float> denominator_;
  std::vector<float> direction_;
};

TEST(Fisher, MeanOverAllLabelsIsGaussNewton) {
  for (const LossOptions& loss :
       {LossOptions{}, LossOptions{.class_weights = {0.5f, 2.0f}, .label_smoothing = 0.1f}}) {
    AllLabels c(loss);
    const Doubles gv = c.ggnvp();
    Doubles of_products(gv.size()), of_gradients(gv.size()), gradient(gv.size());
    double probabilities = 0.0, size = 0.0, first = 0.0;
    c.for_each_labelling([&](double probability) {
      probabilities += probability;
      const Doubles product = c.fisher_vp(), grad = c.sampled_gradient();
      double slope = 0.0;  // gradᵀv
      for (std::size_t i = 0; i < gv.size(); ++i) slope += grad[i] * c.direction()[i];
      for (std::size_t i = 0; i < gv.size(); ++i) {
        of_products[i] += probability * product[i];
        gradient[i] += probability * grad[i];
        of_gradients[i] += probability * c.denominator() * grad[i] * slope;
        first = std::max(first, std::fabs(grad[i]));
      }
    });
    EXPECT_NEAR(probabilities, 1.0, 1e-6);
    for (const double value : gv) size = std::max(size, std::fabs(value));
    ASSERT_GT(size, 0.0);
    for (std::size_t i = 0; i < gv.size(); ++i) {
      EXPECT_NEAR(of_products[i], gv[i], 1e-5 * size) << i;
      EXPECT_NEAR(of_gradients[i], gv[i], 1e-5 * size) << i;
      EXPECT_NEAR(gradient[i], 0.0, 1e-5 * first) << i;
    }
  }
}

TEST(Fisher, MeanOverSeedsApproachesGaussNewton) {
  CurvatureCase c(Device::open("host"), zoo::make("unet(width=2, depth=1)", 1, 3), {2, 6, 5, 1}, 7,
                  {.class_weights = {0.5f, 2.0f, 1.0f}});
  const std::vector<float> v = c.direction(8);
  const std::vector<float> gv = c.ggnvp(v);
  constexpr int kSeeds = 400;
  Doubles mean(gv.size()), square(gv.size());
  Seed seed(c.stream(), 0);
  for (int i = 0; i < kSeeds; ++i) {
    seed.set(c.stream(), static_cast<unsigned long long>(i));
    const std::vector<float> product = fisher_vp(c, v, {seed.get()});
    for (std::size_t j = 0; j < gv.size(); ++j) {
      mean[j] += double(product[j]) / kSeeds;
      square[j] += double(product[j]) * product[j] / kSeeds;
    }
  }
  int differ = 0;
  double error = 0.0, size = 0.0;
  for (std::size_t j = 0; j < gv.size(); ++j) {
    // Five times the deviation of a mean: less than one in a million would be farther off.
    const double deviation = std::sqrt(std::max(square[j] - mean[j] * mean[j], 0.0) / kSeeds);
    EXPECT_TRUE(std::fabs(mean[j] - gv[j]) <= 5.0 * deviation + 1e-6) << j;
    error += (mean[j] - gv[j]) * (mean[j] - gv[j]);
    size += double(gv[j]) * gv[j];
    differ += deviation > 0.0;
  }
  EXPECT_LT(std::sqrt(error / size), 0.15);
  EXPECT_GT(differ, static_cast<int>(gv.size()) / 2);
}

std::vector<float> bartlett_diagonal(CurvatureCase& c, const BartlettOptions& options) {
  DeviceArray<float> diagonal(c.stream().device(), c.theta().size);
  gauss_newton_bartlett_diagonal(c.stream(), c.curvature(), options,
                                 {diagonal.data(), diagonal.size()});
  return diagonal.to_host(c.stream());
}

TEST(BartlettDiagonal, IsTheMeanOfSquaredSampledGradients) {
  for (const std::string& name : cheap_devices()) {
    SCOPED_TRACE(name);
    CurvatureCase c(Device::open(name), zoo::make("unet(width=2, depth=1)", 1, 3), {2, 6, 5, 1}, 7);
    const Seed seed(c.stream(), 21);
    const std::vector<float> diagonal = bartlett_diagonal(c, {.samples = 3, .seed = 21});
    Doubles expected(diagonal.size());
    for (const std::uint64_t stream : {0, 1, 2}) {
      const std::vector<float> grad = sampled_gradient(c, {seed.get(), stream});
      for (std::size_t i = 0; i < grad.size(); ++i)
        expected[i] += c.label_weight() * double(grad[i]) * grad[i] / 3.0;
    }
    double size = 0.0;
    for (std::size_t i = 0; i < expected.size(); ++i) {
      EXPECT_NEAR(diagonal[i], expected[i], 1e-5 * expected[i]) << i;
      size += expected[i];
    }
    EXPECT_GT(size, 0.0);
  }
}

TEST(BartlettDiagonal, MeanOverSeedsApproachesTheDiagonalOfGaussNewton) {
  CurvatureCase c(Device::open("host"), zoo::make("unet(width=2, depth=1)", 1, 3), {2, 6, 5, 1}, 7,
                  {.class_weights = {0.5f, 2.0f, 1.0f}});
  const auto size = static_cast<std::size_t>(c.theta().size);
  constexpr int kSeeds = 400;
  Doubles mean(size), square(size);
  for (int i = 0; i < kSeeds; ++i) {
    const std::vector<float> d =
        bartlett_diagonal(c, {.samples = 1, .seed = static_cast<std::uint64_t>(i)});
    for (std::size_t j = 0; j < size; ++j) {
      mean[j] += double(d[j]) / kSeeds;
      square[j] += double(d[j]) * d[j] / kSeeds;
    }
  }
  int differ = 0;
  double error = 0.0, total = 0.0;
  for (std::size_t j = 0; j < size; ++j) {
    std::vector<float> unit(size, 0.0f);
    unit[j] = 1.0f;
    const double exact = c.ggnvp(unit)[j];
    const double deviation = std::sqrt(std::max(square[j] - mean[j] * mean[j], 0.0) / kSeeds);
    // Squares are skewed: six deviations of a mean, where products have five.
    EXPECT_TRUE(std::fabs(mean[j] - exact) <= 6.0 * deviation + 1e-6) << j;
    error += std::fabs(mean[j] - exact);
    total += exact;
    differ += deviation > 0.0;
  }
  EXPECT_LT(error / total, 0.1);
  EXPECT_GT(differ, static_cast<int>(size) / 2);
}

TEST(Fisher, RefusesWhatItCannotDo) {
  CurvatureCase mean_squared(Device::open("host"), zoo::make("unet(width=2, depth=1)", 1, 2),
                             {1, 4, 4, 1}, 1, {.kind = LossKind::kMeanSquaredError});
  const Seed seed(mean_squared.stream(), 1);
  const std::vector<float> v = mean_squared.direction(1);
  EXPECT_THROW(fisher_vp(mean_squared, v, {seed.get()}), std::logic_error);
  EXPECT_THROW(sampled_gradient(mean_squared, {seed.get()}), std::logic_error);
  CurvatureCase c(Device::open("host"), zoo::make("unet(width=2, depth=1)", 1, 2), {1, 4, 4, 1}, 1);
  EXPECT_THROW(fisher_vp(c, v, {}), std::invalid_argument);
  EXPECT_THROW(bartlett_diagonal(c, {.samples = 0}), std::invalid_argument);
  DeviceArray<float> small(c.stream().device(), c.theta().size - 1);
  EXPECT_THROW(
      gauss_newton_bartlett_diagonal(c.stream(), c.curvature(), {}, {small.data(), small.size()}),
      std::invalid_argument);
  EXPECT_THROW(bartlett_diagonal(mean_squared, {}), std::logic_error);
  BatchLoss training(c.stream(), c.model(), {1, 4, 4, 1}, {}, CurvatureKind::kNone);
  training.linearise(c.theta(), c.curvature().x(), c.curvature().labels());
  DeviceArray<float> product(c.stream().device(), c.theta().size);
  const VectorView to{product.data(), product.size()};
  EXPECT_THROW(training.empirical_fisher_vp(c.theta(), to), std::logic_error);
  EXPECT_THROW(training.fisher_vp(c.theta(), {seed.get()}, to), std::logic_error);
  EXPECT_THROW(training.sampled_gradient({seed.get()}, to), std::logic_error);
}

}  // namespace
}  // namespace curvseg
