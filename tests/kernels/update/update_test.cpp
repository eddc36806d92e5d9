// SGD, Adam and the squared norm against the double reference, on every target.
#include <cmath>
#include <limits>
#include <string>

#include "reference/update.hpp"
#include "support/random_data.hpp"
#include "support/rounding.hpp"
#include "support/schedules.hpp"
#include "support/sparse_memory.hpp"
#include "support/targets.hpp"

namespace curvseg::testing {
namespace {

// ---- the reference itself ----------------------------------------------------------------------

TEST(UpdateReference, SgdByHand) {
  // g = ½·4 + 0.1·2 + 0.3·1 = 2.5 with the norm 4 clipped to 2; m = 0.9·1 + 2.5 = 3.4.
  reference::Step step{
      .learning_rate = 0.5, .max_norm = 2.0, .squared_norm = 16.0, .l1 = 0.3, .l2 = 0.1};
  auto next = reference::sgd(step, 0.9, false, 2.0, 4.0, 1.0);
  EXPECT_NEAR(next.momentum.value, 3.4, 1e-15);
  EXPECT_NEAR(next.theta.value, 2.0 - 0.5 * 3.4, 1e-15);
  next = reference::sgd(step, 0.9, true, 2.0, 4.0, 1.0);
  EXPECT_NEAR(next.theta.value, 2.0 - 0.5 * (2.5 + 0.9 * 3.4), 1e-15);
  // Decay 1 − ½·0.2 before the step, then a threshold of ½·0.4 towards zero.
  step = {.learning_rate = 0.5, .decoupled_l2 = 0.2, .proximal_l1 = 0.4};
  EXPECT_NEAR(reference::sgd(step, 0.0, false, -2.0, 1.0, 0.0).theta.value, -2.1, 1e-15);
  EXPECT_EQ(reference::sgd(step, 0.0, false, 1.0, 1.5, 0.0).theta.value, 0.0);
}

TEST(UpdateReference, AdamByHand) {
  // Corrected, the first step's moments are g and g²: θ moves by η·g / (|g| + ε).
  const reference::Step step{.learning_rate = 0.1};
  const auto first = reference::adam(step, 0.9, 0.99, 0.5, 1, 1.0, -2.0, 0.0, 0.0);
  EXPECT_NEAR(first.m.value, -0.2, 1e-15);
  EXPECT_NEAR(first.v.value, 0.04, 1e-15);
  EXPECT_NEAR(first.theta.value, 1.0 + 0.1 * 2.0 / 2.5, 1e-15);
  const auto second = reference::adam(step, 0.9, 0.99, 0.0, 2, 1.0, 1.0, -0.2, 0.04);
  const double m = 0.9 * -0.2 + 0.1, v = 0.99 * 0.04 + 0.01;
  EXPECT_NEAR(second.theta.value, 1.0 - 0.1 * (m / 0.19) / std::sqrt(v / 0.0199), 1e-15);
}

// ---- the kernels -------------------------------------------------------------------------------

/// Every combination of the terms of regularisation and of clipping (off, idle, active).
struct Terms {
  std::string name;
  Regularisation regularisation;
  float max_norm = 0.0f;
};

std::vector<Terms> all_terms() {
  std::vector<Terms> all;
  for (const float max_norm : {0.0f, 1e6f, 0.75f})
    for (int bits = 0; bits < 16; ++bits) {
      Terms t;
      t.max_norm = max_norm;
      t.name = "clip at " + std::to_string(max_norm);
      if (bits & 1) t.regularisation.l1 = 0.01f, t.name += ", l1";
      if (bits & 2) t.regularisation.l2 = 0.05f, t.name += ", l2";
      if (bits & 4) t.regularisation.decoupled_l2 = 0.1f, t.name += ", decoupled l2";
      if (bits & 8) t.regularisation.proximal_l1 = 0.2f, t.name += ", proximal l1";
      all.push_back(t);
    }
  return all;
}

reference::Step reference_step(const Regularisation& r, const UpdateScalars& scalars,
                               double squared_norm) {
  return {.learning_rate = scalars.learning_rate,
          .max_norm = scalars.max_norm,
          .squared_norm = squared_norm,
          .l1 = r.l1,
          .l2 = r.l2,
          .decoupled_l2 = r.decoupled_l2,
          .proximal_l1 = r.proximal_l1};
}

/// Values and bounds of a vector, filled one element at a time.
struct Expected {
  std::vector<double> value, bound;
  void add(const reference::Sized& x, double epsilons) {
    value.push_back(x.value);
    bound.push_back(epsilons * kEpsilon * x.size + std::numeric_limits<float>::denorm_min());
  }
};

double sum_of_squares(const std::vector<float>& x) {
  double sum = 0.0;
  for (const double value : x) sum += value * value;
  return sum;
}

class UpdateKernels : public TargetTest {
 protected:
  std::size_t size() const { return emulated() ? 131 : 1037; }

