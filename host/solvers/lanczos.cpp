#include <algorithm>
#include <cmath>
#include <numeric>

#include "curvseg/solvers.hpp"
#include "host/solvers/lanczos_process.hpp"
#include "host/solvers/tridiagonal.hpp"
#include "host/solvers/vector_ops.hpp"

namespace curvseg {
namespace {

constexpr const char* kLanczosEigenpairs = "lanczos_eigenpairs";
constexpr int kStepsBetweenLooks = 8;

void check_options(std::int64_t size, const LanczosOptions& options) {
  if (size < 0) refuse(kLanczosEigenpairs, "the size is " + std::to_string(size));
  if (options.count < 1)
    refuse(kLanczosEigenpairs, std::to_string(options.count) + " pairs were asked for");
  if (options.max_steps < options.count)
    refuse(kLanczosEigenpairs, std::to_string(options.count) + " pairs were asked for, of " +
                                   std::to_string(options.max_steps) + " steps");
  if (!(options.tolerance >= 0.0))
    refuse(kLanczosEigenpairs, "the tolerance is " + std::to_string(options.tolerance));
  check_optional_vector(kLanczosEigenpairs, "the mask", options.mask, size);
}

/// Numbers of the wanted eigenvalues, of ascending ones.
std::vector<std::size_t> choose(const std::vector<double>& values, const LanczosOptions& options) {
  std::vector<std::size_t> order(values.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  if (options.order == EigenpairOrder::kLargest) std::reverse(order.begin(), order.end());
  if (options.order == EigenpairOrder::kLargestMagnitude)
    std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
      return std::fabs(values[a]) > std::fabs(values[b]);
    });
  order.resize(std::min(order.size(), static_cast<std::size_t>(options.count)));
  return order;
}

/// The wanted eigenpairs of T after some steps.
struct RitzPairs {
  RitzPairs(const LanczosProcess& process, int steps_, const LanczosOptions& options)
      : steps(steps_),
        all(tridiagonal_eigenpairs(process.diagonal(steps), process.beside(steps - 1))),
        chosen(choose(all.values, options)) {
    const double beta = process.beside(steps).back();
    scale = std::max(std::fabs(all.values.front()), std::fabs(all.values.back()));
    converged = chosen.size() == static_cast<std::size_t>(options.count);
    for (const std::size_t i : chosen) {
      values.push_back(all.values[i]);
      residuals.push_back(std::fabs(beta * all.at(static_cast<std::size_t>(steps) - 1, i)));
      converged = converged && residuals.back() <= options.tolerance * scale;
    }
  }

  int steps;
  TridiagonalEigenpairs all;
  std::vector<std::size_t> chosen;
  std::vector<double> values, residuals;
  double scale;
  bool converged;
};

/// Decides when Lanczos has found what it can.
class Settled {
 public:
  explicit Settled(const LanczosOptions& options) : options_(options) {}

  /// Whether these pairs are the answer. A Krylov space holds one eigenvector of each eigenvalue;
  /// so after an invariant one it takes a second, from a new vector, which finds nothing better.
  bool accept(const RitzPairs& pairs, bool invariant) {
    bool same = first_ ? !invariant : earlier_.size() == pairs.values.size();
    for (std::size_t i = 0; i < earlier_.size() && same && !first_; ++i)
      same = std::fabs(earlier_[i] - pairs.values[i]) <= options_.tolerance * pairs.scale;
    if (invariant) {
      earlier_ = pairs.values;
      first_ = false;
    }
    return pairs.converged && same;
  }

 private:
  const LanczosOptions& options_;
  std::vector<double> earlier_;  // at the end of the last invariant subspace
  bool first_ = true;
};

/// Runs until the wanted pairs have converged, the steps or the space are used up; returns how many
/// columns T has.
int run(LanczosProcess& process, const LinearMap& a, int max_steps, const LanczosOptions& options) {
  std::uint64_t starts = 0;
  Settled settled(options);
  process.begin(0, options.seed, starts++, options.mask);
  if (!process.began()) return 0;
  for (int steps = 0;;) {
    const int target = std::min(steps + kStepsBetweenLooks, max_steps);
    for (int j = steps; j < target; ++j) process.step(a, j);
    process.read(steps, target);
    bool invariant = false;
    while (steps < target && !invariant) invariant = process.beside(++steps).back() == 0.0;
    if (steps == max_steps || settled.accept(RitzPairs(process, steps, options), invariant))
      return steps;
    if (!invariant) continue;
    process.begin(steps, options.seed, starts++, options.mask);
    if (!process.began()) return steps;
  }
}

}  // namespace

ConstVectorView Eigenpairs::vector(std::size_t i) const {
  const std::int64_t size = vectors.size() / static_cast<std::int64_t>(values.size());
  return {vectors.data() + static_cast<std::int64_t>(i) * size, size};
}

Eigenpairs lanczos_eigenpairs(const Stream& stream, const LinearMap& a, std::int64_t size,
                              const LanczosOptions& options) {
  check_options(size, options);
  const int max_steps = static_cast<int>(std::min<std::int64_t>(options.max_steps, size));
  Eigenpairs result;
  if (max_steps == 0) return result;
  LanczosProcess process(stream, kLanczosEigenpairs, size, max_steps);
  result.steps = run(process, a, max_steps, options);
  if (result.steps == 0) return result;
  const RitzPairs pairs(process, result.steps, options);
  result.converged = pairs.converged;
  result.values = pairs.values;
  result.residuals = pairs.residuals;
  result.vectors = {stream.device(), size * static_cast<std::int64_t>(pairs.chosen.size())};
  for (std::size_t k = 0; k < pairs.chosen.size(); ++k)
    combine(stream, result.steps,
            [&](int j) {
              const double s = pairs.all.at(static_cast<std::size_t>(j), pairs.chosen[k]);
              return VectorTerm{process.basis().vector(j), static_cast<float>(s)};
            },
            {result.vectors.data() + static_cast<std::int64_t>(k) * size, size});
  stream.synchronise();  // the basis goes
  return result;
}

}  // namespace curvseg
