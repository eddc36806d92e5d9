// Gradient descent into sets and over diagonals against the double reference, on every target.
#include <cmath>
#include <limits>
#include <string>

#include "reference/update.hpp"
#include "support/random_data.hpp"
#include "support/rounding.hpp"
#include "support/schedules.hpp"
#include "support/targets.hpp"

namespace curvseg::testing {
namespace {

using Floats = std::vector<float>;
using Sizes = std::vector<reference::Sized>;

constexpr float kInfinity = std::numeric_limits<float>::infinity();

TEST(CorrectedUpdateReference, ByHand) {
  // Clipped by half, the move is 0.5·0.25·½·8·2 = 1.
  const reference::Step step{.learning_rate = 0.25, .max_norm = 1.0, .squared_norm = 4.0};
  EXPECT_EQ(reference::descended(step, 0.5, 3.0, 8.0, 2.0).value, 2.0);
  const Sizes theta{{3.0, 1.0}, {-4.0, 1.0}};
  EXPECT_EQ(reference::projected_on_box(theta, -1.0, 2.0)[1].value, -1.0);
  EXPECT_NEAR(reference::projected_on_ball(theta, 1.0)[0].value, 0.6, 1e-15);
  EXPECT_EQ(reference::projected_on_ball(theta, 6.0)[1].value, -4.0);
  // m = ½·2 + ½·4 = 3 over max(2·√(¼·16), 1) = 4, bounded by ½; decay 1 − 0.1.
  const auto next = reference::damped_diagonal(
      {.learning_rate = 1.0, .decoupled_l2 = 0.1},
      {.beta1 = 0.5, .gamma = 2.0, .epsilon = 1.0, .largest = 0.5, .weight = 0.25, .root = true},
      10.0, 4.0, 2.0, 16.0);
  EXPECT_EQ(next.m.value, 3.0);
  EXPECT_EQ(next.theta.value, 8.5);
}

class CorrectedUpdate : public TargetTest {
 protected:
  std::vector<std::size_t> sizes() const {
    if (emulated()) return {1, 131};
    return {1, 17, 1037};
  }

  /// Leaves the new theta in `theta`; `factor` and `squared_norm` may be nullptr.
  void project(ProjectedUpdate p, const UpdateScalars& scalars, const Floats& grad,
               const float* squared_norm, const float* factor, Floats& theta) const {
    auto device_theta = upload(theta), device_grad = upload(grad);
    auto device_scalars = upload(std::vector<UpdateScalars>{scalars});
    auto norm = upload(Floats{squared_norm ? *squared_norm : NAN});
    auto device_factor = upload(Floats{factor ? *factor : NAN});
    p.n = static_cast<std::int64_t>(theta.size());
    auto scratch = workspace(kernels().projected_update_workspace(p));
    p.theta = device_theta.get();
    p.grad = device_grad.get();
    p.scalars = device_scalars.get();
    p.squared_norm = squared_norm ? norm.get() : nullptr;
    p.factor = factor ? device_factor.get() : nullptr;
    p.workspace = scratch.get();
    kernels().projected_update(stream(), p);
    theta = download(device_theta);
  }

  struct Preconditioner {
    const Floats* inverse = nullptr;  // or the other three
    Floats* v = nullptr;
    const Floats* value = nullptr;
    MeanWeights weights = {};
    float damping = 0.0f;
  };
  void precondition(const Preconditioner& by, float rate, const Floats& grad, const float* factor,
                    Floats& theta) const {
    auto device_theta = upload(theta), device_grad = upload(grad);
    auto device_scalars = upload(std::vector<UpdateScalars>{{.learning_rate = rate}});
    auto device_factor = upload(Floats{factor ? *factor : NAN});
    auto inverse = upload(by.inverse ? *by.inverse : Floats{});
    auto v = upload(by.v ? *by.v : Floats{}), value = upload(by.value ? *by.value : Floats{});
    auto weights = upload(std::vector<MeanWeights>{by.weights});
    kernels().preconditioned_update(stream(), {.n = static_cast<std::int64_t>(theta.size()),
                                               .theta = device_theta.get(),
                                               .grad = device_grad.get(),
                                               .inverse = by.inverse ? inverse.get() : nullptr,
                                               .v = v.get(),
                                               .value = value.get(),
                                               .weights = weights.get(),
                                               .damping = by.damping,
                                               .scalars = device_scalars.get(),
                                               .factor = factor ? device_factor.get() : nullptr});
    theta = download(device_theta);
    if (by.v) *by.v = download(v);
  }