  float squared_norm(const std::vector<float>& x) const {
    auto device_x = upload(x);
    auto norm = output<float>(1);
    SquaredNorm p;
    p.x = device_x.get();
    p.n = static_cast<std::int64_t>(x.size());
    p.norm = norm.get();
    auto scratch = workspace(kernels().squared_norm_workspace(p));
    p.workspace = scratch.get();
    kernels().squared_norm(stream(), p);
    return download(norm)[0];
  }

  /// Overwrites theta and, where there is one, the momentum buffer.
  void sgd(const Regularisation& regularisation, const UpdateScalars& scalars, float momentum,
           bool nesterov, const std::vector<float>& grad, const float* squared_norm,
           std::vector<float>& theta, std::vector<float>* buffer) const {
    auto device_theta = upload(theta), device_grad = upload(grad);
    auto device_buffer = upload(buffer ? *buffer : std::vector<float>{});
    auto device_scalars = upload(std::vector<UpdateScalars>{scalars});
    auto norm = upload(std::vector<float>{squared_norm ? *squared_norm : NAN});
    kernels().sgd_update(stream(), {.n = static_cast<std::int64_t>(theta.size()),
                                    .theta = device_theta.get(),
                                    .grad = device_grad.get(),
                                    .momentum_buffer = buffer ? device_buffer.get() : nullptr,
                                    .scalars = device_scalars.get(),
                                    .squared_norm = squared_norm ? norm.get() : nullptr,
                                    .momentum = momentum,
                                    .nesterov = nesterov,
                                    .regularisation = regularisation});
    theta = download(device_theta);
    if (buffer) *buffer = download(device_buffer);
  }

  struct AdamOptions {
    float beta1 = 0.9f, beta2 = 0.999f, epsilon = 1e-8f;
  };

  void adam(const Regularisation& regularisation, const UpdateScalars& scalars,
            const AdamOptions& options, const std::vector<float>& grad, const float* squared_norm,
            std::vector<float>& theta, std::vector<float>& m, std::vector<float>& v) const {
    auto device_theta = upload(theta), device_grad = upload(grad);
    auto device_m = upload(m), device_v = upload(v);
    auto device_scalars = upload(std::vector<UpdateScalars>{scalars});
    auto norm = upload(std::vector<float>{squared_norm ? *squared_norm : NAN});
    kernels().adam_update(stream(), {.n = static_cast<std::int64_t>(theta.size()),
                                     .theta = device_theta.get(),
                                     .grad = device_grad.get(),
                                     .m = device_m.get(),
                                     .v = device_v.get(),
                                     .scalars = device_scalars.get(),
                                     .squared_norm = squared_norm ? norm.get() : nullptr,
                                     .beta1 = options.beta1,
                                     .beta2 = options.beta2,
                                     .epsilon = options.epsilon,
                                     .regularisation = regularisation});
    theta = download(device_theta);
    m = download(device_m);
    v = download(device_v);
  }

