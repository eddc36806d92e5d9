// The kernels of conjugate gradients on no elements, on random ones, on more than 2^31, and under
// every schedule.
#include <cmath>

#include "kernels/vector/cg_solve.hpp"
#include "reference/vector.hpp"
#include "support/random_data.hpp"
#include "support/rounding.hpp"
#include "support/schedules.hpp"
#include "support/sparse_memory.hpp"

namespace curvseg::testing {
namespace {

class CgExtents : public CgKernels {};

// ---- no elements -------------------------------------------------------------------------------

/// Every sum is one over nothing, and a running solve is judged by it.
TEST_P(CgExtents, NoElements) {
  for (const bool weighted : {false, true})
    for (const auto operation : {&Kernels::cg_step, &Kernels::cg_residual}) {
      Solve s = solve(0);
      if (weighted) s.use_weights({});
      s.scalars.set({CgScalars{.beta = NAN, .rz = 4.0, .rr = 4.0, .slot = -1}});
      run(operation, s);
      const CgScalars at = scalars(s);
      EXPECT_EQ(at.rr, 0.0);
      EXPECT_EQ(at.rz, 0.0);
      EXPECT_EQ(at.beta, 0.0);
      EXPECT_EQ(at.phi, 0.0);
      EXPECT_EQ(download(s.phi)[1], 0.0);
      EXPECT_EQ(at.iteration, 1);
      EXPECT_EQ(at.stopped, CgStop::kConverged);
    }
  for (const auto operation : {&Kernels::cg_direction, &Kernels::cg_move}) {
    const Solve s = solve(0);
    run(operation, s);
    EXPECT_EQ(scalars(s).iteration, 0);
    EXPECT_EQ(scalars(s).stopped, CgStop::kRunning);
  }
}

/// pᵀA·p = 0 is not positive; the boundary of a trust region is nowhere.
TEST_P(CgExtents, NoStepLengthWithoutElements) {
  for (const bool truncated : {false, true})
    for (const bool weighted : {false, true}) {
      Solve s = solve(0);
      if (weighted) s.use_weights({});
      s.all.truncated = truncated;
      s.all.weighted_norm = weighted;
      s.scalars.set({CgScalars{.radius = 1.0, .rz = 4.0}});
      run(&Kernels::cg_step_length, s);
      EXPECT_EQ(scalars(s).stopped, truncated ? CgStop::kNotFinite : CgStop::kNegativeCurvature);
    }
}

TEST_P(CgExtents, ASolveWithoutElementsEndsAsItBegins) {
  Solve s = solve(0);
  s.all.product = nullptr;
  for (const auto operation : {&Kernels::cg_begin, &Kernels::cg_direction, &Kernels::cg_step_length,
                               &Kernels::cg_step, &Kernels::cg_move, &Kernels::cg_residual})
    run(operation, s);
  const CgScalars at = scalars(s);
  EXPECT_EQ(at.stopped, CgStop::kConverged);
  EXPECT_EQ(at.iteration, 0);
  EXPECT_EQ(at.kept, 0);
}

// ---- random data -------------------------------------------------------------------------------

std::vector<float> random_weights_of(std::size_t n) {
  std::vector<float> result = uniform_floats(n, 6);
  for (float& w : result) w = 1.0f + 0.9f * w;
  return result;
}

TEST_P(CgExtents, ResidualsOfRandomDataAreRoundedOnce) {
  for (const std::size_t n : sizes())
    for (const bool weighted : {false, true})
      for (const auto operation : {&Kernels::cg_begin, &Kernels::cg_residual}) {
        const auto b = uniform_floats(n, 1), x = uniform_floats(n, 2), q = uniform_floats(n, 3);
        const auto w = weighted ? random_weights_of(n) : std::vector<float>(n, 1.0f);
        Solve s = solve(n);
        s.b.set(b), s.x.set(x), s.product.set(q);
        if (weighted) s.use_weights(w);
        s.scalars.set({CgScalars{.rz = 1.0, .slot = -1}});
        run(operation, s);
        const auto r = download(s.r);
        for (std::size_t i = 0; i < n; ++i)
          ASSERT_EQ(r[i], static_cast<float>(double(b[i]) - q[i]));
        // Sums are of the rounded vector, and in double; z is rounded as well.
        const auto rr = reference::dot(r, r), xb = reference::dot(x, b), xr = reference::dot(x, r);
        double rz = 0.0;
        for (std::size_t i = 0; i < n; ++i) rz += double(w[i]) * r[i] * r[i];
        const CgScalars at = scalars(s);
        EXPECT_TRUE(std::fabs(at.rr - rr.value) <= 1e-13 * rr.size) << at.rr;
        EXPECT_TRUE(std::fabs(at.rz - rz) <= kEpsilon * rz) << at.rz;
        EXPECT_TRUE(std::fabs(at.phi + 0.5 * (xb.value + xr.value)) <= 1e-13 * (xb.size + xr.size));
      }
}

TEST_P(CgExtents, DirectionsAndMovesOfRandomDataWithinRounding) {
  for (const std::size_t n : sizes()) {
    const auto x = uniform_floats(n, 2), r = uniform_floats(n, 3), p = uniform_floats(n, 4),
               w = random_weights_of(n);
    Solve s = solve(n);
    s.x.set(x), s.r.set(r), s.p.set(p), s.use_weights(w);
    s.scalars.set({CgScalars{.alpha = 0.7f, .beta = -0.3f, .iteration = 1, .slot = -1}});
    run(&Kernels::cg_direction, s);
    run(&Kernels::cg_move, s);
    const auto direction = download(s.p);
    std::vector<double> p_value, p_bound, x_value, x_bound;
    for (std::size_t i = 0; i < n; ++i) {
      const double z = double(w[i]) * r[i], kept = double(-0.3f) * p[i];
      p_value.push_back(z + kept);
      p_bound.push_back(kEpsilon * (std::fabs(z) + std::fabs(kept)));
      const double move = double(0.7f) * direction[i];
      x_value.push_back(x[i] + move);
      x_bound.push_back(kEpsilon * (std::fabs(x[i]) + std::fabs(move)));
    }
    expect_within(direction, p_value, p_bound);
    expect_within(download(s.x), x_value, x_bound);
  }
}

TEST_P(CgExtents, EveryScheduleGivesTheSameBits) {
  const std::size_t n = emulated() ? 20'003 : 200'003;
  const auto b = uniform_floats(n, 1), x = uniform_floats(n, 2), q = uniform_floats(n, 5),
             w = random_weights_of(n);
  for (const bool weighted : {false, true})
    for (const bool from_zero : {false, true})
      expect_same_on_every_schedule(GetParam(), [&] {
        Solve s = solve(n, 1);
        if (weighted) s.use_weights(w);
        s.b.set(b), s.x.set(x), s.product.set(q), s.keep_at.set({1});
        if (from_zero) s.all.product = nullptr;
        run(&Kernels::cg_begin, s);
        s.all.product = s.product.get();
        run(&Kernels::cg_direction, s);
        CgScalars at = scalars(s);
        at.alpha = 0.3;
        at.slot = 0;
        s.scalars.set({at});
        run(&Kernels::cg_move, s);
        run(&Kernels::cg_residual, s);
        run(&Kernels::cg_step_length, s);
        const CgScalars end = scalars(s);
        std::vector<double> result = {at.rr,  at.rz,   at.bb,    at.phi,   end.rr,
                                      end.rz, end.phi, end.beta, end.alpha};
        for (const auto& v : {download(s.x), download(s.r), download(s.p), download(s.kept)})
          result.insert(result.end(), v.begin(), v.end());
        return result;
      });
}

// ---- more than 2^31 elements -------------------------------------------------------------------

/// All vectors are zero but near their ends.
class CgFarExtents : public CgKernels {
 protected:
  static constexpr std::int64_t kN = kBeyondTwoToTheThirtyOne;
  static constexpr std::int64_t kPlaces[] = {kN - 6, kN - 1};

