// The rules of newton-cg and newton, each forced by how far from the minimum of a logistic loss,
// and with how much of a radius or damping, a step begins.
#include <set>
#include <string>

#include "support/devices.hpp"
#include "support/random_data.hpp"
#include "tests/host/optim/linear_case.hpp"

namespace curvseg {
namespace {

using test::Floats;
using test::TrainingCase;

const double kRoot = std::sqrt(2.0);

/// Weights u·(1, −1)/√2 of one input of 1, for labels 0, 0, 0, 1, 1: the steps of both methods stay
/// on that line, where the loss is f(u) + ½·l2·u².
class Logistic {
 public:
  Logistic(const std::string& device, double at, double l2) : u(at), l2_(l2) {
    ModelBuilder builder("scalar", 1);
    const Model model = builder.build(builder.conv(
        builder.input(), {.name = "w", .k = 2, .r = 1, .s = 1, .relu = false, .bias = false}));
    on = std::make_unique<TrainingCase>(device, model, Shape{5, 1, 1, 1}, Floats(5, 1.0f),
                                        std::vector<std::int32_t>{0, 0, 0, 1, 1},
                                        LossKind::kCrossEntropy);
    Floats theta(static_cast<std::size_t>(model.parameter_count()));
    theta[0] = static_cast<float>(at / kRoot);
    theta[1] = -theta[0];
    on->set_theta(theta);
  }

  double loss(double at) const {
    return 0.6 * std::log1p(std::exp(-kRoot * at)) + 0.4 * std::log1p(std::exp(kRoot * at)) +
           0.5 * l2_ * at * at;
  }
  double slope() const { return kRoot * (probability() - 0.6) + l2_ * u; }
  double curvature() const { return 2.0 * probability() * (1.0 - probability()) + l2_; }
  double model(double s) const { return slope() * s + 0.5 * curvature() * s * s; }
  double ratio(double s) const { return (loss(u + s) - loss(u)) / model(s); }

  void expect_at(double expected) const {
    EXPECT_NEAR(on->theta()[0], expected / kRoot, 1e-4);
    EXPECT_NEAR(on->theta()[1], -expected / kRoot, 1e-4);
  }

  double u;
  std::unique_ptr<TrainingCase> on;

 private:
  double probability() const { return 1.0 / (1.0 + std::exp(-kRoot * u)); }
  double l2_;
};

const std::vector<double> kStarts{-1.3, -0.9, 0.5, 1.2, 1.45, 1.55, 1.62, 1.7, 1.9, 2.5};

std::string range_of(double rho) { return rho < 0.25 ? "low" : rho > 0.75 ? "high" : "middle"; }

class NewtonTest : public ::testing::TestWithParam<std::string> {
 protected:
  /// What is judged, and taken, is `rate` times the step δ of the model.
  /// One step of newton-cg; returns what kind it was.
  static std::string newton_cg_step(double start, double radius, float l2, float acceptance,
                                    double rate) {
    Logistic f(GetParam(), start, double{l2});
    OptimizerOptions options{.name = "newton-cg"};
    options.newton_cg = {.radius = static_cast<float>(radius),
                         .acceptance = acceptance,
                         .residual_tolerance = 1e-3f,
                         .l2 = l2};
    f.on->use(options);
    f.on->step(static_cast<float>(rate));
    double s = -f.slope() / f.curvature();
    const bool is_outside = std::fabs(s) > radius;
    if (is_outside) s = std::copysign(radius, s);
    const double taken = rate * s, rho = f.ratio(taken);
    double next = radius;
    if (rho < 0.25)
      next = 0.25 * std::fabs(s);
    else if (rho > 0.75 && is_outside)
      next = std::min(2.0 * radius, 100.0);
    const bool is_taken = rho > double{acceptance};
    EXPECT_NEAR(f.on->number("rho"), rho, 2e-3);
    EXPECT_NEAR(f.on->number("length"), std::fabs(taken), 1e-4 * std::fabs(taken));
    EXPECT_NEAR(f.on->number("radius"), next, 1e-4 * next);
    EXPECT_NEAR(f.on->number("model_decrease"), -f.model(taken), 1e-4 * std::fabs(f.model(taken)));
    EXPECT_EQ(f.on->number("rejected"), is_taken ? 0.0 : 1.0);
    f.expect_at(is_taken ? start + taken : start);
    return range_of(rho) + (is_outside ? " at the boundary" : " inside") +
           (is_taken ? "" : ", rejected");
  }

