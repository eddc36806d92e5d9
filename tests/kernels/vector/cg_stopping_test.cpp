// When conjugate gradients stop, rule by rule, and that a stopped solve stays as it is.
#include <cmath>

#include "kernels/vector/cg_solve.hpp"

namespace curvseg::testing {
namespace {

class CgStopping : public CgKernels {
 protected:
  /// One step with x = 1, r = 1, b = −1 − 2·phi afterwards: rᵀr = 1 and φ = `phi`.
  CgStop after_step(CgScalars at, const std::vector<double>& earlier, double phi,
                    double epsilon = 0.0, int window = 10, int max_iterations = 1000) const {
    Solve s = solve(1, 0, static_cast<int>(earlier.size()));
    s.x.set({1.0f}), s.p.set({0.0f}), s.r.set({1.0f}), s.product.set({0.0f});
    s.b.set({static_cast<float>(-1.0 - 2.0 * phi)});
    std::vector<double> history(earlier);
    history.push_back(NAN);
    s.phi.set(history);
    at.iteration = static_cast<int>(earlier.size()) - 1;
    at.rz = 1.0;
    at.slot = -1;
    s.scalars.set({at});
    s.all.epsilon = epsilon;
    s.all.window = window;
    s.all.max_iterations = max_iterations;
    run(&Kernels::cg_step, s);
    EXPECT_EQ(scalars(s).phi, phi);
    return scalars(s).stopped;
  }
};

TEST_P(CgStopping, OnTheResidual) {
  EXPECT_EQ(after_step({.tolerance = 0.5, .bb = 4.0}, {0.0}, -1.0), CgStop::kResidual);
  EXPECT_EQ(after_step({.tolerance = 0.5, .bb = 3.99}, {0.0}, -1.0), CgStop::kRunning);
  EXPECT_EQ(after_step({.bb = 1e30}, {0.0}, -1.0), CgStop::kRunning);
}

TEST_P(CgStopping, WhereFloatHasNoBetterSolution) {
  // rᵀr = 1 against 2^−46 of the scale.
  EXPECT_EQ(after_step({.scale = 0x1p46}, {0.0}, -1.0), CgStop::kConverged);
  EXPECT_EQ(after_step({.scale = 0x1.fp45}, {0.0}, -1.0), CgStop::kRunning);
  EXPECT_EQ(after_step({.tolerance = 1.0, .bb = 1.0, .scale = 0x1p46}, {0.0}, -1.0),
            CgStop::kResidual);
  // The scale is bᵀb, and without b the residual that a solve begins with.
  for (const float b : {3.0f, 0.0f}) {
    Solve s = solve(1);
    s.b.set({b}), s.x.set({1.0f}), s.product.set({5.0f});
    run(&Kernels::cg_begin, s);
    EXPECT_EQ(scalars(s).scale, b != 0.0f ? 9.0 : 25.0);
    EXPECT_EQ(scalars(s).stopped, CgStop::kRunning);
  }
}

TEST_P(CgStopping, OnTheModel) {
  // (φ_i − φ_{i−k}) / φ_i < k·ε with k = 2 and ε = 1/8: from −3 to −4 it is a quarter, to −4.5
  // more.
  const double epsilon = 0.125;
  EXPECT_EQ(after_step({}, {0.0, -3.0, -3.5}, -4.5, epsilon, 2), CgStop::kRunning);
  EXPECT_EQ(after_step({}, {0.0, -3.0, -3.5}, -4.0, epsilon, 2), CgStop::kRunning);
  EXPECT_EQ(after_step({}, {0.0, -3.0, -3.5}, -3.75, epsilon, 2), CgStop::kModel);
  EXPECT_EQ(after_step({}, {0.0, -3.0, -3.5}, -3.75, 0.0, 2), CgStop::kRunning);
  // Not before i > k, and not where φ is not negative.
  EXPECT_EQ(after_step({}, {-3.0, -3.5}, -3.75, epsilon, 2), CgStop::kRunning);
  EXPECT_EQ(after_step({}, {1.0, 1.0, 1.0}, 1.0, epsilon, 2), CgStop::kRunning);
}

TEST_P(CgStopping, WindowIsATenthOfTheIterations) {
  // At i = 31 it is ⌈3.1⌉ = 4: φ_27 = −3 counts, φ_28 and what follows does not.
  std::vector<double> history(31, -3.0);
  for (std::size_t i = 28; i < history.size(); ++i) history[i] = -4.0;
  EXPECT_EQ(after_step({}, history, -4.0, 0.125 / 2.0, 2), CgStop::kRunning);  // ¼ < ¼ fails
  EXPECT_EQ(after_step({}, history, -4.0, 0.126 / 2.0, 2), CgStop::kModel);
  EXPECT_EQ(after_step({}, history, -4.0, 0.125 / 2.0, 3), CgStop::kRunning);
  EXPECT_EQ(after_step({}, history, -4.0, 0.2 / 5.0, 5), CgStop::kRunning);  // φ_26, k = 5
}

TEST_P(CgStopping, OnTheNumberOfIterations) {
  EXPECT_EQ(after_step({}, {0.0, 0.0}, -1.0, 0.0, 10, 2), CgStop::kIterations);
  EXPECT_EQ(after_step({}, {0.0, 0.0}, -1.0, 0.0, 10, 3), CgStop::kRunning);
}

TEST_P(CgStopping, AfterTheLastStepForItsReason) {
  EXPECT_EQ(after_step({.last = CgStop::kBoundary}, {0.0}, -1.0), CgStop::kBoundary);
  EXPECT_EQ(after_step({.last = CgStop::kNegativeCurvature}, {0.0}, -1.0),
            CgStop::kNegativeCurvature);
}

TEST_P(CgStopping, OnWhatIsNotFinite) {
  Solve s = solve(2);
  s.b.set({1.0f, 1.0f}), s.x.set({0.0f, 0.0f}), s.r.set({1.0f, NAN});
  s.p.set({0.0f, 0.0f}), s.product.set({0.0f, 0.0f});
  s.scalars.set({CgScalars{.rz = 1.0, .slot = -1, .last = CgStop::kBoundary}});
  run(&Kernels::cg_step, s);
  EXPECT_EQ(scalars(s).stopped, CgStop::kNotFinite);
}

TEST_P(CgStopping, NothingToSolve) {
  for (const std::size_t n : {0, 5}) {
    Solve s = solve(n);
    s.b.set(std::vector<float>(n, 0.0f));
    s.all.product = nullptr;
    run(&Kernels::cg_begin, s);
    EXPECT_EQ(scalars(s).stopped, CgStop::kConverged);
  }
}

TEST_P(CgStopping, NothingChangesAfterwards) {
  const std::size_t n = 300;
  for (const bool truncated : {false, true}) {
    Solve s = solve(n, 1);
    s.all.truncated = truncated;
    s.use_weights(std::vector<float>(n, 1.0f));
    s.keep_at.set({3});
    const std::vector<float> ones(n, 1.0f);
    for (auto* v : {&s.b, &s.product, &s.x, &s.r, &s.p}) v->set(ones);
    const CgScalars stopped{.radius = 1.0,
                            .alpha = 2.0,
                            .beta = 3.0,
                            .rz = 4.0,
                            .rr = 5.0,
                            .phi = 6.0,
                            .iteration = 2,
                            .kept = 0,
                            .slot = 0,
                            .stopped = CgStop::kModel};
    s.scalars.set({stopped});
    for (const auto operation : {&Kernels::cg_direction, &Kernels::cg_step_length,
                                 &Kernels::cg_step, &Kernels::cg_move, &Kernels::cg_residual})
      run(operation, s);
    for (auto* v : {&s.b, &s.product, &s.x, &s.r, &s.p}) EXPECT_EQ(download(*v), ones);
    EXPECT_TRUE(std::isnan(download(s.kept)[0]));
    EXPECT_TRUE(std::isnan(download(s.phi)[3]));
    const CgScalars at = scalars(s);
    EXPECT_EQ(at.alpha, 2.0);
    EXPECT_EQ(at.beta, 3.0);
    EXPECT_EQ(at.rz, 4.0);
    EXPECT_EQ(at.iteration, 2);
    EXPECT_EQ(at.kept, 0);
  }
}

CURVSEG_INSTANTIATE_TARGETS(CgStopping);

}  // namespace
}  // namespace curvseg::testing
