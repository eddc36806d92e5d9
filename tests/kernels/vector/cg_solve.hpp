// The memory of one solve by conjugate gradients, for tests of its kernels.
#pragma once

#include <string>
#include <vector>

#include "support/targets.hpp"

namespace curvseg::testing {

/// The memory of one solve; vectors hold what a test puts there.
class CgKernels : public TargetTest {
 protected:
  struct Solve {
    Solve(const CgKernels& t, std::size_t n, int slots, int iterations)
        : b(t.output<float>(n)),
          weights(t.output<float>(n)),
          product(t.output<float>(n)),
          x(t.output<float>(n)),
          r(t.output<float>(n)),
          p(t.output<float>(n)),
          kept(t.output<float>(n * static_cast<std::size_t>(slots))),
          scalars(t.output<CgScalars>(1)),
          phi(t.output<double>(static_cast<std::size_t>(iterations) + 1)),
          keep_at(t.output<std::int32_t>(static_cast<std::size_t>(slots))),
          workspace(t.output<float>(
              static_cast<std::size_t>(t.kernels().cg_workspace({.n = std::int64_t(n)})))) {
      scalars.set({CgScalars{}});
      all.n = static_cast<std::int64_t>(n);
      all.b = b.get();
      all.product = product.get();
      all.x = x.get();
      all.r = r.get();
      all.p = p.get();
      all.scalars = scalars.get();
      all.phi = phi.get();
      all.keep_at = keep_at.get();
      all.slots = slots;
      all.kept = kept.get();
      all.workspace = reinterpret_cast<double*>(workspace.get());
      all.max_iterations = iterations;
    }
    void use_weights(const std::vector<float>& values) {
      weights.set(values);
      all.weights = weights.get();
    }
    DeviceBuffer<float> b, weights, product, x, r, p, kept;
    DeviceBuffer<CgScalars> scalars;
    DeviceBuffer<double> phi;
    DeviceBuffer<std::int32_t> keep_at;
    DeviceBuffer<float> workspace;
    CgProblem all;
  };

  Solve solve(std::size_t n, int slots = 0, int iterations = 4) const {
    return {*this, n, slots, iterations};
  }
  CgScalars scalars(const Solve& s) const { return download(s.scalars)[0]; }
  void run(Operation<CgProblem> Kernels::*operation, const Solve& s) const {
    (kernels().*operation)(stream(), s.all);
  }
  std::vector<std::size_t> sizes() const {
    if (emulated()) return {1, 31, 257, 16'385};
    return {1, 2, 31, 257, 16'384, 16'385, 100'003};
  }
};

}  // namespace curvseg::testing
