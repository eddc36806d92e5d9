// Auto's phases, made short: FOOF, FOOF while SOAP watches, SOAP while its rate is measured, SOAP.
#include <set>

#include "support/devices.hpp"
#include "tests/host/optim/linear_case.hpp"

namespace curvseg {
namespace {

using test::Doubles;
using test::Floats;
using test::TrainingCase;

constexpr int kFoof = 4, kWatched = 2, kMeasured = 2, kSteps = 9;

AutoOptions short_phases() {
  AutoOptions o;
  o.foof_steps = kFoof;
  o.watched_steps = kWatched;
  o.measured_steps = kMeasured;
  o.measure_every = 1;
  o.foof.batch_fraction = 0.5f;
  o.soap.epsilon = 1e-3f;
  o.soap.basis_every = 3;
  return o;
}

/// SOAP by itself, fed one gradient after the other: gives its directions and moves nothing.
class ExplicitSoap {
 public:
  ExplicitSoap(const TrainingCase& on, const SoapOptions& options)
      : stream_(on.stream()),
        theta_(zeroed_vector(stream_, on.model().parameter_count())),
        grad_(zeroed_vector(stream_, on.model().parameter_count())),
        soap_(make_optimizer(stream_, {.name = "soap", .soap = options}, on.model())) {}

  Doubles direction(const Floats& g) {
    grad_.upload(stream_, g.data(), grad_.size());
    fill(stream_, view(theta_), 0.0f);
    soap_->step({.stream = stream_,
                 .theta = view(theta_),
                 .grad = view(grad_),
                 .step = ++step_,
                 .learning_rate = 1.0f});
    const Floats moved = theta_.to_host(stream_);
    Doubles d;
    for (const float each : moved) d.push_back(-double{each});
    return d;
  }

 private:
  const Stream& stream_;
  DeviceArray<float> theta_, grad_;
  std::unique_ptr<Optimizer> soap_;
  std::uint64_t step_ = 0;
};

Doubles to_doubles(const Floats& x) { return {x.begin(), x.end()}; }

class AutoTest : public ::testing::TestWithParam<std::string> {
 protected:
  void SetUp() override { on_ = test::linear_case(GetParam()); }

  /// Steps of auto from theta = `start`, those in `bright` on a batch far too bright; all steps of
  /// SOAP against an explicit one.
  void follow(const AutoOptions& options, float start, const std::set<int>& bright) {
    on_->use({.name = "auto", .automatic = options});
    ExplicitSoap soap(*on_, options.soap);
    Floats theta(static_cast<std::size_t>(on_->model().parameter_count()));
    for (int r = 0; r < on_->rows(); ++r) theta[on_->place(r, 0)] = theta[on_->place(r, 1)] = start;
    on_->set_theta(theta);
    Floats previous = theta;
    for (int t = 1; t <= kSteps; ++t) {
      SCOPED_TRACE("step " + std::to_string(t));
      const bool rejected = bright.count(t) > 0;
      const unsigned other = changes_ && t % 2 == 1 ? 1 : 0;
      test::set_batch(*on_, 7 + other, rejected ? 1e3f : 1.0f);
      theta = on_->theta();
      Floats g = on_->gradient_now();
      for (std::size_t i = 0; i < g.size(); ++i) g[i] += options.foof.l2 * theta[i];
      if (rejected) g.assign(g.size(), 0.0f);
      const float factor = 1.0f - 0.05f * static_cast<float>(t);
      on_->step(factor);
      if (t > kFoof - kWatched) {
        const Doubles d = soap.direction(g);
        if (t > kFoof) expect_soap_step(t, rejected, theta, previous, to_doubles(g), d, factor);
      }
      previous = theta;
    }
    EXPECT_EQ(on_->number("rejected"), static_cast<double>(bright.size()));
  }

  void expect_soap_step(int t, bool rejected, const Floats& theta, const Floats& before,
                        const Doubles& g, const Doubles& d, float factor) {
    if (rejected) {
      if (rate_ > 0.0) trust_ *= 0.5;
      rate_ *= 0.5;
      EXPECT_NEAR(on_->number("rate"), rate_, 1e-4 * rate_);
      return test::expect_near(on_->theta(), to_doubles(before), 1e-6);
    }
    const int of_soap = t - kFoof - 1;
    if (of_soap < measured_steps_ && of_soap % measure_every_ == 0) {
      slope_ += std::max(test::inner(g, d), 0.0);
      curvature_ += on_->form(d, d, 2);  // half of three images
      measured_ += 1.0;
      const double minimum = slope_ / curvature_;
      const double most = std::sqrt(2.0 * 0.03 * measured_ / curvature_);
      rate_ = trust_ * std::min(minimum, most);
      is_at_minimum_ = minimum < 0.9 * most;
      is_at_most_ = most < 0.9 * minimum;
    }
    EXPECT_NEAR(on_->number("rate"), rate_, 1e-4 * rate_);
    EXPECT_NEAR(on_->number("alpha"), double{factor} * rate_, 1e-4 * rate_);
    Doubles expected = to_doubles(theta);
    for (std::size_t i = 0; i < d.size(); ++i) expected[i] -= double{factor} * rate_ * d[i];
    test::expect_near(on_->theta(), expected, 2e-5);
  }