  /// One step of newton; returns what kind it was.
  static std::string newton_step(double start, double damping, float l2, double rate) {
    Logistic f(GetParam(), start, double{l2});
    OptimizerOptions options{.name = "newton"};
    options.newton = {.damping = static_cast<float>(damping), .l2 = l2};
    f.on->use(options);
    f.on->step(static_cast<float>(rate));
    int tries = 0;
    double lambda = double{static_cast<float>(damping)}, s = 0.0, rho = 0.0;
    while (true) {
      ++tries;
      s = -rate * f.slope() / (f.curvature() + lambda);
      rho = f.ratio(s);
      if (rho > 1e-4) break;
      lambda *= 4.0;
    }
    if (rho < 0.25)
      lambda *= 1.5;
    else if (rho > 0.75)
      lambda *= 2.0 / 3.0;
    EXPECT_NEAR(f.on->number("rho"), rho, 2e-3);
    EXPECT_NEAR(f.on->number("lambda"), lambda, 1e-6 * lambda);
    EXPECT_EQ(f.on->number("tries"), tries);
    EXPECT_NEAR(f.on->number("model_decrease"), -f.model(s), 1e-4 * std::fabs(f.model(s)));
    f.expect_at(start + s);
    return range_of(rho) + (tries > 1 ? " after more tries" : "");
  }
};

TEST_P(NewtonTest, TheRadiusOfNewtonCgFollowsItsRules) {
  std::set<std::string> kinds;
  for (const float l2 : {0.0f, 0.1f})
    for (const double start : kStarts)
      for (const double radius : {0.3, 1.0, 2.6, 4.0, 90.0})
        for (const double rate : {1.0, 0.5}) {
          SCOPED_TRACE("from " + std::to_string(start) + ", radius " + std::to_string(radius) +
                       ", l2 " + std::to_string(l2) + ", at " + std::to_string(rate));
          kinds.insert(newton_cg_step(start, radius, l2, 0.1f, rate));
        }
  for (const char* kind : {"low at the boundary, rejected", "low inside, rejected",
                           "low at the boundary", "low inside", "middle at the boundary",
                           "middle inside", "high at the boundary", "high inside"})
    EXPECT_EQ(kinds.count(kind), 1U) << "there was no step " << kind;
}

TEST_P(NewtonTest, TheDampingOfNewtonFollowsItsRules) {
  std::set<std::string> kinds;
  for (const float l2 : {0.0f, 0.1f})
    for (const double start : kStarts)
      for (const double damping : {1e-3, 0.03, 0.3})
        for (const double rate : {1.0, 0.5}) {
          SCOPED_TRACE("from " + std::to_string(start) + ", damping " + std::to_string(damping) +
                       ", l2 " + std::to_string(l2) + ", at " + std::to_string(rate));
          kinds.insert(newton_step(start, damping, l2, rate));
        }
  for (const char* kind : {"low", "middle", "high", "low after more tries",
                           "middle after more tries", "high after more tries"})
    EXPECT_EQ(kinds.count(kind), 1U) << "there was no step " << kind;
}

// A gradient of about 1e20, whose product with the Hessian is infinite, at a loss that is not.
TEST_P(NewtonTest, ProductsThatAreNotFiniteLeaveALittleMoreCaution) {
  for (const std::string name : {"newton-cg", "newton"}) {
    SCOPED_TRACE(name);
    const auto on = test::linear_case(GetParam());
    on->use({.name = name});
    const Floats start = on->theta();
    test::set_batch(*on, 5, 1e20f);
    on->step();
    EXPECT_EQ(on->theta(), start);
    EXPECT_EQ(on->number("rejected"), 1.0);
    if (name == "newton-cg") {
      EXPECT_EQ(on->number("radius"), 0.25);
      EXPECT_EQ(on->text("cg_stop"), "not finite");
    } else {
      EXPECT_EQ(on->number("lambda"), 4.0 * double{1e-3f});
    }
  }
}

/// theta after a step from 0 of a linear softmax classifier of three classes, whose G is its
/// Hessian.
Floats step_of_classifier(const std::string& device, unsigned seed,
                          const OptimizerOptions& options) {
  const Shape input{2, 5, 4, 3};
  std::vector<std::int32_t> labels;
  for (int i = 0; i < input.n * input.h * input.w; ++i)
    labels.push_back((i * 7 + static_cast<int>(seed)) % 3);
  TrainingCase on(device, test::linear_model(3, 3), input,
                  testing::uniform_floats(static_cast<std::size_t>(input.elements()), seed), labels,
                  LossKind::kCrossEntropy);
  on.use(options);
  on.step();
  EXPECT_EQ(on.number("rejected"), 0.0) << options.name;
  return on.theta();
}

void expect_same_step(const Floats& step, const Floats& oracle, const char* what) {
  double length = 0.0, off = 0.0;
  for (std::size_t i = 0; i < oracle.size(); ++i) {
    const double a = double{step[i]}, b = double{oracle[i]};
    length += b * b;
    off += (a - b) * (a - b);
  }
  EXPECT_GT(length, 1e-4) << what;
  EXPECT_LT(std::sqrt(off / length), 1e-4) << what;
}

// With the Hessian formed and factorised in double, newton says what the others should come to.
TEST_P(NewtonTest, IsTheOracleOfThoseThatDoNotFormTheHessian) {
  for (unsigned seed = 1; seed <= 4; ++seed) {
    SCOPED_TRACE(seed);
    OptimizerOptions newton{.name = "newton", .newton = {.damping = 0.0f, .l2 = 0.2f}};
    OptimizerOptions newton_cg{.name = "newton-cg"};
    newton_cg.newton_cg = {.radius = 100.0f,
                           .max_iterations = 200,
                           .model_tolerance = 0.0f,
                           .residual_tolerance = 1e-6f,
                           .l2 = 0.2f};
    expect_same_step(step_of_classifier(GetParam(), seed, newton_cg),
                     step_of_classifier(GetParam(), seed, newton), "newton-cg");
    newton.newton.damping = 0.3f;
    OptimizerOptions hessian_free{.name = "hessian-free"};
    hessian_free.hessian_free.damping = 0.3f;
    hessian_free.hessian_free.l2 = 0.2f;
    hessian_free.hessian_free.max_iterations = 200;
    hessian_free.hessian_free.model_tolerance = 0.0f;
    expect_same_step(step_of_classifier(GetParam(), seed, hessian_free),
                     step_of_classifier(GetParam(), seed, newton), "hessian-free");
  }
}

INSTANTIATE_TEST_SUITE_P(Devices, NewtonTest, ::testing::ValuesIn(testing::cheap_devices()),
                         [](const auto& instance) { return instance.param; });

}  // namespace
}  // namespace curvseg
