#include <algorithm>
#include <cmath>
#include <string>
#include <type_traits>

#include "curvseg/ops.hpp"
#include "curvseg/solvers.hpp"
#include "host/ops/check.hpp"

namespace curvseg {
namespace {

constexpr const char* kConjugateGradients = "ConjugateGradients";

void check_options(std::int64_t size, const ConjugateGradientsOptions& o) {
  if (size < 0) refuse(kConjugateGradients, "the size is " + std::to_string(size));
  if (o.max_iterations < 1)
    refuse(kConjugateGradients,
           "max_iterations is " + std::to_string(o.max_iterations) + ", it must be at least 1");
  if (o.model_window < 1)
    refuse(kConjugateGradients,
           "model_window is " + std::to_string(o.model_window) + ", it must be at least 1");
  if (!(o.model_tolerance >= 0.0))
    refuse(kConjugateGradients, "model_tolerance is " + std::to_string(o.model_tolerance));
  if (o.recompute_residual_every < 0 || o.look_every < 0)
    refuse(kConjugateGradients,
           "recompute_residual_every is " + std::to_string(o.recompute_residual_every) +
               " and look_every " + std::to_string(o.look_every) + ", they must not be negative");
}

/// ⌈1.3^j⌉ up to `last`, each once.
std::vector<std::int32_t> iterations_to_keep(int last) {
  std::vector<std::int32_t> result;
  for (double power = 1.0; std::ceil(power) <= last; power *= 1.3) {
    const auto iteration = static_cast<std::int32_t>(std::ceil(power));
    if (result.empty() || result.back() < iteration) result.push_back(iteration);
  }
  return result;
}

/// Device memory for `count` objects of another type than arrays are made of.
template <class T>
DeviceArray<float> memory_for(const Device& device, std::int64_t count) {
  static_assert(std::is_trivially_copyable_v<T> && sizeof(T) % sizeof(float) == 0);
  return {device, count * std::int64_t{sizeof(T) / sizeof(float)}};
}

ConjugateGradientsStop public_stop(CgStop stop) {
  switch (stop) {
    case CgStop::kModel:
      return ConjugateGradientsStop::kModel;
    case CgStop::kResidual:
      return ConjugateGradientsStop::kResidual;
    case CgStop::kConverged:
      return ConjugateGradientsStop::kConverged;
    case CgStop::kNegativeCurvature:
      return ConjugateGradientsStop::kNegativeCurvature;
    case CgStop::kBoundary:
      return ConjugateGradientsStop::kBoundary;
    case CgStop::kNotFinite:
      return ConjugateGradientsStop::kNotFinite;
    case CgStop::kRunning:
    case CgStop::kIterations:
      break;
  }
  return ConjugateGradientsStop::kIterations;
}

}  // namespace

std::string_view to_string(ConjugateGradientsStop stop) {
  switch (stop) {
    case ConjugateGradientsStop::kModel:
      return "model";
    case ConjugateGradientsStop::kResidual:
      return "residual";
    case ConjugateGradientsStop::kConverged:
      return "converged";
    case ConjugateGradientsStop::kIterations:
      return "iterations";
    case ConjugateGradientsStop::kNegativeCurvature:
      return "negative curvature";
    case ConjugateGradientsStop::kBoundary:
      return "boundary";
    case ConjugateGradientsStop::kNotFinite:
      return "not finite";
  }
  return "?";
}

struct ConjugateGradients::State {
  State(const Stream& on, std::int64_t n, const ConjugateGradientsOptions& o);

  void check(const ConjugateGradientsProblem& problem, ConstVectorView x) const;
  void start(const LinearMap& a, const ConjugateGradientsProblem& problem, VectorView x);
  void enqueue_iteration(const LinearMap& a, int iteration);
  void look();
  void make_report();

  void multiply(const LinearMap& a, const float* v) {
    a({v, size}, {product.data(), size});
    ++report.products;
  }
  void run(Operation<CgProblem> Kernels::*operation) const {
    const CurrentDevice current(stream.device());
    (kernels_of(stream).*operation)(stream.native(), cg);
  }

  Stream stream;
  std::int64_t size;
  ConjugateGradientsOptions options;
  std::vector<std::int32_t> keep_at;
  DeviceArray<float> residual, direction, product, kept_x, scalars, phi, workspace;
  DeviceArray<std::int32_t> device_keep_at;
  CgProblem cg;

