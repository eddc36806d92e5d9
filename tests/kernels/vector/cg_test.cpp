// The kernels of conjugate gradients one by one, on every target: whole numbers in every bit,
// random data within rounding, each rule for stopping, and that a stopped solve stays as it is.
#include <cmath>
#include <string>

#include "kernels/vector/cg_solve.hpp"
#include "reference/vector.hpp"
#include "support/random_data.hpp"
#include "support/rounding.hpp"
#include "support/schedules.hpp"
#include "support/targets.hpp"

namespace curvseg::testing {
namespace {

double whole_dot(const std::vector<float>& x, const std::vector<float>& y) {
  return reference::dot(x, y).value;
}
std::vector<float> sum(const std::vector<float>& x, float scale, const std::vector<float>& y) {
  std::vector<float> result(x.size());
  for (std::size_t i = 0; i < x.size(); ++i) result[i] = x[i] + scale * y[i];
  return result;
}
std::vector<float> product(const std::vector<float>& x, const std::vector<float>& y) {
  std::vector<float> result(x.size());
  for (std::size_t i = 0; i < x.size(); ++i) result[i] = x[i] * y[i];
  return result;
}
std::vector<float> weights_of(std::size_t n) {
  std::vector<float> result = small_integers(n, 9, 1);
  for (float& w : result) w += 1.0f;  // 0, 1 or 2
  result[0] = 2.0f;
  return result;
}

TEST_P(CgKernels, BeginAtAnIterate) {
  for (const std::size_t n : sizes())
    for (const bool weighted : {false, true}) {
      SCOPED_TRACE(std::to_string(n) + (weighted ? ", weighted" : ""));
      const auto b = small_integers(n, 1), x = small_integers(n, 2), q = small_integers(n, 3);
      const auto w = weighted ? weights_of(n) : std::vector<float>(n, 1.0f);
      Solve s = solve(n);
      s.b.set(b), s.x.set(x), s.product.set(q);
      if (weighted) s.use_weights(w);
      run(&Kernels::cg_begin, s);
      const auto r = sum(b, -1.0f, q);
      EXPECT_EQ(download(s.r), r);
      EXPECT_EQ(download(s.x), x);
      const CgScalars at = scalars(s);
      EXPECT_EQ(at.rr, whole_dot(r, r));
      EXPECT_EQ(at.rz, whole_dot(r, product(w, r)));
      EXPECT_EQ(at.bb, whole_dot(b, b));
      EXPECT_EQ(at.phi, -0.5 * whole_dot(x, sum(b, 1.0f, r)));
      EXPECT_EQ(download(s.phi)[0], at.phi);
      EXPECT_EQ(at.iteration, 0);
    }
}

TEST_P(CgKernels, BeginAtZero) {
  for (const std::size_t n : sizes())
    for (const bool weighted : {false, true}) {
      const auto b = small_integers(n, 4);
      const auto w = weighted ? weights_of(n) : std::vector<float>(n, 1.0f);
      Solve s = solve(n);
      s.b.set(b);
      if (weighted) s.use_weights(w);
      s.all.product = nullptr;
      run(&Kernels::cg_begin, s);
      EXPECT_EQ(download(s.r), b);
      EXPECT_EQ(download(s.x), std::vector<float>(n, 0.0f));
      const CgScalars at = scalars(s);
      EXPECT_EQ(at.rr, whole_dot(b, b));
      EXPECT_EQ(at.rz, whole_dot(b, product(w, b)));
      EXPECT_EQ(at.phi, 0.0);
    }
}

TEST_P(CgKernels, DirectionsBeginAsPreconditionedResiduals) {
  for (const bool weighted : {false, true}) {
    const std::size_t n = 1031;
    const auto r = small_integers(n, 5), p = small_integers(n, 6);
    const auto w = weighted ? weights_of(n) : std::vector<float>(n, 1.0f);
    Solve s = solve(n);
    s.r.set(r);
    if (weighted) s.use_weights(w);
    s.scalars.set({CgScalars{.beta = NAN}});  // and p is NaN: neither is read in the beginning
    run(&Kernels::cg_direction, s);
    EXPECT_EQ(download(s.p), product(w, r));
    s.p.set(p);
    s.scalars.set({CgScalars{.beta = -2.0, .iteration = 1}});
    run(&Kernels::cg_direction, s);
    EXPECT_EQ(download(s.p), sum(product(w, r), -2.0f, p));
  }
}

TEST_P(CgKernels, StepAndMove) {
  for (const std::size_t n : sizes())
    for (const bool weighted : {false, true})
      for (const bool keep : {false, true})
        for (const bool recompute : {false, true}) {
          SCOPED_TRACE(std::to_string(n) + (weighted ? ", weighted" : "") + (keep ? ", kept" : "") +
                       (recompute ? ", recomputed" : ""));
          const auto b = small_integers(n, 1), x = small_integers(n, 2), r = small_integers(n, 3),
                     p = small_integers(n, 4), q = small_integers(n, 5);
          const auto w = weighted ? weights_of(n) : std::vector<float>(n, 1.0f);
          Solve s = solve(n, 2);
          s.b.set(b), s.x.set(x), s.r.set(r), s.p.set(p), s.product.set(q);
          if (weighted) s.use_weights(w);
          s.scalars.set({CgScalars{.alpha = 3.0, .rz = 4.0, .kept = keep, .slot = keep ? 1 : -1}});
          const auto moved = sum(x, 3.0f, p);
          auto residual = sum(r, -3.0f, q);
          if (recompute) {
            run(&Kernels::cg_move, s);
            EXPECT_EQ(download(s.r), r);
            residual = sum(b, -1.0f, q);
            run(&Kernels::cg_residual, s);
          } else {
            run(&Kernels::cg_step, s);
          }
          EXPECT_EQ(download(s.x), moved);
          EXPECT_EQ(download(s.r), residual);
          EXPECT_EQ(download(s.p), p);
          const auto kept = download(s.kept);
          EXPECT_TRUE(std::isnan(kept[0]));
          if (keep) {
            EXPECT_EQ(std::vector<float>(kept.begin() + std::ptrdiff_t(n), kept.end()), moved);
          } else {
            EXPECT_TRUE(std::isnan(kept[n]));
          }
          const CgScalars at = scalars(s);
          EXPECT_EQ(at.rr, whole_dot(residual, residual));
          EXPECT_EQ(at.rz, whole_dot(residual, product(w, residual)));
          EXPECT_EQ(at.beta, at.rz / 4.0);
          EXPECT_EQ(at.phi, -0.5 * whole_dot(moved, sum(b, 1.0f, residual)));
          EXPECT_EQ(download(s.phi)[1], at.phi);
          EXPECT_EQ(at.iteration, 1);
          EXPECT_EQ(at.kept, keep ? 2 : 0);
        }
}

TEST_P(CgKernels, StepOfRandomDataWithinRounding) {
  const std::size_t n = emulated() ? 20'003 : 100'003;
  const auto b = uniform_floats(n, 1), x = uniform_floats(n, 2), r = uniform_floats(n, 3),
             p = uniform_floats(n, 4), q = uniform_floats(n, 5);
  Solve s = solve(n);
  s.b.set(b), s.x.set(x), s.r.set(r), s.p.set(p), s.product.set(q);
  s.scalars.set({CgScalars{.alpha = 0.7f, .rz = 1.0, .slot = -1}});
  run(&Kernels::cg_step, s);
  std::vector<double> x_value, x_bound, r_value, r_bound;
  const double alpha = 0.7f;
  for (std::size_t i = 0; i < n; ++i) {
    x_value.push_back(x[i] + alpha * p[i]);
    x_bound.push_back(kEpsilon * (std::fabs(x[i]) + std::fabs(alpha * p[i])));
    r_value.push_back(r[i] - alpha * q[i]);
    r_bound.push_back(kEpsilon * (std::fabs(r[i]) + std::fabs(alpha * q[i])));
  }
  const auto moved = download(s.x), residual = download(s.r);
  expect_within(moved, x_value, x_bound);
  expect_within(residual, r_value, r_bound);
  // Sums are of the rounded vectors, and in double.
  const CgScalars at = scalars(s);
  const auto rr = reference::dot(residual, residual);
  const auto xb = reference::dot(moved, b), xr = reference::dot(moved, residual);
  EXPECT_TRUE(std::fabs(at.rr - rr.value) <= 1e-13 * rr.size) << at.rr;
  EXPECT_TRUE(std::fabs(at.phi + 0.5 * (xb.value + xr.value)) <= 1e-13 * (xb.size + xr.size));
}

// ---- step lengths ------------------------------------------------------------------------------

TEST_P(CgKernels, StepLengthIsTheMinimumAlongTheDirection) {
  for (const std::size_t n : sizes()) {
    const auto p = small_integers(n, 1), q = small_integers(n, 2);
    const double curvature = whole_dot(p, q);
    Solve s = solve(n);
    s.p.set(p), s.product.set(q);
    s.scalars.set({CgScalars{.rz = 5.0}});
    run(&Kernels::cg_step_length, s);
    const CgScalars at = scalars(s);
    if (curvature > 0.0) {
      EXPECT_EQ(at.alpha, 5.0 / curvature);
      EXPECT_EQ(at.stopped, CgStop::kRunning);
    } else {
      EXPECT_EQ(at.stopped, CgStop::kNegativeCurvature);
    }
    EXPECT_EQ(at.slot, -1);
  }
}

TEST_P(CgKernels, StepLengthInATrustRegion) {
  // x = (3, 0), p = (0, 1): to the boundary of radius 5 it is 4.
  const auto alpha = [&](float curvature, double rz, CgStop* last) {
    Solve s = solve(2);
    s.x.set({3.0f, 0.0f}), s.p.set({0.0f, 1.0f}), s.product.set({1.0f, curvature});
    s.all.truncated = true;
    s.scalars.set({CgScalars{.radius = 5.0, .rz = rz}});
    run(&Kernels::cg_step_length, s);
    *last = scalars(s).last;
    EXPECT_EQ(scalars(s).stopped, CgStop::kRunning);
    return scalars(s).alpha;
  };
  CgStop last = CgStop::kRunning;
  EXPECT_EQ(alpha(1.0f, 3.0, &last), 3.0);
  EXPECT_EQ(last, CgStop::kRunning);
  EXPECT_EQ(alpha(1.0f, 4.0, &last), 4.0);
  EXPECT_EQ(last, CgStop::kBoundary);
  EXPECT_EQ(alpha(2.0f, 40.0, &last), 4.0);
  EXPECT_EQ(last, CgStop::kBoundary);
  EXPECT_EQ(alpha(-2.0f, 1.0, &last), 4.0);
  EXPECT_EQ(last, CgStop::kNegativeCurvature);
  EXPECT_EQ(alpha(0.0f, 1.0, &last), 4.0);
  EXPECT_EQ(last, CgStop::kNegativeCurvature);
}

TEST_P(CgKernels, BoundariesInBothNorms) {
  for (const std::size_t n : sizes())
    for (const bool weighted : {false, true}) {
      SCOPED_TRACE(std::to_string(n) + (weighted ? ", weighted" : ""));
      const auto x = uniform_floats(n, 1), p = uniform_floats(n, 2);
      auto w = weights_of(n);
      Solve s = solve(n);
      s.use_weights(w);
      std::vector<float> inside = x, along = p;
      double xx = 0.0, xp = 0.0, pp = 0.0;
      for (std::size_t i = 0; i < n; ++i) {
        if (w[i] == 0.0f) inside[i] = along[i] = 0.0f;
        const double metric = !weighted ? 1.0 : w[i] > 0.0f ? 1.0 / w[i] : 0.0;
        xx += metric * inside[i] * inside[i];
        xp += metric * inside[i] * along[i];
        pp += metric * along[i] * along[i];
      }
      s.x.set(inside), s.p.set(along), s.product.set(along);
      s.all.truncated = true;
      s.all.weighted_norm = weighted;
      const double radius = 1.5 * std::sqrt(xx);
      s.scalars.set({CgScalars{.radius = radius, .rz = 1e9}});
      run(&Kernels::cg_step_length, s);
      const CgScalars at = scalars(s);
      EXPECT_EQ(at.last, CgStop::kBoundary);
      EXPECT_GT(at.alpha, 0.0);
      const double reached = xx + 2.0 * at.alpha * xp + at.alpha * at.alpha * pp;
      EXPECT_NEAR(reached, radius * radius, 1e-12 * radius * radius);
    }
}

TEST_P(CgKernels, StepLengthsThatAreNotFinite) {
  for (const bool truncated : {false, true})
    for (const float bad : {NAN, INFINITY}) {
      Solve s = solve(2);
      s.x.set({0.0f, 0.0f}), s.p.set({1.0f, 1.0f}), s.product.set({1.0f, bad});
      s.all.truncated = truncated;
      s.scalars.set({CgScalars{.radius = 1.0, .rz = 2.0}});
      run(&Kernels::cg_step_length, s);
      EXPECT_EQ(scalars(s).stopped, CgStop::kNotFinite);
      // An α beyond float.
      s.product.set({1e-30f, 0.0f});
      s.all.truncated = false;
      s.scalars.set({CgScalars{.rz = 1e10}});
      run(&Kernels::cg_step_length, s);
      EXPECT_EQ(scalars(s).stopped, CgStop::kNotFinite);
    }
}

TEST_P(CgKernels, IterationsToKeepGetTheirSlots) {
  const auto slot = [&](int iteration, int kept) {
    Solve s = solve(1, 3);
    s.keep_at.set({1, 2, 4});
    s.p.set({1.0f}), s.product.set({1.0f});
    s.scalars.set({CgScalars{.rz = 1.0, .iteration = iteration, .kept = kept}});
    run(&Kernels::cg_step_length, s);
    return scalars(s).slot;
  };
  EXPECT_EQ(slot(0, 0), 0);
  EXPECT_EQ(slot(1, 1), 1);
  EXPECT_EQ(slot(2, 2), -1);
  EXPECT_EQ(slot(3, 2), 2);
  EXPECT_EQ(slot(4, 3), -1);
}

TEST_P(CgKernels, EveryScheduleGivesTheSameBits) {
  const std::size_t n = emulated() ? 20'003 : 200'003;
  const auto b = uniform_floats(n, 1), r = uniform_floats(n, 3), p = uniform_floats(n, 4),
             q = uniform_floats(n, 5);
  const std::vector<float> w(n, 0.3f);
  expect_same_on_every_schedule(GetParam(), [&] {
    Solve s = solve(n);
    s.use_weights(w);
    s.all.truncated = s.all.weighted_norm = true;
    s.b.set(b), s.x.set(b), s.r.set(r), s.p.set(p), s.product.set(q);
    s.scalars.set({CgScalars{.radius = 1e6, .rz = 1.0, .iteration = 1}});
    run(&Kernels::cg_step_length, s);
    run(&Kernels::cg_step, s);
    run(&Kernels::cg_direction, s);
    const CgScalars at = scalars(s);
    std::vector<double> result = {at.alpha, at.beta, at.rr, at.rz, at.phi};
    for (const auto& v : {download(s.x), download(s.r), download(s.p)})
      result.insert(result.end(), v.begin(), v.end());
    return result;
  });
}

CURVSEG_INSTANTIATE_TARGETS(CgKernels);

}  // namespace
}  // namespace curvseg::testing
