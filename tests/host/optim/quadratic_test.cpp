// Every damped and corrected optimiser on a quadratic: a linear model with the mean squared error,
// whose Hessian, gradient and minimum are known in double.
#include <algorithm>
#include <functional>
#include <map>

#include "curvseg/error.hpp"
#include "curvseg/ops.hpp"
#include "reference/dense.hpp"
#include "support/devices.hpp"
#include "tests/host/optim/linear_case.hpp"

namespace curvseg {
namespace {

using test::diagonal_case;
using test::Doubles;
using test::expect_near;
using test::Floats;
using test::TrainingCase;

Doubles in_double(const Floats& x) { return {x.begin(), x.end()}; }

class Quadratic : public ::testing::TestWithParam<std::string> {
 protected:
  /// Steps of the optimiser against `update`, which changes theta in double.
  static void expect_steps(TrainingCase& on, const OptimizerOptions& options, float rate,
                           const std::function<void(Doubles& theta, int step)>& update) {
    on.use(options);
    Floats start(static_cast<std::size_t>(on.model().parameter_count()));
    on.set_theta(start);
    Doubles theta = in_double(start);
    for (int step = 1; step <= 5; ++step) {
      on.step(rate);
      update(theta, step);
      expect_near(on.theta(), theta, 2e-5);
    }
    EXPECT_EQ(on.number("rejected"), 0.0);
  }
};

TEST_P(Quadratic, GradientDescentFollowsItsFormula) {
  const auto on = test::linear_case(GetParam());
  for (const float l2 : {0.0f, 0.1f})
    expect_steps(*on, {.name = "gd", .gd = {.l2 = l2}}, 0.2f, [&](Doubles& theta, int) {
      const Doubles g = on->gradient(theta);
      for (std::size_t i = 0; i < theta.size(); ++i)
        theta[i] -= double{0.2f} * (g[i] + double{l2} * theta[i]);
    });
}

TEST_P(Quadratic, ProjectionsFollowTheirFormula) {
  const auto on = test::linear_case(GetParam());
  OptimizerOptions box{.name = "projected-gd", .projected_gd = {.lower = -0.05f, .upper = 0.1f}};
  bool met = false;
  expect_steps(*on, box, 0.2f, [&](Doubles& theta, int) {
    const Doubles g = on->gradient(theta);
    for (std::size_t i = 0; i < theta.size(); ++i) {
      theta[i] = std::clamp(theta[i] - double{0.2f} * g[i], double{-0.05f}, double{0.1f});
      met = met || theta[i] == double{0.1f};
    }
  });
  EXPECT_TRUE(met) << "the box was no limit";
  OptimizerOptions ball{.name = "projected-gd", .projected_gd = {.radius = 0.15f}};
  expect_steps(*on, ball, 0.2f, [&](Doubles& theta, int step) {
    const Doubles g = on->gradient(theta);
    double square = 0.0;
    for (std::size_t i = 0; i < theta.size(); ++i) {
      theta[i] -= double{0.2f} * g[i];
      square += theta[i] * theta[i];
    }
    const double scale = std::min(1.0, double{0.15f} / std::sqrt(square));
    if (step == 5) {
      EXPECT_LT(scale, 1.0) << "the ball was no limit";
    }
    for (double& each : theta) each *= scale;
  });
}

TEST_P(Quadratic, PreconditionedDescentFollowsItsFormula) {
  const auto on = test::linear_case(GetParam());
  OptimizerOptions options{.name = "preconditioned-gd"};
  options.preconditioned_gd = {.damping = 0.05f, .decay = 0.8f};
  Doubles mean(static_cast<std::size_t>(on->model().parameter_count()));
  double weight = 0.0;
  expect_steps(*on, options, 0.02f, [&](Doubles& theta, int) {
    weight = double{0.8f} * weight + 1.0 - double{0.8f};
    const double take = (1.0 - double{0.8f}) / weight;
    Doubles squares(theta.size());
    for (std::size_t image = 0; image < 3; ++image) {
      const Doubles g = on->gradient(theta, 6 * image, 6 * image + 6);
      for (std::size_t i = 0; i < g.size(); ++i) squares[i] += g[i] * g[i];
    }
    const Doubles g = on->gradient(theta);
    for (std::size_t i = 0; i < theta.size(); ++i) {
      mean[i] = (1.0 - take) * mean[i] + take * squares[i];
      theta[i] -= double{0.02f} * g[i] / (mean[i] + double{0.05f});
    }
  });
}

TEST_P(Quadratic, AGivenPreconditionerIsUsed) {
  const auto on = diagonal_case(GetParam());
  const Doubles solution = on->solution();
  Floats inverse(solution.size());
  for (int k = 0; k < 2; ++k)
    for (int r = 0; r < on->rows(); ++r)
      inverse[on->place(r, k)] = static_cast<float>(1.0 / on->hessian(r, r));
  DeviceArray<float> diagonal(on->stream().device(), static_cast<std::int64_t>(inverse.size()));
  diagonal.upload(on->stream(), inverse.data(), diagonal.size());
  OptimizerOptions options{.name = "preconditioned-gd"};
  options.preconditioned_gd.preconditioner = view(diagonal);
  EXPECT_EQ(on->use(options).curvature(), CurvatureKind::kNone);
  on->step(1.0f);  // the inverse of a diagonal Hessian: Newton's step
  expect_near(on->theta(), solution, 1e-6);
}

TEST_P(Quadratic, AGivenMapIsThePreconditioner) {
  const auto on = test::linear_case(GetParam());
  const Doubles solution = on->solution();
  const auto rows = static_cast<std::size_t>(on->rows());
  reference::DenseMatrix hessian(rows, rows);
  for (std::size_t r = 0; r < rows; ++r)
    for (std::size_t c = 0; c < rows; ++c)
      hessian.at(r, c) = on->hessian(static_cast<int>(r), static_cast<int>(c));
  ASSERT_NE(hessian.at(0, 1), 0.0) << "a diagonal would do";
  const auto inverse = reference::inverse(hessian);
  int calls = 0;
  OptimizerOptions options{.name = "preconditioned-gd"};
  options.preconditioned_gd.inverse = [&](ConstVectorView g, VectorView product) {
    ++calls;
    const Floats from = testing::values_of(on->stream(), g);
    Floats to(from.size());
    for (int k = 0; k < 2; ++k)
      for (std::size_t r = 0; r < rows; ++r) {
        double sum = 0.0;
        for (std::size_t c = 0; c < rows; ++c)
          sum += inverse.at(r, c) * double{from[on->place(static_cast<int>(c), k)]};
        to[on->place(static_cast<int>(r), k)] = static_cast<float>(sum);
      }
    DeviceArray<float> staged(on->stream().device(), product.size);
    staged.upload(on->stream(), to.data(), product.size);
    linear_combination(on->stream(), {{{staged.data(), product.size}}}, product);
    on->stream().synchronise();
  };
  EXPECT_EQ(on->use(options).curvature(), CurvatureKind::kNone);
  on->step(1.0f);  // Newton's step
  expect_near(on->theta(), solution, 2e-5);
  EXPECT_EQ(calls, 1);
  const DeviceArray<float> diagonal(on->stream().device(), on->model().parameter_count());
  options.preconditioned_gd.preconditioner = view(diagonal);
  EXPECT_THROW(on->use(options), InputError) << "both";
  options.preconditioned_gd.inverse = {};
  options.preconditioned_gd.preconditioner.size -= 1;
  EXPECT_THROW(on->use(options), InputError) << "of another length";
}

/// Sophia-H and AdaHessian, whose estimates are the Hessian's diagonal itself here.
TEST_P(Quadratic, DampedDiagonalsFollowTheirFormulas) {
  const auto on = diagonal_case(GetParam());
  const auto n = static_cast<std::size_t>(on->model().parameter_count());
  Doubles h(n);
  for (int k = 0; k < 2; ++k)
    for (int r = 0; r < on->rows(); ++r) h[on->place(r, k)] = on->hessian(r, r);

  OptimizerOptions options{.name = "damped-diagonal"};
  options.damped_diagonal.preset = "sophia-h";
  Doubles m(n);
  expect_steps(*on, options, 0.01f, [&](Doubles& theta, int) {
    const Doubles g = on->gradient(theta);
    const double scale = std::min(1.0, 1.0 / std::sqrt(test::inner(g, g)));
    for (std::size_t i = 0; i < n; ++i) {
      m[i] = double{0.96f} * m[i] + (1.0 - double{0.96f}) * scale * g[i];
      const double mean = (1.0 - double{0.99f}) * h[i];  // refreshed in the first step of ten
      const double ratio = m[i] / std::max(double{0.01f} * mean, 1e-12);
      theta[i] -= 0.01 * (std::clamp(ratio, -1.0, 1.0) + double{0.2f} * theta[i]);
    }
  });

  options.damped_diagonal.preset = "adahessian";
  m.assign(n, 0.0);
  expect_steps(*on, options, 0.15f, [&](Doubles& theta, int step) {
    const Doubles g = on->gradient(theta);
    for (std::size_t i = 0; i < n; ++i) {
      m[i] = double{0.9f} * m[i] + (1.0 - double{0.9f}) * g[i];
      const double mean = m[i] / (1.0 - std::pow(double{0.9f}, step));
      const double ratio = h[i] > 0.0 ? mean / std::max(h[i], 1e-4) : 0.0;  // 0: padding
      theta[i] -= double{0.15f} * (ratio + double{5e-4f} * theta[i]);
    }
  });
}

TEST_P(Quadratic, NewtonIsThereInOneStep) {
  const auto on = test::linear_case(GetParam());
  on->use({.name = "newton", .newton = {.damping = 0.0f}});
  on->step();
  expect_near(on->theta(), on->solution(), 2e-6);
  EXPECT_NEAR(on->number("rho"), 1.0, 1e-4);
  EXPECT_EQ(on->number("tries"), 1.0);
  // λ falls while the model is right.
  on->use({.name = "newton", .newton = {.damping = 3.0f}});
  on->set_theta(Floats(static_cast<std::size_t>(on->model().parameter_count())));
  on->step();
  EXPECT_DOUBLE_EQ(on->number("lambda"), 2.0);
}

TEST_P(Quadratic, HessianFreeReachesTheMinimum) {
  const auto on = test::linear_case(GetParam());
  for (const bool precondition : {true, false})
    for (const float l2 : {0.0f, 1e-30f}) {  // the second goes through the code of l2
      OptimizerOptions options{.name = "hessian-free"};
      options.hessian_free = {.damping = 0.01f, .precondition = precondition, .l2 = l2};
      on->use(options);
      on->set_theta(Floats(static_cast<std::size_t>(on->model().parameter_count())));
      on->step();
      EXPECT_NEAR(on->number("rho"), 1.0, 0.1);
      EXPECT_NEAR(on->number("lambda"), double{0.01f} * 2.0 / 3.0, 1e-9);
      EXPECT_EQ(on->number("alpha"), 1.0);
      EXPECT_GT(on->number("cg_iterations"), 2.0);
      EXPECT_GT(on->number("model_decrease"), 0.0);
      for (int step = 0; step < 8; ++step) on->step();
      expect_near(on->theta(), on->solution(), 2e-3);
    }
}

// ρ with and without the damping in its denominator: the undamped model of a quadratic is right.
TEST_P(Quadratic, TheDampingTermInTheRatioIsAnOption) {
  const auto on = test::linear_case(GetParam());
  const auto ratio = [&](bool damping_in_ratio) {
    OptimizerOptions options{.name = "hessian-free"};
    options.hessian_free = {.damping = 2.0f, .damping_in_ratio = damping_in_ratio};
    on->use(options);
    on->set_theta(Floats(static_cast<std::size_t>(on->model().parameter_count())));
    on->step();
    return on->number("rho");
  };
  EXPECT_NEAR(ratio(false), 1.0, 1e-3);
  EXPECT_GT(ratio(true), 1.2);
}

TEST_P(Quadratic, HessianFreeTakesCurvatureFromAPartOfTheBatch) {
  const auto on = test::linear_case(GetParam());
  OptimizerOptions options{.name = "hessian-free"};
  options.hessian_free = {.damping = 0.1f, .batch_fraction = 0.5f};
  EXPECT_EQ(on->use(options).curvature(), CurvatureKind::kNone);
  for (int step = 0; step < 30; ++step) on->step();
  expect_near(on->theta(), on->solution(), 2e-2);
}

TEST_P(Quadratic, NewtonCgReachesTheMinimumAndItsRadiusGrows) {
  const auto on = test::linear_case(GetParam());
  OptimizerOptions options{.name = "newton-cg"};
  options.newton_cg = {.radius = 0.01f, .model_tolerance = 0.0f, .residual_tolerance = 1e-6f};
  on->use(options);
  double radius = double{0.01f};
  Floats before = on->theta();
  for (int step = 0; step < 3; ++step) {  // the minimum is farther away than 0.07
    on->step();
    EXPECT_EQ(on->text("cg_stop"), "boundary");
    EXPECT_NEAR(on->number("rho"), 1.0, 1e-2);
    EXPECT_NEAR(on->number("length"), radius, 1e-4 * radius);
    radius *= 2.0;
    EXPECT_EQ(on->number("radius"), radius);
  }
  for (int step = 0; step < 8; ++step) on->step();
  expect_near(on->theta(), on->solution(), 1e-5);
  EXPECT_NE(on->text("cg_stop"), "boundary");
  EXPECT_EQ(on->number("rejected"), 0.0);
  options.newton_cg.largest_radius = 0.015f;
  on->use(options);
  on->set_theta(before);
  on->step();
  EXPECT_EQ(on->number("radius"), double{0.015f});
}

/// Every optimiser, its rate falling to 0 where it has one.
TEST(QuadraticMinimum, EveryOptimizerGetsThere) {
  const std::map<std::string, float> rates{{"sgd", 0.1f},
                                           {"adam", 0.05f},
                                           {"adamw", 0.05f},
                                           {"soap", 0.05f},
                                           {"muon", 0.1f},
                                           {"gd", 1.0f},
                                           {"projected-gd", 1.0f},
                                           {"preconditioned-gd", 0.05f},
                                           {"damped-diagonal", 0.05f}};
  for (const std::string& name : optimizer_names()) {
    SCOPED_TRACE(name);
    const auto on = test::linear_case("host");
    OptimizerOptions options{.name = name};
    options.adamw.regularisation.decoupled_l2 = 1e-4f;
    options.automatic.foof_steps = 20;  // leaves most to SOAP
    options.automatic.watched_steps = 10;
    options.damped_diagonal.preset = "sophia-h";
    options.damped_diagonal.decoupled_l2 = 0.0f;
    on->use(options);
    const float rate = rates.count(name) > 0 ? rates.at(name) : 1.0f;
    const double before = on->loss(in_double(on->theta())), least = on->loss(on->solution());
    for (int t = 0; t < 200; ++t) on->step(rate * (1.0f - static_cast<float>(t) / 200.0f));
    const double after = on->loss(in_double(on->theta()));
    // Sophia's ratios are nearly all at their bounds: a descent by signs.
    const double share = name == "damped-diagonal" ? 1e-3 : 1e-6;
    EXPECT_LT(after - least, share * (before - least));
  }
}

INSTANTIATE_TEST_SUITE_P(Devices, Quadratic, ::testing::ValuesIn(testing::cheap_devices()),
                         [](const auto& instance) { return instance.param; });

}  // namespace
}  // namespace curvseg
