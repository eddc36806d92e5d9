// SOAP and Muon where a step fails: it is taken back, later ones are shorter, and the gradient of a
// rejected batch counts as 0.
#include <set>

#include "support/devices.hpp"
#include "tests/host/optim/linear_case.hpp"

namespace curvseg {
namespace {

using test::Doubles;
using test::Floats;
using test::TrainingCase;

constexpr float kDecay = 0.2f;

OptimizerOptions options_of(const std::string& name) {
  OptimizerOptions options{.name = name};
  options.soap = {.epsilon = 1e-3f, .basis_every = 3, .decoupled_l2 = kDecay};
  options.muon = {.epsilon = 1e-3f, .decoupled_l2 = kDecay};
  return options;
}

/// A method fed one gradient after the other without a batch, which it cannot judge then: gives its
/// directions and moves nothing.
class Unguarded {
 public:
  Unguarded(const TrainingCase& on, const std::string& name)
      : stream_(on.stream()),
        theta_(zeroed_vector(stream_, on.model().parameter_count())),
        grad_(zeroed_vector(stream_, on.model().parameter_count())),
        method_(make_optimizer(stream_, options_of(name), on.model())) {}

  Doubles direction(const Floats& g) {
    grad_.upload(stream_, g.data(), grad_.size());
    fill(stream_, view(theta_), 0.0f);
    method_->step({.stream = stream_,
                   .theta = view(theta_),
                   .grad = view(grad_),
                   .step = ++step_,
                   .learning_rate = 1.0f});
    Doubles d;
    for (const float each : theta_.to_host(stream_)) d.push_back(-double{each});
    return d;
  }

 private:
  const Stream& stream_;
  DeviceArray<float> theta_, grad_;
  std::unique_ptr<Optimizer> method_;
  std::uint64_t step_ = 0;
};

class GuardedSoapMuon : public ::testing::TestWithParam<std::string> {
 protected:
  static constexpr float kRate = 0.02f;

  /// Eight steps, those in `bad` on a batch far too bright, or of NaNs.
  static void follow(const std::string& name, const std::set<int>& bad, bool nans) {
    SCOPED_TRACE(name);
    const auto on = test::linear_case(GetParam());
    on->use(options_of(name));
    Unguarded unguarded(*on, name);
    Doubles expected(static_cast<std::size_t>(on->model().parameter_count())), before = expected;
    double trust = 1.0, rejected = 0.0;
    for (int t = 1; t <= 8; ++t) {
      SCOPED_TRACE("step " + std::to_string(t));
      const bool is_bad = bad.count(t) > 0;
      test::set_batch(*on, 60 + static_cast<unsigned>(t % 2), is_bad && !nans ? 1e3f : 1.0f);
      Floats g = on->gradient_now();
      if (is_bad) g.assign(g.size(), 0.0f);
      if (is_bad && nans) on->poison_images();
      on->step(kRate);
      const Doubles d = unguarded.direction(g);
      if (is_bad) {
        expected = before;
        trust *= 0.5;
        rejected += 1.0;
      } else {
        before = expected;
        const double rate = trust * double{kRate};
        for (std::size_t i = 0; i < d.size(); ++i)
          expected[i] = expected[i] * (1.0 - rate * double{kDecay}) - rate * d[i];
        trust = std::min(1.0, 1.1 * trust);
      }
      test::expect_near(on->theta(), expected, 1e-5);
      EXPECT_NEAR(on->number("trust"), trust, 1e-6);
      EXPECT_EQ(on->number("rejected"), rejected);
    }
  }
};

TEST_P(GuardedSoapMuon, AHealthyTrainingIsNotTouched) {
  for (const std::string name : {"soap", "muon"}) follow(name, {}, false);
}

TEST_P(GuardedSoapMuon, ALossThatRoseIsTakenBackAndItsGradientCountsAsZero) {
  for (const std::string name : {"soap", "muon"}) follow(name, {4}, false);
}

TEST_P(GuardedSoapMuon, NansEnterNoMeanInWhateverStepTheyCome) {
  for (const std::string name : {"soap", "muon"})
    for (const int t : {1, 3, 4}) follow(name, {t}, true);
}

TEST_P(GuardedSoapMuon, SeveralBadBatchesInARowTakeBackOneStep) {
  for (const std::string name : {"soap", "muon"}) follow(name, {4, 5, 6}, true);
}

TEST_P(GuardedSoapMuon, TheStateHasTheGuardAndItsMemoryIsCounted) {
  const auto on = test::linear_case(GetParam());
  for (const std::string name : {"soap", "muon"}) {
    SCOPED_TRACE(name);
    Optimizer& method = on->use(options_of(name));
    EXPECT_TRUE(method.recovers());
    const Floats start = on->theta();
    on->step(kRate);
    EXPECT_EQ(on->tensor("previous_theta"), start);
    EXPECT_EQ(on->tensor("guard").size(), 10U);
    std::size_t bytes = 0;
    for (const StateTensor& each : method.state().tensors)
      bytes += static_cast<std::size_t>(each.data.size) * sizeof(float);
    EXPECT_GE(method.state_bytes(), bytes);
  }
}

INSTANTIATE_TEST_SUITE_P(Devices, GuardedSoapMuon, ::testing::ValuesIn(testing::cheap_devices()),
                         [](const auto& instance) { return instance.param; });

}  // namespace
}  // namespace curvseg
