// Steps from a two-dimensional quadratic model, on every target.
#include "quadratic/quadratic.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <optional>
#include <random>
#include <vector>

#include "reference/quadratic.hpp"
#include "support/schedules.hpp"
#include "support/targets.hpp"

namespace curvseg::testing {
namespace {

using reference::Measured;

class QuadraticStepKernel : public TargetTest {
 protected:
  void SetUp() override {
    TargetTest::SetUp();
    if (IsSkipped()) return;
    state_.emplace(upload(std::vector<float>(QuadraticState::kFloats, 0.0f)));
  }

  QuadraticState state() const {
    const std::vector<float> numbers = download(*state_);
    QuadraticState result;
    std::memcpy(static_cast<void*>(&result), numbers.data(), sizeof(result));
    return result;
  }
  void forget() const { state_->set(std::vector<float>(QuadraticState::kFloats, 0.0f)); }
  QuadraticState* device_state() const { return reinterpret_cast<QuadraticState*>(state_->get()); }

  QuadraticState judge(float loss) const {
    auto memory = upload(std::vector<float>{loss});
    JudgeLoss p;
    p.loss = memory.get();
    p.state = device_state();
    kernels().judge_loss(stream(), p);
    return state();
  }

  static float f(double x) { return static_cast<float>(x); }

  QuadraticState step(const Measured& m, float factor = 1.0f, float smoothing = 0.8f) const {
    QuadraticStep p;
    p.smoothing = smoothing;
    return launch({f(m.dgd), f(m.dgp), f(m.pgp)}, {f(m.gd), f(m.dd), f(m.gp), f(m.dp), f(m.pp)},
                  factor, p);
  }

  /// Without p there are no more numbers than these.
  QuadraticState step_along_d(const Measured& m, float factor, float curvature_smoothing,
                              bool measures) const {
    QuadraticStep p;
    p.previous_direction = false;
    p.curvature_smoothing = curvature_smoothing;
    return launch(measures ? std::vector<float>{f(m.dgd)} : std::vector<float>{},
                  {f(m.gd), f(m.dd), f(m.md)}, factor, p);
  }

 private:
  QuadraticState launch(const std::vector<float>& form, const std::vector<float>& products,
                        float factor, QuadraticStep p) const {
    auto device_form = upload(form), device_products = upload(products);
    auto device_factor = upload(std::vector<float>{factor});
    p.form = form.empty() ? nullptr : device_form.get();
    p.products = device_products.get();
    p.factor = device_factor.get();
    p.state = device_state();
    kernels().quadratic_step(stream(), p);
    return state();
  }