  // Copies read and write these later than they are asked for.
  CgScalars first = {}, seen = {};
  std::vector<double> models;
  std::vector<KeptIterate> kept;
  ConjugateGradientsReport report;
};

ConjugateGradients::State::State(const Stream& on, std::int64_t n,
                                 const ConjugateGradientsOptions& o)
    : stream(on), size(n), options(o) {
  const Device device = stream.device();
  if (options.keep_iterates) keep_at = iterations_to_keep(options.max_iterations);
  if (options.look_every == 0) options.look_every = device.is_host() ? 1 : 5;
  const auto slots = static_cast<std::int64_t>(keep_at.size());
  const std::int64_t points = options.max_iterations + std::int64_t{1};
  cg.n = size;
  residual = {device, size};
  direction = {device, size};
  product = {device, size};
  kept_x = {device, slots * size};
  scalars = memory_for<CgScalars>(device, 1);
  phi = memory_for<double>(device, points);
  workspace = {device, kernels_of(stream).cg_workspace(cg)};
  device_keep_at = {device, slots};
  device_keep_at.upload(stream, keep_at.data(), slots);
  fill(stream, {direction.data(), size}, 0.0f);  // operators read it when a solve ends at its start
  models.resize(static_cast<std::size_t>(points));
  kept.reserve(keep_at.size());

  cg.product = product.data();
  cg.r = residual.data();
  cg.p = direction.data();
  cg.scalars = reinterpret_cast<CgScalars*>(scalars.data());
  cg.phi = reinterpret_cast<double*>(phi.data());
  cg.keep_at = device_keep_at.data();
  cg.slots = static_cast<std::int32_t>(slots);
  cg.kept = kept_x.data();
  cg.workspace = reinterpret_cast<double*>(workspace.data());
  cg.max_iterations = options.max_iterations;
  cg.window = options.model_window;
  cg.epsilon = options.model_tolerance;
  stream.synchronise();  // the upload's source may move with this object
}

void ConjugateGradients::State::check(const ConjugateGradientsProblem& problem,
                                      ConstVectorView x) const {
  const auto check_vector = [this](const char* name, const ConstVectorView& v) {
    if (v.size != size)
      refuse(kConjugateGradients, std::string(name) + " has " + std::to_string(v.size) +
                                      " elements, the solver was made for " + std::to_string(size));
    if (!v.data && size > 0) refuse(kConjugateGradients, std::string(name) + " has no memory");
  };
  check_vector("b", problem.b);
  check_vector("x", x);
  if (problem.inverse_weights.data || problem.inverse_weights.size != 0)
    check_vector("the preconditioner", problem.inverse_weights);
  if (!(problem.radius >= 0.0) || !(problem.residual_tolerance >= 0.0))
    refuse(kConjugateGradients,
           "the radius is " + std::to_string(problem.radius) + " and the residual tolerance " +
               std::to_string(problem.residual_tolerance) + ", they must not be negative");
  if (problem.radius > 0.0 && problem.warm_start)
    refuse(kConjugateGradients,
           "a trust region and a warm start exclude each other: norms grow from 0");
}

void ConjugateGradients::State::start(const LinearMap& a, const ConjugateGradientsProblem& problem,
                                      VectorView x) {
  report = {};
  kept.clear();
  cg.b = problem.b.data;
  cg.weights = problem.inverse_weights.data;
  cg.x = x.data;
  cg.truncated = problem.radius > 0.0;
  cg.weighted_norm = problem.radius_norm == TrustRegionNorm::kPreconditioner;
  first = {};
  first.radius = problem.radius;
  first.tolerance = problem.residual_tolerance;
  scalars.upload(stream, reinterpret_cast<const float*>(&first), scalars.size());
  cg.product = nullptr;
  if (problem.warm_start) {
    multiply(a, cg.x);
    cg.product = product.data();
  }
  run(&Kernels::cg_begin);
  cg.product = product.data();
}

void ConjugateGradients::State::enqueue_iteration(const LinearMap& a, int iteration) {
  run(&Kernels::cg_direction);
  multiply(a, cg.p);
  run(&Kernels::cg_step_length);
  const int every = options.recompute_residual_every;
  if (every == 0 || iteration % every != 0) return run(&Kernels::cg_step);
  run(&Kernels::cg_move);
  multiply(a, cg.x);
  run(&Kernels::cg_residual);
}

void ConjugateGradients::State::look() {
  scalars.download(stream, reinterpret_cast<float*>(&seen), scalars.size());
  stream.synchronise();
}

void ConjugateGradients::State::make_report() {
  const std::size_t points = static_cast<std::size_t>(seen.iteration) + 1;
  constexpr std::int64_t kFloats = sizeof(double) / sizeof(float);
  phi.download(stream, reinterpret_cast<float*>(models.data()),
               kFloats * static_cast<std::int64_t>(points));
  stream.synchronise();
  report.iterations = seen.iteration;
  report.stop = public_stop(seen.stopped);
  report.model = seen.phi;
  report.residual = std::sqrt(seen.rr);
  report.rhs = std::sqrt(seen.bb);
  report.models = {models.data(), points};
  for (int j = 0; j < seen.kept; ++j) {
    const std::int32_t iteration = keep_at[static_cast<std::size_t>(j)];
    kept.push_back(
        {iteration, models[static_cast<std::size_t>(iteration)], {kept_x.data() + j * size, size}});
  }
}

ConjugateGradients::ConjugateGradients(const Stream& stream, std::int64_t size,
                                       const ConjugateGradientsOptions& options) {
  check_options(size, options);
  state_ = std::make_unique<State>(stream, size, options);
}
ConjugateGradients::~ConjugateGradients() = default;
ConjugateGradients::ConjugateGradients(ConjugateGradients&&) noexcept = default;
ConjugateGradients& ConjugateGradients::operator=(ConjugateGradients&&) noexcept = default;

const ConjugateGradientsReport& ConjugateGradients::solve(const LinearMap& a,
                                                          const ConjugateGradientsProblem& problem,
                                                          VectorView x) {
  State& s = *state_;
  s.check(problem, x);
  try {
    s.start(a, problem, x);
    for (int i = 1; i <= s.options.max_iterations; ++i) {
      s.enqueue_iteration(a, i);
      if (i % s.options.look_every != 0 && i != s.options.max_iterations) continue;
      s.look();
      if (s.seen.stopped != CgStop::kRunning) break;
    }
    s.make_report();
  } catch (...) {
    // What is enqueued uses this object, which the exception may be about to end.
    try {
      s.stream.synchronise();
    } catch (...) {
      // The first error is the one to tell.
    }
    throw;
  }
  return s.report;
}

std::span<const KeptIterate> ConjugateGradients::kept() const { return state_->kept; }

std::size_t ConjugateGradients::memory_bytes() const {
  const State& s = *state_;
  return s.residual.bytes() + s.direction.bytes() + s.product.bytes() + s.kept_x.bytes() +
         s.scalars.bytes() + s.phi.bytes() + s.workspace.bytes() + s.device_keep_at.bytes();
}

}  // namespace curvseg
