// Optimisers through the public interface, against their formulas in double. The kernels have
// their own tests; here it is scalars, state, clipping and options.
#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <string>
#include <vector>

#include "curvseg/device.hpp"
#include "curvseg/error.hpp"
#include "curvseg/optim.hpp"
#include "host/optim/gradient_norm.hpp"
#include "support/devices.hpp"

namespace curvseg {
namespace {

constexpr std::int64_t kCount = 37;

/// A parameter vector, and gradients that depend on the step only.
class OptimizerTest : public ::testing::TestWithParam<std::string> {
 protected:
  OptimizerTest()
      : stream_(Device::open(GetParam())),
        theta_(stream_.device(), kCount),
        squared_norm_(stream_.device(), 1),
        norm_(stream_.device(), kCount) {
    for (std::int64_t i = 0; i < kCount; ++i) start_.push_back(0.1f * static_cast<float>(i) - 1.0f);
    theta_.upload(stream_, start_.data(), kCount);
    for (int t = 1; t <= kSteps; ++t) {
      host_gradients_.push_back(gradient(t));
      gradients_.emplace_back(stream_.device(), kCount);
      gradients_.back().upload(stream_, host_gradients_.back().data(), kCount);
    }
  }
  ~OptimizerTest() override { stream_.synchronise(); }

  static std::vector<float> gradient(int step) {
    std::vector<float> g;
    for (std::int64_t i = 0; i < kCount; ++i)
      g.push_back(std::sin(0.7f * static_cast<float>(i) + static_cast<float>(step)));
    return g;
  }

  /// Steps without a wait in between: each must see its own scalars.
  std::vector<float> run(Optimizer& optimizer, float max_norm = 0.0f) {
    for (int t = 1; t <= kSteps; ++t) {
      const DeviceArray<float>& grad = gradients_[static_cast<std::size_t>(t - 1)];
      if (max_norm > 0.0f) norm_.compute(stream_, {grad.data(), kCount}, squared_norm_.data());
      optimizer.step({.stream = stream_,
                      .theta = {theta_.data(), kCount},
                      .grad = {grad.data(), kCount},
                      .step = static_cast<std::uint64_t>(t),
                      .learning_rate = rate(t),
                      .max_norm = max_norm,
                      .squared_norm = max_norm > 0.0f ? squared_norm_.data() : nullptr});
    }
    return theta_.to_host(stream_);
  }

  /// θ, one element at a time: `update(θ, g, t)` with g after clipping.
  void expect_like(const std::vector<float>& actual, float max_norm,
                   const std::function<std::function<double(double, double, int)>()>& method) {
    for (std::size_t i = 0; i < actual.size(); ++i) {
      const auto update = method();
      double theta = static_cast<double>(start_[i]);
      for (int t = 1; t <= kSteps; ++t)
        theta = update(theta, clip(t, max_norm) * static_cast<double>(gradient(t)[i]), t);
      EXPECT_NEAR(static_cast<double>(actual[i]), theta, 1e-5) << "element " << i;
    }
  }

  static double clip(int t, float max_norm) {
    if (max_norm == 0.0f) return 1.0;
    double sum = 0.0;
    for (const float g : gradient(t)) sum += static_cast<double>(g) * static_cast<double>(g);
    return std::min(1.0, static_cast<double>(max_norm) / std::sqrt(sum));
  }

  static float rate(int t) { return 0.05f / static_cast<float>(t); }