  void SetUp() override {
    CgKernels::SetUp();
    if (IsSkipped()) return;
    if (GetParam() != "host")
      GTEST_SKIP() << "walks 8 GiB that the test maps itself: only where that is quick";
  }

  /// `kept` is the second of two.
  struct FarSolve {
    explicit FarSolve(const CgFarExtents& t)
        : b(static_cast<std::size_t>(kN) * sizeof(float)),
          product(static_cast<std::size_t>(kN) * sizeof(float)),
          x(kN),
          r(kN),
          p(kN),
          scalars(t.output<CgScalars>(1)),
          phi(t.output<double>(5)),
          workspace(t.workspace(t.kernels().cg_workspace({.n = kN}))) {
      all.n = kN;
      all.b = b.get();
      all.product = product.get();
      all.x = x.get();
      all.r = r.get();
      all.p = p.get();
      all.scalars = scalars.get();
      all.phi = phi.get();
      all.workspace = reinterpret_cast<double*>(workspace.get());
      all.max_iterations = 4;
    }
    bool is_there() const { return b.get() && product.get() && x.get() && r.get() && p.get(); }

    SparseMemory b, product;
    RepeatingMemory x, r, p;
    DeviceBuffer<CgScalars> scalars;
    DeviceBuffer<double> phi;
    DeviceBuffer<float> workspace;
    CgProblem all;
  };
  CgScalars run_far(Operation<CgProblem> Kernels::*operation, const FarSolve& s) const {
    (kernels().*operation)(stream(), s.all);
    return download(s.scalars)[0];
  }
  static void set(float* vector, float value) {
    for (const std::int64_t i : kPlaces) vector[i] = value;
  }
  static void expect(const float* vector, float value) {
    for (const std::int64_t i : kPlaces) EXPECT_EQ(vector[i], value) << i;
    for (const std::int64_t i : {kN - 7, kN - 5, kN - 2}) EXPECT_EQ(vector[i], 0.0f) << i;
  }
};

#define CURVSEG_SKIP_WITHOUT(solve) \
  if (!(solve).is_there()) GTEST_SKIP() << "40 GiB of address space are not to be had here"

TEST_P(CgFarExtents, BeginOfMoreThanTwoToTheThirtyOneElements) {
  FarSolve s(*this);
  CURVSEG_SKIP_WITHOUT(s);
  set(s.b.get(), 5.0f), set(s.x.get(), 3.0f), set(s.product.get(), 1.0f);
  s.scalars.set({CgScalars{}});
  CgScalars at = run_far(&Kernels::cg_begin, s);
  expect(s.r.get(), 4.0f);
  EXPECT_EQ(at.rr, 2 * 16.0);
  EXPECT_EQ(at.bb, 2 * 25.0);
  EXPECT_EQ(at.phi, -0.5 * 2 * 3 * 9);
  s.all.product = nullptr;
  s.scalars.set({CgScalars{}});
  at = run_far(&Kernels::cg_begin, s);
  expect(s.r.get(), 5.0f);
  expect(s.x.get(), 0.0f);
  EXPECT_EQ(at.rr, 2 * 25.0);
}

TEST_P(CgFarExtents, DirectionAndStepLengthOfMoreThanTwoToTheThirtyOneElements) {
  FarSolve s(*this);
  CURVSEG_SKIP_WITHOUT(s);
  set(s.product.get(), 7.0f), set(s.x.get(), 1.0f), set(s.r.get(), 2.0f), set(s.p.get(), 1.0f);
  s.scalars.set({CgScalars{.radius = 1e3, .beta = 3.0, .rz = 140.0, .iteration = 1}});
  run_far(&Kernels::cg_direction, s);
  expect(s.p.get(), 5.0f);
  EXPECT_EQ(run_far(&Kernels::cg_step_length, s).alpha, 2.0);
  // Now (x + αp)² = 2·(1 + 5α)² = 2·11².
  s.all.truncated = true;
  s.scalars.set({CgScalars{.radius = std::sqrt(242.0), .rz = 1e9}});
  EXPECT_NEAR(run_far(&Kernels::cg_step_length, s).alpha, 2.0, 1e-12);
}

TEST_P(CgFarExtents, StepOfMoreThanTwoToTheThirtyOneElements) {
  FarSolve s(*this);
  const RepeatingMemory kept(2 * kN);
  CURVSEG_SKIP_WITHOUT(s);
  if (!kept.get()) GTEST_SKIP() << "16 GiB of address space are not to be had here";
  s.all.kept = kept.get();
  s.all.slots = 2;
  set(s.b.get(), 1.0f), set(s.product.get(), 7.0f);
  set(s.x.get(), 1.0f), set(s.r.get(), 20.0f), set(s.p.get(), 5.0f);
  s.scalars.set({CgScalars{.alpha = 2.0, .rz = 4.0, .kept = 1, .slot = 1}});
  const CgScalars at = run_far(&Kernels::cg_step, s);
  expect(s.x.get(), 11.0f);
  expect(kept.get() + kN, 11.0f);
  expect(s.r.get(), 6.0f);
  EXPECT_EQ(at.rr, 2 * 36.0);
  EXPECT_EQ(at.phi, -0.5 * 2 * 11 * 7);
}

TEST_P(CgFarExtents, MoveAndResidualOfMoreThanTwoToTheThirtyOneElements) {
  FarSolve s(*this);
  const RepeatingMemory kept(2 * kN);
  CURVSEG_SKIP_WITHOUT(s);
  if (!kept.get()) GTEST_SKIP() << "16 GiB of address space are not to be had here";
  s.all.kept = kept.get();
  s.all.slots = 2;
  set(s.b.get(), 5.0f), set(s.product.get(), 1.0f), set(s.x.get(), 1.0f), set(s.p.get(), 5.0f);
  s.scalars.set({CgScalars{.alpha = 2.0, .rz = 4.0, .kept = 1, .slot = 1}});
  run_far(&Kernels::cg_move, s);
  expect(s.x.get(), 11.0f);
  expect(kept.get() + kN, 11.0f);
  const CgScalars at = run_far(&Kernels::cg_residual, s);
  expect(s.r.get(), 4.0f);
  EXPECT_EQ(at.rr, 2 * 16.0);
  EXPECT_EQ(at.phi, -0.5 * 2 * 11 * 9);
}

CURVSEG_INSTANTIATE_TARGETS(CgExtents);
CURVSEG_INSTANTIATE_TARGETS(CgFarExtents);

}  // namespace
}  // namespace curvseg::testing