  void damp(DampedDiagonalUpdate p, const UpdateScalars& scalars, float weight, const Floats& grad,
            const Floats& h, const float* squared_norm, const float* factor, Floats& theta,
            Floats& m) const {
    auto device_theta = upload(theta), device_m = upload(m);
    auto device_grad = upload(grad), device_h = upload(h);
    auto device_scalars = upload(std::vector<UpdateScalars>{scalars});
    auto weights = upload(std::vector<MeanWeights>{{.weight = weight}});
    auto norm = upload(Floats{squared_norm ? *squared_norm : NAN});
    auto device_factor = upload(Floats{factor ? *factor : NAN});
    p.n = static_cast<std::int64_t>(theta.size());
    p.theta = device_theta.get();
    p.grad = device_grad.get();
    p.m = device_m.get();
    p.h = device_h.get();
    p.weights = weights.get();
    p.scalars = device_scalars.get();
    p.squared_norm = squared_norm ? norm.get() : nullptr;
    p.factor = factor ? device_factor.get() : nullptr;
    kernels().damped_diagonal_update(stream(), p);
    theta = download(device_theta);
    m = download(device_m);
  }

  Floats mean_of(const Floats& d, const Floats& h, const MeanWeights& weights,
                 const float* coefficient, bool square) const {
    auto device_d = upload(d), device_h = upload(h);
    auto device_weights = upload(std::vector<MeanWeights>{weights});
    auto device_coefficient = upload(Floats{coefficient ? *coefficient : NAN});
    kernels().diagonal_mean(stream(),
                            {.n = static_cast<std::int64_t>(d.size()),
                             .d = device_d.get(),
                             .h = device_h.get(),
                             .weights = device_weights.get(),
                             .coefficient = coefficient ? device_coefficient.get() : nullptr,
                             .square = square});
    return download(device_h);
  }
};

void expect_sized(const Floats& actual, const Sizes& expected, double epsilons) {
  std::vector<double> value, bound;
  for (const reference::Sized& each : expected) {
    value.push_back(each.value);
    bound.push_back(epsilons * kEpsilon * each.size + std::numeric_limits<float>::denorm_min());
  }
  expect_within(actual, value, bound);
}

TEST_P(CorrectedUpdate, ProjectionsByHand) {
  const Floats grad{8.0f, -8.0f, 0.0f, 4.0f};
  const Floats start{1.0f, 1.0f, 3.0f, 0.5f};
  Floats theta = start;
  project({}, {.learning_rate = 0.5f}, grad, nullptr, nullptr, theta);
  EXPECT_EQ(theta, (Floats{-3.0f, 5.0f, 3.0f, -1.5f}));
  theta = start;
  project({.low = -1.0f, .high = 2.0f}, {.learning_rate = 0.5f}, grad, nullptr, nullptr, theta);
  EXPECT_EQ(theta, (Floats{-1.0f, 2.0f, 2.0f, -1.0f}));
  // The norm of (−3, 4, 0, 0) is 5.
  theta = {1.0f, 0.0f, 0.0f, 2.0f};
  project({.radius = 2.5f}, {.learning_rate = 0.5f}, grad, nullptr, nullptr, theta);
  EXPECT_EQ(theta, (Floats{-1.5f, 2.0f, 0.0f, 0.0f}));
  theta = {1.0f, 0.0f, 0.0f, 2.0f};
  project({.radius = 5.0f}, {.learning_rate = 0.5f}, grad, nullptr, nullptr, theta);
  EXPECT_EQ(theta, (Floats{-3.0f, 4.0f, 0.0f, 0.0f}));
  // Half of the step, of a gradient clipped to half.
  theta = start;
  const float factor = 0.5f, squared_norm = 16.0f;
  project({}, {.learning_rate = 0.5f, .max_norm = 2.0f}, grad, &squared_norm, &factor, theta);
  EXPECT_EQ(theta, (Floats{0.0f, 2.0f, 3.0f, 0.0f}));
}

TEST_P(CorrectedUpdate, ProjectionsAgreeWithTheReference) {
  const float factor = 0.75f;
  for (const std::size_t n : sizes())
    for (const float max_norm : {0.0f, 0.5f, 1e6f}) {
      const Floats start = uniform_floats(n, 10), grad = uniform_floats(n, 11);
      const float squared_norm = 7.0f;
      const reference::Step step{
          .learning_rate = 0.3f, .max_norm = max_norm, .squared_norm = squared_norm};
      Sizes expected;
      for (std::size_t i = 0; i < n; ++i)
        expected.push_back(reference::descended(step, factor, start[i], grad[i], 1.0));
      const UpdateScalars scalars{.learning_rate = 0.3f, .max_norm = max_norm};
      Floats theta = start;
      project({}, scalars, grad, &squared_norm, &factor, theta);
      expect_sized(theta, expected, 4.0);
      theta = start;
      project({.low = -0.25f, .high = 0.5f}, scalars, grad, &squared_norm, &factor, theta);
      expect_sized(theta, reference::projected_on_box(expected, -0.25, 0.5), 4.0);
      for (const float radius : {1e-3f, 1e3f}) {
        theta = start;
        project({.radius = radius}, scalars, grad, &squared_norm, &factor, theta);
        expect_sized(theta, reference::projected_on_ball(expected, radius), 8.0);
      }
    }
}

TEST_P(CorrectedUpdate, ANanIsSeen) {
  for (const ProjectedUpdate& set : {ProjectedUpdate{}, ProjectedUpdate{.low = -1.0f, .high = 1.0f},
                                     ProjectedUpdate{.radius = 1.0f}}) {
    Floats theta{0.5f, 0.5f};
    project(set, {.learning_rate = 1.0f}, {NAN, 0.0f}, nullptr, nullptr, theta);
    EXPECT_TRUE(std::isnan(theta[0]));
  }
  Floats theta{0.5f}, m{0.0f};
  damp({.largest = 1.0f}, {.learning_rate = 1.0f}, 1.0f, {1.0f}, {NAN}, nullptr, nullptr, theta, m);
  EXPECT_TRUE(std::isnan(theta[0]));
}

TEST_P(CorrectedUpdate, AFactorOfZeroChangesNothing) {
  const Floats start{0.5f, -0.25f}, nan{NAN, NAN};
  const float zero = 0.0f, squared_norm = NAN;
  const UpdateScalars scalars{.learning_rate = 1.0f, .max_norm = 1.0f};
  Floats theta = start;
  project({}, scalars, nan, &squared_norm, &zero, theta);
  project({.low = -0.1f, .high = 0.1f}, scalars, nan, &squared_norm, &zero, theta);
  project({.radius = 0.1f}, scalars, nan, &squared_norm, &zero, theta);
  EXPECT_EQ(theta, start);
  Floats v{1.0f, 2.0f}, m = start;
  precondition({.v = &v, .value = &nan, .weights = {.keep = 0.5f, .take = 0.5f}}, 1.0f, nan, &zero,
               theta);
  precondition({.inverse = &nan}, 1.0f, nan, &zero, theta);
  damp({.decoupled_l2 = 1.0f}, scalars, 1.0f, nan, nan, &squared_norm, &zero, theta, m);
  EXPECT_EQ(theta, start);
  EXPECT_EQ(v, (Floats{1.0f, 2.0f}));
  EXPECT_EQ(m, start);
}

TEST_P(CorrectedUpdate, PreconditionsByHand) {
  Floats theta{1.0f, 1.0f}, v{2.0f, 0.0f};
  const Floats grad{4.0f, 2.0f}, value{6.0f, 4.0f}, inverse{0.5f, 3.0f};
  precondition(
      {.v = &v, .value = &value, .weights = {.keep = 0.75f, .take = 0.25f}, .damping = 1.0f}, 0.5f,
      grad, nullptr, theta);
  EXPECT_EQ(v, (Floats{3.0f, 1.0f}));
  EXPECT_EQ(theta, (Floats{0.5f, 0.5f}));
  const float factor = 0.5f;
  precondition({.inverse = &inverse}, 0.5f, grad, &factor, theta);
  EXPECT_EQ(theta, (Floats{0.0f, -1.0f}));
}

TEST_P(CorrectedUpdate, PreconditioningAgreesWithTheReference) {
  for (const std::size_t n : sizes()) {
    Floats theta = uniform_floats(n, 20), v = uniform_floats(n, 21), value = uniform_floats(n, 22);
    const Floats grad = uniform_floats(n, 23), inverse = uniform_floats(n, 24);
    for (std::size_t i = 0; i < n; ++i) v[i] = std::fabs(v[i]), value[i] = std::fabs(value[i]);
    const MeanWeights weights{.keep = 0.9f, .take = 0.1f};
    const reference::Step step{.learning_rate = 0.3f};
    Sizes means, expected, expected_given;
    for (std::size_t i = 0; i < n; ++i) {
      const double mean = double{weights.keep} * v[i] + double{weights.take} * value[i];
      means.push_back({mean, mean});
      expected.push_back(reference::descended(step, 1.0, theta[i], grad[i], 1.0 / (mean + 0.125)));
      expected_given.push_back(reference::descended(step, 1.0, theta[i], grad[i], inverse[i]));
    }
    Floats given = theta;
    precondition({.inverse = &inverse}, 0.3f, grad, nullptr, given);
    precondition({.v = &v, .value = &value, .weights = weights, .damping = 0.125f}, 0.3f, grad,
                 nullptr, theta);
    expect_sized(v, means, 2.0);
    expect_sized(theta, expected, 6.0);
    expect_sized(given, expected_given, 4.0);
  }
}

TEST_P(CorrectedUpdate, TheDiagonalsMean) {
  const float coefficient = 2.0f;
  const MeanWeights half{.keep = 0.5f, .take = 0.5f}, none{.keep = 1.0f, .take = 0.0f};
  const Floats d{3.0f, -2.0f, 0.0f}, h{1.0f, 4.0f, 2.0f};
  EXPECT_EQ(mean_of(d, h, half, nullptr, false), (Floats{2.0f, 1.0f, 1.0f}));
  EXPECT_EQ(mean_of(d, h, half, nullptr, true), (Floats{5.0f, 4.0f, 1.0f}));
  EXPECT_EQ(mean_of(d, h, half, &coefficient, true), (Floats{9.5f, 6.0f, 1.0f}));
  EXPECT_EQ(mean_of({NAN, NAN, NAN}, h, none, &coefficient, true), h);
}

TEST_P(CorrectedUpdate, ColumnMeansOfAbsoluteValues) {
  for (const auto& [rows, columns] : {std::pair{1, 5}, {4, 1}, {4, 3}, {8, 300}}) {
    const auto n = static_cast<std::size_t>(rows * columns);
    const Floats x = small_integers(n, 30, 9);
    auto device_x = upload(x);
    kernels().column_means(stream(), {.rows = rows, .columns = columns, .x = device_x.get()});
    const Floats means = download(device_x);
    for (std::size_t i = 0; i < n; ++i) {
      float sum = 0.0f;
      for (std::size_t j = i % static_cast<std::size_t>(columns); j < n;
           j += static_cast<std::size_t>(columns))
        sum += std::fabs(x[j]);
      EXPECT_EQ(means[i], sum / static_cast<float>(rows)) << i;
    }
  }
}

TEST_P(CorrectedUpdate, DampedDiagonalByHand) {
  // The reference's example; a curvature below 0 is as ε.
  Floats theta{10.0f, 1.0f}, m{2.0f, 0.0f};
  const float factor = 0.5f;
  damp({.beta1 = 0.5f,
        .gamma = 2.0f,
        .epsilon = 1.0f,
        .largest = 0.5f,
        .decoupled_l2 = 0.125f,
        .root = true,
        .biased = true},
       {.learning_rate = 2.0f}, 0.25f, {4.0f, 0.25f}, {16.0f, 0.0f}, nullptr, &factor, theta, m);
  EXPECT_EQ(m, (Floats{3.0f, 0.125f}));
  EXPECT_EQ(theta, (Floats{10.0f * 0.875f - 0.5f, 0.875f - 0.125f}));
  theta = {1.0f};
  m = {0.0f};
  damp({.beta1 = 0.5f, .gamma = 1.0f, .epsilon = 0.25f, .largest = kInfinity},
       {.learning_rate = 1.0f, .bias_correction1 = 0.5f}, 0.0f, {4.0f}, {-8.0f}, nullptr, nullptr,
       theta, m);
  EXPECT_EQ(theta[0], 1.0f - 16.0f);
}

TEST_P(CorrectedUpdate, DampedDiagonalAgreesWithTheReference) {
  for (const std::size_t n : sizes())
    for (const bool root : {false, true})
      for (const bool biased : {false, true})
        for (const float largest : {1.0f, kInfinity}) {
          Floats theta = uniform_floats(n, 40), m = uniform_floats(n, 41),
                 h = uniform_floats(n, 42);
          const Floats grad = uniform_floats(n, 43);
          if (root)
            for (float& each : h) each = each * each;
          const float squared_norm = 9.0f, factor = 0.5f;
          const UpdateScalars scalars{
              .learning_rate = 0.1f, .bias_correction1 = 0.3f, .max_norm = 2.0f};
          const reference::Step step{.learning_rate = 0.1f * 0.5f,
                                     .max_norm = 2.0,
                                     .squared_norm = squared_norm,
                                     .decoupled_l2 = 0.2f};
          const reference::DampedDiagonal options{.beta1 = 0.9f,
                                                  .gamma = 0.5f,
                                                  .epsilon = 0.01f,
                                                  .largest = largest,
                                                  .bias_correction1 = 0.3f,
                                                  .weight = biased ? 0.4f : 1.0f,
                                                  .root = root};
          Sizes theta_next, m_next;
          for (std::size_t i = 0; i < n; ++i) {
            const auto next =
                reference::damped_diagonal(step, options, theta[i], grad[i], m[i], h[i]);
            theta_next.push_back(next.theta);
            m_next.push_back(next.m);
          }
          damp({.beta1 = 0.9f,
                .gamma = 0.5f,
                .epsilon = 0.01f,
                .largest = largest,
                .decoupled_l2 = 0.2f,
                .root = root,
                .biased = biased},
               scalars, 0.4f, grad, h, &squared_norm, &factor, theta, m);
          expect_sized(m, m_next, 4.0);
          expect_sized(theta, theta_next, 8.0);
        }
}

TEST_P(CorrectedUpdate, InverseThreeQuarterPower) {
  auto x = upload(Floats{0.0f, 15.0f, 80.0f, 255.0f}), damping = upload(Floats{1.0f});
  auto to = output<float>(4);
  kernels().inverse_three_quarter_power(
      stream(), {.n = 4, .x = x.get(), .damping = damping.get(), .to = to.get()});
  EXPECT_EQ(download(to), (Floats{1.0f, 0.125f, 1.0f / 27.0f, 1.0f / 64.0f}));
  for (const std::size_t n : sizes()) {
    Floats some = uniform_floats(n, 50);
    for (float& each : some) each = each * each * 1e-3f;
    auto in_place = upload(some), lambda = upload(Floats{1e-6f});
    kernels().inverse_three_quarter_power(stream(), {.n = static_cast<std::int64_t>(n),
                                                     .x = in_place.get(),
                                                     .damping = lambda.get(),
                                                     .to = in_place.get()});
    Sizes expected;
    for (const float each : some) {
      const double value = std::pow(double{each} + double{1e-6f}, -0.75);
      expected.push_back({value, value});
    }
    expect_sized(download(in_place), expected, 4.0);
  }
}

// Loss after loss: the rule, what is undone, and how steps shorten and lengthen.
TEST_P(CorrectedUpdate, TheGuardByHand) {
  auto loss = output<float>(1);
  auto state = upload(std::vector<GuardState>{{}});
  const auto judge = [&](float value) {
    loss.set({value});
    kernels().guard_step(
        stream(), {.loss = loss.get(), .state = state.get(), .factor = 2.0f, .margin = 0.0f});
    return download(state)[0];
  };
  GuardState s = judge(NAN);  // before any step: nothing to undo
  EXPECT_EQ(s.accepted, 0.0f);
  EXPECT_EQ(s.undo, 0.0f);
  EXPECT_EQ(s.keep, 1.0f);
  EXPECT_EQ(s.rate, 0.0f);
  s = judge(1.0f);
  EXPECT_EQ(s.accepted, 1.0f);
  EXPECT_EQ(s.loss_mean, 1.0f);
  EXPECT_EQ(s.rate, 0.5f) << "half, after the first loss";
  s = judge(2.0f);
  EXPECT_EQ(s.accepted, 1.0f) << "not above twice the mean";
  EXPECT_EQ(s.rejected, 1.0f);
  s = judge(1e3f);
  EXPECT_EQ(s.accepted, 0.0f);
  EXPECT_EQ(s.undo, 1.0f);
  EXPECT_EQ(s.keep, 0.0f);
  EXPECT_EQ(s.rate, 0.0f);
  EXPECT_EQ(s.rejected, 2.0f);
  const float trust = s.trust;
  EXPECT_NEAR(trust, 0.5f * 0.5f * 1.1f * 1.1f, 1e-6f);
  s = judge(1e3f);  // where nothing can be undone it is the batch that is hard
  EXPECT_EQ(s.accepted, 1.0f);
  EXPECT_EQ(s.rate, trust);
  s = judge(kInfinity);
  EXPECT_EQ(s.undo, 1.0f);
  for (int i = 0; i < 40; ++i) s = judge(1.0f);
  EXPECT_EQ(s.rate, 1.0f);
}

TEST_P(CorrectedUpdate, TheGuardOnEverySchedule) {
  expect_same_on_every_schedule(GetParam(), [&] {
    const auto state = upload(Floats(GuardState::kFloats, 0.0f));
    Floats all;
    for (const float value : {1.0f, 0.9f, 7.0f, 0.8f, kInfinity, 0.7f}) {
      const auto loss = upload(Floats{value});
      kernels().guard_step(
          stream(), {.loss = loss.get(), .state = reinterpret_cast<GuardState*>(state.get())});
      const Floats numbers = download(state);
      all.insert(all.end(), numbers.begin(), numbers.end());
    }
    return all;
  });
}

TEST_P(CorrectedUpdate, NothingToUpdate) {
  Floats theta, m, v;
  const Floats none;
  project({.radius = 1.0f}, {.learning_rate = 1.0f}, {}, nullptr, nullptr, theta);
  precondition({.v = &v, .value = &none}, 1.0f, {}, nullptr, theta);
  damp({}, {.learning_rate = 1.0f}, 1.0f, {}, {}, nullptr, nullptr, theta, m);
  EXPECT_TRUE(mean_of({}, {}, {}, nullptr, false).empty());
  kernels().column_means(stream(), {.rows = 3, .columns = 0, .x = nullptr});
  EXPECT_TRUE(theta.empty());
}

TEST_P(CorrectedUpdate, EveryScheduleGivesTheSameBits) {
  const std::size_t n = emulated() ? 40'003 : 100'003;  // several blocks
  const Floats grad = uniform_floats(n, 60), start = uniform_floats(n, 61);
  expect_same_on_every_schedule(GetParam(), [&] {
    Floats theta = start, m(n, 0.0f);
    project({.radius = 3.0f}, {.learning_rate = 0.1f}, grad, nullptr, nullptr, theta);
    damp({.largest = 1.0f}, {.learning_rate = 0.1f}, 1.0f, grad, start, nullptr, nullptr, theta, m);
    theta.insert(theta.end(), m.begin(), m.end());
    return theta;
  });
}

CURVSEG_INSTANTIATE_TARGETS(CorrectedUpdate);

}  // namespace
}  // namespace curvseg::testing