  mutable std::optional<DeviceBuffer<float>> state_;
};

/// Numbers that a positive definite G and three vectors have: small whole numbers and halves, exact
/// in float.
Measured measured(std::mt19937& engine) {
  const auto pick = [&engine] { return 0.5 * (static_cast<double>(engine() % 9) - 4.0); };
  const double d0 = pick() + 5.0, d1 = pick(), p0 = pick(), p1 = pick() + 5.0;
  const double g0 = pick() + 3.0, g1 = pick();
  return {2.0 * d0 * d0 + d1 * d1, 2.0 * d0 * p0 + d1 * p1, 2.0 * p0 * p0 + p1 * p1,
          g0 * d0 + g1 * d1,       g0 * p0 + g1 * p1,       d0 * d0 + d1 * d1,
          d0 * p0 + d1 * p1,       p0 * p0 + p1 * p1,       1.5 * d0 * d0 + 0.5 * d1 * d1};
}

void expect_near(float actual, double expected, const char* what) {
  // The state is in float, and a solution is a difference of products.
  EXPECT_TRUE(std::fabs(actual - expected) <= 1e-5 * std::fabs(expected) + 1e-6)
      << what << " is " << actual << ", expected " << expected;
}

TEST_P(QuadraticStepKernel, FollowsTheReferenceOverManySteps) {
  for (unsigned seed = 0; seed < 20; ++seed) {
    SCOPED_TRACE(seed);
    SetUp();
    std::mt19937 engine(seed);
    reference::QuadraticModel model(0.01f, 0.8f, 0.05f);
    for (int i = 0; i < 8; ++i) {
      judge(1.0f);
      const Measured m = measured(engine);
      const bool has_previous = state().has_previous != 0.0f;
      EXPECT_EQ(has_previous, i > 0);
      const reference::Step expected = model.step(m, has_previous);
      const QuadraticState actual = step(m, 0.5f);
      expect_near(actual.alpha, expected.alpha, "alpha");
      expect_near(actual.mu, expected.mu, "mu");
      expect_near(actual.along_d, -expected.alpha * expected.scale * 0.5, "along d");
      expect_near(actual.along_p, expected.mu * expected.scale * 0.5, "along p");
    }
  }
}

TEST_P(QuadraticStepKernel, WithoutThePreviousStepItIsAModelOfOneDirection) {
  std::mt19937 engine(77);
  reference::QuadraticModel model(0.01f, 0.8f, 0.05f);
  for (int i = 0; i < 8; ++i) {
    judge(1.0f);
    const Measured m = measured(engine);
    const reference::Step expected = model.step(m, /*has_previous=*/false);
    const QuadraticState actual = step_along_d(m, 0.5f, 0.0f, /*measures=*/true);
    expect_near(actual.alpha, expected.alpha, "alpha");
    expect_near(actual.along_d, -expected.alpha * expected.scale * 0.5, "along d");
    EXPECT_EQ(actual.mu, 0.0f);
    EXPECT_EQ(actual.along_p, 0.0f);
    EXPECT_EQ(actual.has_previous, 1.0f);  // it can be taken back all the same
  }
}

TEST_P(QuadraticStepKernel, CurvatureOfOneDirectionIsSmoothedAndNeedNotBeMeasured) {
  std::mt19937 engine(78);
  reference::QuadraticModel model(0.01f, 0.8f, 0.05f);
  for (int i = 0; i < 12; ++i) {
    SCOPED_TRACE(i);
    const bool measures = i < 3 || i % 3 == 0;
    judge(1.0f);
    const Measured m = measured(engine);
    const reference::Step expected = model.smoothed_step(m, double(0.7f), measures);
    const QuadraticState actual = step_along_d(m, 0.5f, 0.7f, measures);
    expect_near(actual.alpha, expected.alpha, "alpha");
    expect_near(actual.along_d, -expected.alpha * expected.scale * 0.5, "along d");
  }
}

TEST_P(QuadraticStepKernel, WithoutACurvatureNothingMoves) {
  Measured m{4.0, 0.0, 0.0, 0.5, 0.0, 1.0, 0.0, 0.0, 2.0};
  judge(1.0f);
  EXPECT_EQ(step_along_d(m, 1.0f, 0.5f, /*measures=*/false).along_d, 0.0f);
  m.dgd = 0.0;
  judge(1.0f);
  EXPECT_EQ(step_along_d(m, 1.0f, 0.5f, /*measures=*/true).along_d, 0.0f);
  m.dgd = 4.0;
  judge(1.0f);
  const float first = step_along_d(m, 1.0f, 0.5f, /*measures=*/true).along_d;
  EXPECT_LT(first, 0.0f);
  m.dgd = 0.0;  // of images without a label: as if nothing were measured
  judge(1.0f);
  expect_near(step_along_d(m, 1.0f, 0.5f, /*measures=*/true).along_d, double{first}, "along d");
  for (const double lost :
       {std::numeric_limits<double>::quiet_NaN(), std::numeric_limits<double>::infinity()}) {
    m.dgd = lost;
    judge(1.0f);
    EXPECT_EQ(step_along_d(m, 1.0f, 0.5f, /*measures=*/true).along_d, 0.0f);
  }
  m.dgd = 4.0;
  judge(1.0f);
  expect_near(step_along_d(m, 1.0f, 0.5f, /*measures=*/false).along_d, double{first}, "along d");
}

TEST_P(QuadraticStepKernel, FirstStepMinimisesTheModelAlongTheDirection) {
  judge(1.0f);
  // ½·0.02·(4 + 0.01·1)·… small enough for the trust region.
  const QuadraticState s = step({4.0, 0.0, 0.0, 0.5, 0.0, 1.0, 0.0, 0.0});
  expect_near(s.along_d, -0.5 / (4.0 + double(0.01f)), "along d");
  EXPECT_EQ(s.along_p, 0.0f);
  expect_near(s.decrease, 0.5 * 0.25 / (4.0 + double(0.01f)), "decrease");
}

TEST_P(QuadraticStepKernel, WithoutSmoothingNoNeighbourIsBetter) {
  std::mt19937 engine(7);
  for (int i = 0; i < 20; ++i) {
    judge(1.0f);
    Measured m = measured(engine);
    m.gd *= 0.01;  // inside the trust region
    m.gp *= 0.01;
    const QuadraticState s = step(m, 1.0f, 0.0f);
    if (s.mu == 0.0f || s.mu == 1.0f || s.alpha == 0.0f) continue;
    const double lambda = double(0.01f);
    const double c = std::fabs(m.dgp + lambda * m.dp) /
                     std::sqrt((m.dgd + lambda * m.dd) * (m.pgp + lambda * m.pp));
    if (c > 0.95) continue;  // clamped: another model
    const auto phi = [&](double a, double u) {
      return -a * m.gd + u * m.gp + 0.5 * a * a * (m.dgd + lambda * m.dd) -
             a * u * (m.dgp + lambda * m.dp) + 0.5 * u * u * (m.pgp + lambda * m.pp);
    };
    const double a = s.alpha, u = s.mu, best = phi(a, u);
    expect_near(s.decrease, -best, "decrease");
    for (const double h : {1e-3, -1e-3}) {
      EXPECT_GT(phi(a + h, u), best);
      EXPECT_GT(phi(a, u + h), best);
    }
  }
}

TEST_P(QuadraticStepKernel, TrustRegionBoundsTheChangeOfTheOutput) {
  judge(1.0f);
  const QuadraticState s = step({4.0, 0.0, 0.0, 40.0, 0.0, 1.0, 0.0, 0.0});
  expect_near(0.5f * s.along_d * s.along_d * 4.0f, 0.05, "the change");
  EXPECT_LT(s.along_d, 0.0f);
}

TEST_P(QuadraticStepKernel, TakesBackAStepThatRaisedTheLoss) {
  judge(1.0f);
  const Measured m{4.0, 0.5, 2.0, 0.5, 0.1, 1.0, 0.25, 1.0};
  step(m);
  const QuadraticState judged = judge(1.7f);  // above 1.5 · 1 + 0.1
  EXPECT_EQ(judged.accepted, 0.0f);
  EXPECT_EQ(judged.keep, 1.0f);
  EXPECT_EQ(judged.take, 0.0f);
  EXPECT_EQ(judged.loss_mean, 1.0f);
  const QuadraticState undone = step(m);
  EXPECT_EQ(undone.along_d, 0.0f);
  EXPECT_EQ(undone.along_p, -1.0f);
  EXPECT_EQ(undone.rejected, 1.0f);
  EXPECT_EQ(undone.radius, 0.05f * 0.25f);
  // There is nothing left to take back: the same loss is now what the data are like.
  EXPECT_EQ(judge(1.7f).accepted, 1.0f);
  const QuadraticState next = step(m);
  EXPECT_LT(next.along_d, 0.0f);
  EXPECT_EQ(next.along_p, 0.0f);
  expect_near(next.radius, 0.05 * 0.25 * double(1.1f), "radius");
}

TEST_P(QuadraticStepKernel, LossJustBelowTheLimitIsAccepted) {
  judge(1.0f);
  step({4.0, 0.5, 2.0, 0.5, 0.1, 1.0, 0.25, 1.0});
  EXPECT_EQ(judge(1.59f).accepted, 1.0f);
}

// The rule from the whole history, over losses that scatter so much that a fixed margin would take
// back a step now and then.
TEST_P(QuadraticStepKernel, LossesThatScatterAreNotFailures) {
  const Measured m{4.0, 0.5, 2.0, 0.5, 0.1, 1.0, 0.25, 1.0};
  std::mt19937 engine(11);
  std::vector<double> losses, squares;
  bool can_undo = false;
  int beyond_the_margin = 0, refused = 0;
  for (int i = 0; i < 300; ++i) {
    SCOPED_TRACE(i);
    const auto loss =
        i % 23 == 22 ? 4.0f : static_cast<float>(0.3 + 1.6 * double(engine() % 1000) / 999.0);
    const double mean = losses.empty() ? loss : reference::weighted_mean(losses, 0.9f);
    const double usual = 0.5 * mean + double(0.1f);
    const double scatter = squares.empty() ? 0.0 : reference::weighted_mean(squares, 0.9f);
    const double limit = std::clamp(4.0 * std::sqrt(scatter), usual, 2.0 * usual);
    const bool expected = !can_undo || loss - mean <= limit;
    const QuadraticState s = judge(loss);
    ASSERT_EQ(s.accepted, expected ? 1.0f : 0.0f) << loss << " after a mean of " << mean;
    refused += expected ? 0 : 1;
    beyond_the_margin += expected && can_undo && loss - mean > usual ? 1 : 0;
    if (expected) {
      const double deviation = std::clamp(loss - mean, -2.0 * usual, 2.0 * usual);
      squares.push_back(losses.empty() ? 0.0 : deviation * deviation);
      losses.push_back(loss);
      expect_near(s.loss_mean, reference::weighted_mean(losses, 0.9f), "mean");
      expect_near(s.loss_variance, reference::weighted_mean(squares, 0.9f), "variance");
    }
    step(m);
    can_undo = expected;
  }
  EXPECT_GE(beyond_the_margin, 5) << "or this tests nothing";
  EXPECT_GE(refused, 1) << "or the bound is not tested";
}

// Ten per cent of scatter, then a loss that grows by a sixth a step: it must not become its own
// measure.
TEST_P(QuadraticStepKernel, LossThatGrowsStepByStepIsTakenBack) {
  const Measured m{4.0, 0.5, 2.0, 0.5, 0.1, 1.0, 0.25, 1.0};
  std::mt19937 engine(5);
  const auto scatter = [&engine] { return 0.9 + 0.2 * double(engine() % 1000) / 999.0; };
  for (int i = 0; i < 60; ++i) {
    judge(static_cast<float>(scatter()));
    step(m);
  }
  ASSERT_EQ(state().rejected, 0.0f);
  double loss = 1.0;
  for (int i = 0; i < 12; ++i) {
    judge(static_cast<float>((loss *= 7.0 / 6.0) * scatter()));
    step(m);
  }
  EXPECT_GT(state().rejected, 0.0f);
}

TEST_P(QuadraticStepKernel, LossThatIsNotFiniteNeverCounts) {
  for (const float bad :
       {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
    SetUp();
    const QuadraticState first = judge(bad);
    EXPECT_EQ(first.accepted, 0.0f);
    EXPECT_EQ(first.loss_weight, 0.0f);
    const Measured m{4.0, 0.5, 2.0, 0.5, 0.1, 1.0, 0.25, 1.0};
    QuadraticState s = step(m);
    EXPECT_EQ(s.along_d, 0.0f);
    EXPECT_EQ(s.along_p, 0.0f);  // there is no step to take back
    judge(1.0f);
    step(m);
    judge(bad);
    s = step(m);
    EXPECT_EQ(s.along_p, -1.0f);
    EXPECT_EQ(s.rejected, 2.0f);
  }
}

TEST_P(QuadraticStepKernel, StaysWhereTheModelMeansNothing) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  for (const double dgd : {nan, 0.0, std::numeric_limits<double>::infinity()})
    for (const double dd : {0.0, 1.0}) {  // λ alone makes no model: nothing would bound its step
      SetUp();
      judge(1.0f);
      const QuadraticState s = step({dgd, 0.0, 0.0, 0.5, 0.0, dd, 0.0, 0.0});
      EXPECT_EQ(s.along_d, 0.0f);
      EXPECT_EQ(s.along_p, 0.0f);
      EXPECT_EQ(s.weight_d, 0.0f);
    }
}

TEST_P(QuadraticStepKernel, MeansWeighTheirValuesByAge) {
  auto weights = upload(std::vector<float>(MeanWeights::kFloats, 0.0f));
  auto accepted = upload(std::vector<float>{1.0f}), rejected = upload(std::vector<float>{0.0f});
  const std::vector<double> values = {3.0, -1.0, 4.0, 1.0};
  std::vector<double> taken;
  double mean = 0.0;
  for (std::size_t i = 0; i < values.size(); ++i) {
    AdvanceMean p;
    p.weights = reinterpret_cast<MeanWeights*>(weights.get());
    p.accepted = i == 2 ? rejected.get() : i == 3 ? nullptr : accepted.get();
    p.decay = 0.9f;
    kernels().advance_mean(stream(), p);
    const std::vector<float> w = download(weights);
    mean = double(w[1]) * mean + double(w[2]) * values[i];
    if (i != 2) taken.push_back(values[i]);
    EXPECT_NEAR(mean, reference::weighted_mean(taken, double(0.9f)), 1e-6) << i;
    EXPECT_NEAR(w[3] * w[3], w[2], 1e-7);
  }
}

class RateStepKernel : public QuadraticStepKernel {
 protected:
  /// {slope, curvature, steps, rate, trust} after it.
  std::vector<float> rate_step(DeviceBuffer<float>& rate, const float* form, float slope,
                               float factor = 1.0f) const {
    auto device_form = upload(std::vector<float>{form ? *form : 0.0f});
    auto products = upload(std::vector<float>{slope});
    auto device_factor = upload(std::vector<float>{factor});
    RateStep p;
    p.form = form ? device_form.get() : nullptr;
    p.products = products.get();
    p.factor = device_factor.get();
    p.state = device_state();
    p.rate = reinterpret_cast<RateState*>(rate.get());
    kernels().rate_step(stream(), p);
    return download(rate);
  }
};

TEST_P(RateStepKernel, MeasuresKeepsAndHalvesTheRate) {
  auto rate = upload(std::vector<float>(RateState::kFloats, 0.0f));
  judge(1.0f);
  float form = 1000.0f;
  rate_step(rate, &form, 2.0f);
  EXPECT_EQ(state().along_d, -0.5f * 2.0f / 1000.0f);
  judge(1.0f);
  form = 3000.0f;
  const std::vector<float> r = rate_step(rate, &form, -5.0f, 0.5f);  // uphill counts as flat
  EXPECT_EQ(r[0], 2.0f);
  EXPECT_EQ(r[1], 4000.0f);
  EXPECT_EQ(r[3], 0.5f * 2.0f / 4000.0f);
  EXPECT_EQ(state().along_d, -0.5f * r[3]);
  judge(1.0f);
  EXPECT_EQ(rate_step(rate, nullptr, 7.0f), r);  // not measured: it stays
  judge(2.0f);                                   // too high
  const std::vector<float> halved = rate_step(rate, nullptr, 7.0f);
  EXPECT_EQ(halved[3], 0.5f * r[3]);
  EXPECT_EQ(state().along_d, 0.0f);
  EXPECT_EQ(state().along_p, -1.0f);
}

TEST_P(RateStepKernel, ARateThatWasHalvedStaysSoWhileItIsMeasured) {
  auto rate = upload(std::vector<float>(RateState::kFloats, 0.0f));
  const float form = 1000.0f;
  judge(1.0f);
  step({4.0, 0.5, 2.0, 0.5, 0.1, 1.0, 0.25, 1.0});
  judge(2.0f);  // of a step that is not of this rate
  EXPECT_EQ(rate_step(rate, &form, 2.0f)[4], 0.0f);
  judge(1.0f);
  EXPECT_EQ(rate_step(rate, &form, 2.0f)[3], 0.5f * 2.0f / 1000.0f);
  judge(2.0f);
  EXPECT_EQ(rate_step(rate, &form, 2.0f)[3], 0.25f * 2.0f / 1000.0f);
  judge(1.0f);
  const std::vector<float> measured = rate_step(rate, &form, 4.0f);
  EXPECT_EQ(measured[4], 0.5f);
  EXPECT_EQ(measured[3], 0.25f * 6.0f / 2000.0f);
  judge(2.0f);
  rate_step(rate, &form, 2.0f);
  judge(1.0f);
  EXPECT_EQ(rate_step(rate, &form, 0.0f)[3], 0.125f * 6.0f / 3000.0f);
}

TEST_P(RateStepKernel, AMeasurementWithoutCurvatureDoesNotCount) {
  auto rate = upload(std::vector<float>(RateState::kFloats, 0.0f));
  const float form = 1000.0f;
  judge(1.0f);
  const std::vector<float> r = rate_step(rate, &form, 2.0f);
  for (const float lost : {0.0f, NAN, INFINITY}) {
    judge(1.0f);
    EXPECT_EQ(rate_step(rate, &lost, 2.0f), r);
  }
}

TEST_P(RateStepKernel, BoundsTheMeanChangeOfTheOutput) {
  auto rate = upload(std::vector<float>(RateState::kFloats, 0.0f));
  judge(1.0f);
  const float form = 4.0f;
  const std::vector<float> r = rate_step(rate, &form, 100.0f);
  expect_near(0.5f * r[3] * r[3] * 4.0f, 0.01, "the change");
}

TEST_P(RateStepKernel, EveryScheduleGivesTheSameBits) {
  expect_same_on_every_schedule(GetParam(), [&] {
    forget();
    std::mt19937 engine(5);
    auto rate = upload(std::vector<float>(RateState::kFloats, 0.0f));
    auto weights = upload(std::vector<float>(MeanWeights::kFloats, 0.0f));
    std::vector<float> all;
    for (const float loss : {1.0f, 0.9f, 3.0f, 0.8f, NAN, 0.7f}) {
      const QuadraticState judged = judge(loss), stepped = step(measured(engine));
      const float form = 4.0f + loss;
      const auto r = rate_step(rate, loss > 0.75f ? &form : nullptr, 2.0f);
      AdvanceMean mean;
      mean.weights = reinterpret_cast<MeanWeights*>(weights.get());
      kernels().advance_mean(stream(), mean);
      const auto w = download(weights);
      for (const QuadraticState& s : {judged, stepped, state()}) {
        const auto* numbers = reinterpret_cast<const float*>(&s);
        all.insert(all.end(), numbers, numbers + QuadraticState::kFloats);
      }
      all.insert(all.end(), r.begin(), r.end());
      all.insert(all.end(), w.begin(), w.end());
    }
    return all;
  });
}

CURVSEG_INSTANTIATE_TARGETS(QuadraticStepKernel);
CURVSEG_INSTANTIATE_TARGETS(RateStepKernel);

}  // namespace
}  // namespace curvseg::testing