  std::unique_ptr<TrainingCase> on_;
  bool changes_ = true;  // the batch, from step to step
  int measured_steps_ = kMeasured, measure_every_ = 1;
  double slope_ = 0.0, curvature_ = 0.0, measured_ = 0.0, rate_ = 0.0, trust_ = 1.0;
  bool is_at_minimum_ = false, is_at_most_ = false;  // the rate, by which of its two bounds
};

TEST_P(AutoTest, IsFoofBitByBitUntilItSwitches) {
  AutoOptions options = short_phases();
  options.foof.l2 = 0.1f;
  const auto foof = test::linear_case(GetParam());
  foof->use({.name = "foof", .foof = options.foof});
  on_->use({.name = "auto", .automatic = options});
  for (int t = 1; t <= kFoof + 1; ++t) {
    SCOPED_TRACE("step " + std::to_string(t));
    for (TrainingCase* each : {on_.get(), foof.get()}) {
      test::set_batch(*each, 20 + static_cast<unsigned>(t));
      each->step(0.9f);
    }
    if (t <= kFoof)
      EXPECT_EQ(on_->theta(), foof->theta());
    else
      EXPECT_NE(on_->theta(), foof->theta());
  }
}

TEST_P(AutoTest, ThenFollowsSoapAtTheRateOfTheMinimum) {
  AutoOptions options = short_phases();
  options.foof.l2 = 0.1f;
  options.foof.radius = 1e6f;  // comes close to the minimum of the one batch
  changes_ = false;
  follow(options, 0.0f, {});
  EXPECT_TRUE(is_at_minimum_);
}

TEST_P(AutoTest, ThenFollowsSoapAtTheRateThatChangesTheOutputByALittle) {
  AutoOptions options = short_phases();
  options.foof.radius = 1e-6f;  // stays where the loss is steep
  follow(options, 2.0f, {});
  EXPECT_TRUE(is_at_most_);
}

TEST_P(AutoTest, ARejectedGradientIsNotWatched) { follow(short_phases(), 0.0f, {kFoof}); }

TEST_P(AutoTest, ARejectedStepOfSoapHalvesTheRateAndItsGradientIsTakenAsZero) {
  follow(short_phases(), 0.0f, {kSteps - 2});
}

TEST_P(AutoTest, ARateThatWasHalvedStaysSoWhileItIsMeasured) {
  AutoOptions options = short_phases();
  options.measured_steps = 4;
  measured_steps_ = 4;
  follow(options, 0.0f, {kFoof + 2});
  EXPECT_EQ(trust_, 0.5);
}

TEST_P(AutoTest, MeasuresTheRateInSomeOfTheStepsAlone) {
  AutoOptions options = short_phases();
  options.measured_steps = 4;
  options.measure_every = 2;
  measured_steps_ = 4;
  measure_every_ = 2;
  follow(options, 0.0f, {});
  EXPECT_EQ(measured_, 2.0);
}

TEST_P(AutoTest, AFailedStepOfFoofDoesNotShortenSoaps) {
  AutoOptions options = short_phases();
  options.measured_steps = 4;
  measured_steps_ = 4;
  follow(options, 0.0f, {kFoof + 1});
  EXPECT_EQ(trust_, 1.0);
}

TEST_P(AutoTest, TheLogHasAModelOnlyWhereStepsFollowOne) {
  on_->use({.name = "auto", .automatic = short_phases()});
  for (int t = 1; t <= kFoof + 1; ++t) {
    on_->step();
    EXPECT_EQ(on_->reports("model_decrease"), t <= kFoof) << "step " << t;
    EXPECT_GT(on_->number("alpha"), 0.0);
  }
}

INSTANTIATE_TEST_SUITE_P(Devices, AutoTest, ::testing::ValuesIn(testing::cheap_devices()),
                         [](const auto& instance) { return instance.param; });

}  // namespace
}  // namespace curvseg
