// Solves by conjugate gradients, for tests.
#pragma once

#include <cmath>
#include <memory>

#include "host/solvers/operators.hpp"

namespace curvseg::testing {

class ConjugateGradientsTest : public SolverTest {
 protected:
  /// From 0, or from `x` where it is not empty.
  ConjugateGradientsReport solve(const LinearMap& a, const std::vector<float>& b,
                                 const ConjugateGradientsOptions& options,
                                 ConjugateGradientsProblem problem, std::vector<float>& x) {
    const DeviceArray<float> device_b = upload(b);
    const DeviceArray<float> device_x = upload(x.empty() ? std::vector<float>(b.size(), NAN) : x);
    problem.b = view(device_b);
    problem.warm_start = !x.empty();
    solver_ = std::make_unique<ConjugateGradients>(stream_, device_b.size(), options);
    const ConjugateGradientsReport report = solver_->solve(a, problem, view(device_x));
    x = download(device_x);
    return report;
  }

  /// For dense matrices.
  std::size_t size() const { return emulated() ? 50 : 130; }

  std::unique_ptr<ConjugateGradients> solver_;  // keeps what the report points to
};

/// n eigenvalues from 1/condition to 1, evenly on a logarithmic scale.
inline std::vector<double> logarithmic_spectrum(std::size_t n, double condition) {
  std::vector<double> result;
  for (std::size_t i = 0; i < n; ++i)
    result.push_back(
        std::pow(condition, -static_cast<double>(i) / static_cast<double>(n > 1 ? n - 1 : 1)));
  return result;
}

/// Stops for no reason of its own.
inline constexpr ConjugateGradientsOptions kExact = {.max_iterations = 1000,
                                                     .model_tolerance = 0.0};

}  // namespace curvseg::testing