  static constexpr int kSteps = 11;  // more than there are places for scalars under way
  Stream stream_;
  std::vector<float> start_;
  DeviceArray<float> theta_;
  std::vector<std::vector<float>> host_gradients_;
  std::vector<DeviceArray<float>> gradients_;
  DeviceArray<float> squared_norm_;
  GradientNorm norm_;
};

TEST_P(OptimizerTest, SgdFollowsItsFormula) {
  for (const bool nesterov : {false, true}) {
    theta_.upload(stream_, start_.data(), kCount);
    OptimizerOptions options{.name = "sgd", .sgd = {.momentum = 0.8f, .nesterov = nesterov}};
    options.sgd.regularisation.l2 = 0.1f;
    const auto optimizer = make_optimizer(stream_, options, kCount);
    expect_like(run(*optimizer), 0.0f, [nesterov] {
      return [nesterov, m = 0.0](double theta, double g, int t) mutable {
        g += 0.1 * theta;
        m = 0.8 * m + g;
        return theta - static_cast<double>(rate(t)) * (nesterov ? g + 0.8 * m : m);
      };
    });
  }
}

TEST_P(OptimizerTest, AdamAndAdamwFollowTheirFormulas) {
  for (const double decay : {0.0, 0.2}) {
    theta_.upload(stream_, start_.data(), kCount);
    OptimizerOptions options{.name = decay > 0.0 ? "adamw" : "adam"};
    options.adamw.regularisation.decoupled_l2 = static_cast<float>(decay);
    const auto optimizer = make_optimizer(stream_, options, kCount);
    EXPECT_EQ(optimizer->name(), options.name);
    expect_like(run(*optimizer), 0.0f, [decay] {
      return [decay, m = 0.0, v = 0.0](double theta, double g, int t) mutable {
        m = 0.9 * m + 0.1 * g;
        v = 0.999 * v + 0.001 * g * g;
        const double step =
            m / (1.0 - std::pow(0.9, t)) / (std::sqrt(v / (1.0 - std::pow(0.999, t))) + 1e-8);
        const double eta = static_cast<double>(rate(t));
        return theta * (1.0 - eta * decay) - eta * step;
      };
    });
  }
}

TEST_P(OptimizerTest, ClipsTheNormOfTheWholeGradient) {
  const OptimizerOptions options{.name = "sgd", .sgd = {.momentum = 0.0f}};
  for (const float max_norm : {0.5f, 1e6f}) {
    theta_.upload(stream_, start_.data(), kCount);
    const auto optimizer = make_optimizer(stream_, options, kCount);
    expect_like(run(*optimizer, max_norm), max_norm, [] {
      return [](double theta, double g, int t) { return theta - static_cast<double>(rate(t)) * g; };
    });
  }
}

TEST_P(OptimizerTest, StateIsWhatTheMethodRemembers) {
  const auto names = [&](const OptimizerOptions& options) {
    const auto optimizer = make_optimizer(stream_, options, kCount);
    run(*optimizer);
    std::string result;
    std::size_t bytes = 0;
    for (const StateTensor& tensor : optimizer->state().tensors) {
      result += tensor.name + " ";
      EXPECT_EQ(tensor.data.size, kCount);
      EXPECT_TRUE(tensor.shape.empty());
      bytes += static_cast<std::size_t>(kCount) * sizeof(float);
    }
    EXPECT_EQ(optimizer->state_bytes(), bytes);
    return result;
  };
  EXPECT_EQ(names({.name = "sgd"}), "momentum ");
  EXPECT_EQ(names({.name = "sgd", .sgd = {.momentum = 0.0f}}), "");
  EXPECT_EQ(names({.name = "adam"}), "m v ");
  EXPECT_EQ(names({.name = "adamw"}), "m v ");
}

TEST_P(OptimizerTest, RefusesVectorsOfAnotherSize) {
  const auto optimizer = make_optimizer(stream_, {.name = "sgd"}, kCount + 1);
  EXPECT_THROW(run(*optimizer), std::invalid_argument);
  const auto fits = make_optimizer(stream_, {.name = "adam"}, kCount);
  const VectorView theta{theta_.data(), kCount};
  EXPECT_THROW(fits->step({.stream = stream_, .theta = theta, .grad = theta, .step = 0}),
               std::invalid_argument);
  EXPECT_THROW(
      fits->step({.stream = stream_, .theta = theta, .grad = theta, .step = 1, .max_norm = 1.0f}),
      std::invalid_argument);
  stream_.synchronise();  // the optimisers go away, and their state may not be zeroed yet
}

INSTANTIATE_TEST_SUITE_P(Devices, OptimizerTest, ::testing::ValuesIn(testing::cheap_devices()),
                         [](const auto& instance) { return instance.param; });

void expect_refused(const OptimizerOptions& options, const std::string& part) {
  try {
    make_optimizer(Stream(Device::open("host")), options, 1);
    ADD_FAILURE() << part << " was accepted";
  } catch (const InputError& error) {
    EXPECT_NE(std::string(error.what()).find(part), std::string::npos) << error.what();
  }
}

TEST(OptimizerOptions, RefusesWhatMakesNoSense) {
  expect_refused({.name = "newton?"}, "sgd, adam, adamw");
  expect_refused({.name = "sgd", .sgd = {.momentum = 1.0f}}, "momentum");
  expect_refused({.name = "sgd", .sgd = {.momentum = NAN}}, "momentum");
  expect_refused({.name = "sgd", .sgd = {.momentum = 0.0f, .nesterov = true}}, "nesterov");
  expect_refused({.name = "adam", .adam = {.beta2 = 1.0f}}, "beta2");
  expect_refused({.name = "adam", .adam = {.epsilon = -1.0f}}, "epsilon");
  expect_refused({.name = "adamw", .adamw = {.regularisation = {.l1 = -1.0f}}}, "l1");
}

TEST(OptimizerOptions, EveryOptimizerHasADefaultLearningRate) {
  for (const std::string& name : optimizer_names()) EXPECT_GT(default_learning_rate(name), 0.0);
  EXPECT_THROW(default_learning_rate("none"), InputError);
}

}  // namespace
}  // namespace curvseg