  void expect_sgd_steps(const Terms& terms, float momentum, bool nesterov) const;
  void expect_adam_steps(const Terms& terms) const;
};

TEST_P(UpdateKernels, SgdByHand) {
  std::vector<float> theta{2.0f, -2.0f, 0.25f}, buffer{1.0f, 0.0f, -1.0f};
  const std::vector<float> grad{4.0f, 1.0f, 0.0f};
  sgd({}, {.learning_rate = 0.5f}, 0.0f, false, grad, nullptr, theta, nullptr);
  EXPECT_EQ(theta, (std::vector<float>{0.0f, -2.5f, 0.25f}));
  sgd({}, {.learning_rate = 0.5f}, 0.5f, false, grad, nullptr, theta, &buffer);
  EXPECT_EQ(buffer, (std::vector<float>{4.5f, 1.0f, -0.5f}));
  EXPECT_EQ(theta, (std::vector<float>{-2.25f, -3.0f, 0.5f}));
  sgd({}, {.learning_rate = 0.5f}, 0.5f, true, grad, nullptr, theta, &buffer);
  EXPECT_EQ(buffer, (std::vector<float>{6.25f, 1.5f, -0.25f}));
  EXPECT_EQ(theta, (std::vector<float>{-2.25f - 3.5625f, -3.875f, 0.5625f}));
  // Clipping 5 to 2.5 halves the gradient; the threshold makes exact zeros.
  theta = {3.0f, 1.0f, -1.0f};
  const float norm = 25.0f;
  sgd({.proximal_l1 = 1.0f}, {.learning_rate = 1.0f, .max_norm = 2.5f}, 0.0f, false,
      {2.0f, 0.5f, -1.0f}, &norm, theta, nullptr);
  EXPECT_EQ(theta, (std::vector<float>{1.0f, 0.0f, 0.0f}));
}

TEST_P(UpdateKernels, AdamByHand) {
  std::vector<float> theta{1.0f, 1.0f}, m{0.0f, 0.0f}, v{0.0f, 0.0f};
  adam({}, {.learning_rate = 0.125f, .bias_correction1 = 0.5f, .bias_correction2 = 0.25f},
       {.beta1 = 0.5f, .beta2 = 0.75f, .epsilon = 0.5f}, {-2.0f, 0.0f}, nullptr, theta, m, v);
  EXPECT_EQ(m, (std::vector<float>{-1.0f, 0.0f}));
  EXPECT_EQ(v, (std::vector<float>{1.0f, 0.0f}));
  EXPECT_EQ(theta, (std::vector<float>{1.0f + 0.125f * 2.0f / 2.5f, 1.0f}));
}

/// Several steps, each compared with the reference from where the last one left off: so a sign
/// that float32 sees on the other side of zero does not count against the next step.
void UpdateKernels::expect_sgd_steps(const Terms& terms, float momentum, bool nesterov) const {
  std::vector<float> theta = uniform_floats(size(), 80), buffer(size(), 0.0f);
  theta[0] = 0.0f;
  for (unsigned t = 1; t <= 3; ++t) {
    const auto grad = uniform_floats(size(), 80 + t);
    const float norm = squared_norm(grad);
    const bool clip = terms.max_norm > 0.0f;
    const UpdateScalars scalars{.learning_rate = 0.1f / static_cast<float>(t),
                                .max_norm = terms.max_norm};
    const auto step = reference_step(terms.regularisation, scalars, clip ? norm : -1.0);
    Expected theta_next, buffer_next;
    for (std::size_t i = 0; i < theta.size(); ++i) {
      const auto next = reference::sgd(step, momentum, nesterov, theta[i], grad[i], buffer[i]);
      theta_next.add(next.theta, 4.0);
      buffer_next.add(next.momentum, 4.0);
    }
    sgd(terms.regularisation, scalars, momentum, nesterov, grad, clip ? &norm : nullptr, theta,
        momentum != 0.0f ? &buffer : nullptr);
    expect_within(theta, theta_next.value, theta_next.bound);
    if (momentum != 0.0f) expect_within(buffer, buffer_next.value, buffer_next.bound);
  }
}

TEST_P(UpdateKernels, SgdAgreesWithTheReferenceForEveryCombination) {
  for (const Terms& terms : all_terms())
    for (const auto& [momentum, nesterov] :
         {std::pair{0.0f, false}, {0.0f, true}, {0.9f, false}, {0.9f, true}}) {
      SCOPED_TRACE(terms.name + ", momentum " + std::to_string(momentum) +
                   (nesterov ? ", nesterov" : ""));
      expect_sgd_steps(terms, momentum, nesterov);
    }
}

void UpdateKernels::expect_adam_steps(const Terms& terms) const {
  const AdamOptions options;
  std::vector<float> theta = uniform_floats(size(), 90), m(size(), 0.0f), v(size(), 0.0f);
  theta[0] = 0.0f;
  for (int t = 1; t <= 4; ++t) {
    auto grad = uniform_floats(size(), 90 + static_cast<unsigned>(t));
    grad[1] = 0.0f;
    grad[2] *= 1e-12f;
    grad[3] *= 1e12f;
    const float norm = squared_norm(grad);
    const bool clip = terms.max_norm > 0.0f;
    const UpdateScalars scalars{
        .learning_rate = 0.01f,
        .bias_correction1 = static_cast<float>(1.0 - std::pow(double{options.beta1}, t)),
        .bias_correction2 = static_cast<float>(1.0 - std::pow(double{options.beta2}, t)),
        .max_norm = terms.max_norm};
    const auto step = reference_step(terms.regularisation, scalars, clip ? norm : -1.0);
    Expected theta_next, m_next, v_next;
    for (std::size_t i = 0; i < theta.size(); ++i) {
      const auto next = reference::adam(step, options.beta1, options.beta2, options.epsilon, t,
                                        theta[i], grad[i], m[i], v[i]);
      theta_next.add(next.theta, 8.0);
      m_next.add(next.m, 4.0);
      v_next.add(next.v, 8.0);
    }
    adam(terms.regularisation, scalars, options, grad, clip ? &norm : nullptr, theta, m, v);
    expect_within(theta, theta_next.value, theta_next.bound);
    expect_within(m, m_next.value, m_next.bound);
    expect_within(v, v_next.value, v_next.bound);
  }
}

TEST_P(UpdateKernels, AdamAgreesWithTheReferenceForEveryCombination) {
  for (const Terms& terms : all_terms()) {
    SCOPED_TRACE(terms.name);
    expect_adam_steps(terms);
  }
}

// Two steps at once with the same moments: what is coupled goes through them, what is decoupled
// does not. On a gradient of zero only the decay is left.
TEST_P(UpdateKernels, AdamDecouplesItsDecay) {
  std::vector<float> theta{4.0f}, m{0.0f}, v{0.0f};
  adam({.decoupled_l2 = 0.5f}, {.learning_rate = 0.25f}, {}, {0.0f}, nullptr, theta, m, v);
  EXPECT_EQ(theta[0], 3.5f);
  EXPECT_EQ(m[0], 0.0f);
  EXPECT_EQ(v[0], 0.0f);
}

TEST_P(UpdateKernels, ClippingOfZero) {
  std::vector<float> theta{1.0f};
  const float zero = 0.0f;
  sgd({}, {.learning_rate = 1.0f, .max_norm = 2.0f}, 0.0f, false, {0.0f}, &zero, theta, nullptr);
  EXPECT_EQ(theta[0], 1.0f);
}

// A gradient that overflowed, in an element or in its norm, would stay in the moments for ever.
TEST_P(UpdateKernels, ANormThatIsNotFiniteStopsTheStep) {
  const float norms[] = {NAN, INFINITY};
  for (const float max_norm : {0.0f, 2.0f})
    for (const float& norm : norms) {
      const UpdateScalars scalars{.learning_rate = 1.0f, .max_norm = max_norm};
      std::vector<float> theta{1.0f}, m{0.5f}, v{0.25f};
      sgd({.decoupled_l2 = 0.5f}, scalars, 0.9f, true, {NAN}, &norm, theta, &m);
      EXPECT_EQ(theta[0], 1.0f);
      EXPECT_EQ(m[0], 0.5f);
      adam({.decoupled_l2 = 0.5f}, scalars, {}, {0.25f}, &norm, theta, m, v);
      EXPECT_EQ(theta[0], 1.0f);
      EXPECT_EQ(m[0], 0.5f);
      EXPECT_EQ(v[0], 0.25f);
    }
  std::vector<float> theta{1.0f};
  const float largest = 3e38f;
  sgd({}, {.learning_rate = 1.0f}, 0.0f, false, {0.25f}, &largest, theta, nullptr);
  EXPECT_EQ(theta[0], 0.75f);
}

// Without a norm nobody looks: a NaN stays one under every term.
TEST_P(UpdateKernels, NanStaysWhatItIs) {
  std::vector<float> theta{NAN};
  sgd({.l1 = 1.0f, .l2 = 1.0f, .decoupled_l2 = 1.0f, .proximal_l1 = 1.0f}, {.learning_rate = 1.0f},
      0.0f, false, {0.0f}, nullptr, theta, nullptr);
  EXPECT_TRUE(std::isnan(theta[0]));
}

TEST_P(UpdateKernels, SquaredNorm) {
  EXPECT_EQ(squared_norm({}), 0.0f);
  EXPECT_EQ(squared_norm({3.0f, -4.0f}), 25.0f);
  for (const std::size_t n : {1, 31, 33, 1000, 20'011, 1'000'003}) {
    if (emulated() && n > 30'000) continue;
    const auto x = uniform_floats(n, 100);
    const double expected = sum_of_squares(x);
    EXPECT_NEAR(squared_norm(x), expected, 1.5 * kEpsilon * expected) << n;
  }
  EXPECT_TRUE(std::isnan(squared_norm({1.0f, NAN})));
}

TEST_P(UpdateKernels, AdamDirectionIsTheStepOfAdamWithoutTheStep) {
  for (const std::size_t n : {1, 31, 1000, 20'011}) {
    SCOPED_TRACE(n);
    const auto start = uniform_floats(n, 120);
    const UpdateScalars scalars{
        .learning_rate = 1.0f, .bias_correction1 = 0.19f, .bias_correction2 = 0.05f};
    std::vector<float> theta = start, m = uniform_floats(n, 121), v(n, 0.25f);
    auto device_m = upload(m), device_v = upload(v);
    auto device_scalars = upload(std::vector<UpdateScalars>{scalars});
    const auto grad = uniform_floats(n, 122);
    auto device_grad = upload(grad);
    AdamDirection p;
    p.n = static_cast<std::int64_t>(n);
    p.grad = device_grad.get();
    p.m = device_m.get();
    p.v = device_v.get();
    p.to = device_grad.get();
    p.scalars = device_scalars.get();
    kernels().adam_direction(stream(), p);
    adam({}, scalars, {.beta1 = p.beta1, .beta2 = p.beta2, .epsilon = p.epsilon}, grad, nullptr,
         theta, m, v);
    EXPECT_EQ(download(device_m), m);
    EXPECT_EQ(download(device_v), v);
    const std::vector<float> d = download(device_grad);
    for (std::size_t i = 0; i < n; ++i)
      ASSERT_TRUE(std::fabs(start[i] - d[i] - theta[i]) <=
                  4.0 * kEpsilon * (std::fabs(start[i]) + std::fabs(d[i])))
          << i;
  }
}

TEST_P(UpdateKernels, NothingToUpdate) {
  std::vector<float> theta, m, v, buffer;
  sgd({}, {.learning_rate = 1.0f}, 0.9f, true, {}, nullptr, theta, &buffer);
  adam({}, {.learning_rate = 1.0f}, {}, {}, nullptr, theta, m, v);
  EXPECT_TRUE(theta.empty());
}

TEST_P(UpdateKernels, EveryScheduleGivesTheSameBits) {
  const std::size_t n = emulated() ? 40'003 : 100'003;  // several blocks
  const auto grad = uniform_floats(n, 110), start = uniform_floats(n, 111);
  expect_same_on_every_schedule(GetParam(), [&] {
    std::vector<float> result{squared_norm(grad)};
    std::vector<float> theta = start, m(n, 0.0f), v(n, 0.0f), buffer(n, 0.0f);
    const Regularisation terms{.l1 = 0.1f, .proximal_l1 = 0.01f};
    const UpdateScalars scalars{.learning_rate = 0.1f, .max_norm = 3.0f};
    sgd(terms, scalars, 0.9f, true, grad, &result[0], theta, &buffer);
    adam(terms, scalars, {}, grad, &result[0], theta, m, v);
    for (const auto& part : {theta, m, v, buffer})
      result.insert(result.end(), part.begin(), part.end());
    return result;
  });
}

TEST_P(UpdateKernels, SquaredNormOfMoreThanTwoToTheThirtyOneElements) {
  if (GetParam() != "host")
    GTEST_SKIP() << "reads 8 GiB that the test maps itself: only where that is quick";
  const std::int64_t n = kBeyondTwoToTheThirtyOne;
  const SparseMemory x(static_cast<std::size_t>(n) * sizeof(float));
  if (!x.get()) GTEST_SKIP() << "8 GiB of address space are not to be had here";
  for (const std::int64_t i : {std::int64_t{0}, n - 6, n - 1}) x.get()[i] = 2.0f;
  auto norm = output<float>(1);
  SquaredNorm p;
  p.x = x.get();
  p.n = n;
  p.norm = norm.get();
  auto scratch = workspace(kernels().squared_norm_workspace(p));
  p.workspace = scratch.get();
  kernels().squared_norm(stream(), p);
  EXPECT_EQ(download(norm)[0], 12.0f);
}

TEST_P(UpdateKernels, SgdAndAdamOfMoreThanTwoToTheThirtyOneElements) {
  if (GetParam() != "host")
    GTEST_SKIP() << "walks 8 GiB that the test maps itself: only where that is quick";
  const std::int64_t n = kBeyondTwoToTheThirtyOne, last = n - 1, middle = n - 6;
  const SparseMemory grad(static_cast<std::size_t>(n) * sizeof(float));
  const RepeatingMemory theta(n), m(n), v(n);
  if (!grad.get() || !theta.get() || !m.get() || !v.get())
    GTEST_SKIP() << "32 GiB of address space are not to be had here";
  grad.get()[middle] = grad.get()[last] = 4.0f;
  auto scalars = upload(std::vector<float>{0.5f, 1.0f, 1.0f, 0.0f});
  const auto* device_scalars = reinterpret_cast<const UpdateScalars*>(scalars.get());
  SgdUpdate sgd;
  sgd.n = n;
  sgd.theta = theta.get();
  sgd.grad = grad.get();
  sgd.scalars = device_scalars;
  kernels().sgd_update(stream(), sgd);
  for (const std::int64_t i : {middle, last}) EXPECT_EQ(theta.get()[i], -2.0f) << i;
  EXPECT_EQ(theta.get()[last - 1], 0.0f);
  AdamUpdate adam;
  adam.n = n;
  adam.theta = theta.get();
  adam.grad = grad.get();
  adam.m = m.get();
  adam.v = v.get();
  adam.scalars = device_scalars;
  adam.beta1 = 0.5f;
  adam.beta2 = 0.75f;
  adam.epsilon = 0.0625f;
  kernels().adam_update(stream(), adam);
  for (const std::int64_t i : {middle, last}) {
    EXPECT_EQ(m.get()[i], 2.0f) << i;
    EXPECT_EQ(v.get()[i], 4.0f) << i;
    EXPECT_FLOAT_EQ(theta.get()[i], -2.0f - 0.5f * 2.0f / 2.0625f) << i;
  }
}

CURVSEG_INSTANTIATE_TARGETS(UpdateKernels);

}  // namespace
}  // namespace curvseg::testing
