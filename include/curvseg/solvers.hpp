/// \file
/// Linear solvers and spectral estimates for symmetric operators that are never formed.
///
/// An operator is any function that multiplies: nothing here knows what a network is.
///
/// ```
/// curvseg::BatchLoss loss(stream, model, images.shape());  // or anything else that multiplies
/// loss.linearise(theta, images, labels);
/// const curvseg::LinearMap damped = [&](curvseg::ConstVectorView v, curvseg::VectorView product) {
///   loss.ggnvp(v, product);
///   curvseg::linear_combination(stream, {{product}, {v, lambda}}, product);
/// };
/// curvseg::ConjugateGradients solver(stream, theta.size);
/// const auto& report = solver.solve(damped, {.b = minus_gradient}, step);
/// ```
///
/// Vectors are flat, in device memory of the stream's device. Where some of their elements are
/// padding, as between the parameters of a model, an operator has to map zeros there to zeros, and
/// right-hand sides, starts and masks have to be zero there: then all that comes out is, too.
/// Model::mark_parameters() writes the mask of a model.
///
/// A solver or function enqueues on the one stream that it is given, and so must the operator.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "curvseg/device.hpp"
#include "curvseg/tensor.hpp"

namespace curvseg {

/// product = A·v for a symmetric A, enqueued on the solver's stream. Overwrites `product`; the two
/// never overlap, and neither may be kept. It is called once a product, also for some that are
/// thrown away because the solver had stopped before the host looked.
using LinearMap = std::function<void(ConstVectorView v, VectorView product)>;

// ---- conjugate gradients -----------------------------------------------------------------------

/// Fixed for a solver.
struct ConjugateGradientsOptions {
  int max_iterations = 250;  ///< at least 1
  /// Stop after iteration i > k with φ_i < 0 and (φ_i − φ_{i−k}) / φ_i < k·ε, where
  /// k = max(model_window, ⌈i/10⌉) and ε is model_tolerance; 0: never for this reason.
  double model_tolerance = 5e-4;
  int model_window = 10;  ///< at least 1
  /// Each so many iterations r = b − A·x is computed anew, by one product more; 0: never.
  int recompute_residual_every = 10;
  /// Iterations that are enqueued between two looks at whether to stop: what comes out does not
  /// depend on it. 0: 1 where kernels run at once (the host target), else 5.
  int look_every = 0;
  bool keep_iterates = false;  ///< store x after iterations ⌈1.3^j⌉, for backtracking
};

/// The norm of a trust region.
enum class TrustRegionNorm {
  kEuclidean,  ///< ‖x‖² = Σ x_i²
  kPreconditioner,  ///< ‖x‖² = Σ x_i² / w_i over w_i > 0, w the inverse weights; without: Euclidean
};

/// What is to be solved.
struct ConjugateGradientsProblem {
  ConstVectorView b;  ///< the right-hand side, of the solver's size
  /// The preconditioner as a diagonal: z = inverse_weights ∘ r, all ≥ 0; empty: none.
  ConstVectorView inverse_weights = {};
  bool warm_start = false;          ///< begin at what x holds, by one product; else at 0
  double residual_tolerance = 0.0;  ///< stop when ‖r‖ ≤ residual_tolerance · ‖b‖; 0: never
  /// Truncation of Steihaug and Toint: stop at ‖x‖ = radius, and there too, along the direction
  /// found, where it has no positive curvature. 0: none, and such a direction is not taken.
  /// Iterates begin at 0 then.
  double radius = 0.0;
  TrustRegionNorm radius_norm = TrustRegionNorm::kEuclidean;  ///< not used without one
};

/// Why a solve ended.
enum class ConjugateGradientsStop {
  kModel,              ///< the quadratic model hardly decreases any more
  kResidual,           ///< ‖r‖ ≤ residual_tolerance · ‖b‖, where that is above 0
  kConverged,          ///< ‖r‖ is within the rounding of b, or 0: float has no better x
  kIterations,         ///< max_iterations
  kNegativeCurvature,  ///< pᵀA·p ≤ 0: x is on the boundary along p, or, without radius, as before
  kBoundary,           ///< x is on the boundary of the trust region
  /// A product, the residual or φ is infinite or NaN; where an optimiser says so in 0 iterations,
  /// it may be the loss or its gradient.
  kNotFinite,
};

/// "model", "residual", "converged", "iterations", "negative curvature", "boundary", "not finite".
std::string_view to_string(ConjugateGradientsStop stop);

/// What a solve did.
struct ConjugateGradientsReport {
  int iterations = 0;  ///< that moved x; 0: it is where it began
  /// The rule that held first.
  ConjugateGradientsStop stop = ConjugateGradientsStop::kIterations;
  double model = 0.0;     ///< φ(x) of the last iterate
  double residual = 0.0;  ///< ‖b − A·x‖, as the recurrence has it
  double rhs = 0.0;       ///< ‖b‖
  int products = 0;       ///< calls of the operator, thrown away ones included
  /// φ after 0, 1, … `iterations` iterations. Valid until the next solve().
  std::span<const double> models = {};
};

/// An iterate that was kept for backtracking.
struct KeptIterate {
  int iteration = 0;   ///< that it is the result of, one of ⌈1.3^j⌉
  double model = 0.0;  ///< φ
  ConstVectorView x;   ///< valid until the next solve()
};

/// Conjugate gradients for A·x = b with a symmetric A that is positive definite, or, truncated,
/// any: minimises the quadratic model φ(x) = ½xᵀA·x − bᵀx over growing subspaces.
///
/// Scalars live on the device, an iteration is a fixed list of launches (the operator's and five
/// more), and a device flag turns what is enqueued after the end into no-ops: the same bits come
/// out at any `look_every`. Sums are in double, vectors in float. φ comes from x, r and b, without
/// another product. Allocates nothing after construction. Used by one thread at a time.
///
/// Sources: Hestenes and Stiefel, J. Res. NBS 49 (1952); stopping and kept iterates: Martens, ICML
/// 2010; truncation: Steihaug, SIAM J. Numer. Anal. 20 (1983).
class ConjugateGradients {
 public:
  /// For vectors of `size` elements. \throws std::invalid_argument for an option out of range.
  ConjugateGradients(const Stream& stream, std::int64_t size,
                     const ConjugateGradientsOptions& options = {});
  ~ConjugateGradients();
  /// The other object can then only be assigned to or destroyed.
  ConjugateGradients(ConjugateGradients&&) noexcept;
  ConjugateGradients& operator=(ConjugateGradients&&) noexcept;  ///< as the move constructor

  /// Solves, waits for the result, and leaves the last iterate in `x`. The report is valid until
  /// the next call. \throws std::invalid_argument for vectors of another size than the solver's, or
  /// a warm start in a trust region; what the operator throws.
  const ConjugateGradientsReport& solve(const LinearMap& a,
                                        const ConjugateGradientsProblem& problem, VectorView x);

  /// The iterates that the last solve() kept, earliest first; none without keep_iterates. The last
  /// iterate of all is in the caller's x and here only if its turn had come.
  std::span<const KeptIterate> kept() const;

  /// Device memory of this solver: 3 vectors, and one for each kept iterate (20 for 250
  /// iterations).
  std::size_t memory_bytes() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// ---- eigenvalues -------------------------------------------------------------------------------

/// Which end of the spectrum.
enum class EigenpairOrder {
  kLargest,           ///< algebraically largest first
  kSmallest,          ///< algebraically smallest first
  kLargestMagnitude,  ///< largest |λ| first
};

/// How eigenpairs are looked for.
struct LanczosOptions {
  int count = 1;                                    ///< eigenpairs wanted
  EigenpairOrder order = EigenpairOrder::kLargest;  ///< which ones, and in which order
  int max_steps = 80;  ///< of Lanczos: products, and vectors of memory; at least `count`
  /// Stop when ‖A·y − λ·y‖ ≤ tolerance · max |λ| for all of them.
  double tolerance = 1e-4;
  std::uint64_t seed = 0;     ///< of the first vector
  ConstVectorView mask = {};  ///< empty, or zero where vectors must stay zero (padding)
};

/// Approximate eigenpairs, in the order that was asked for.
struct Eigenpairs {
  std::vector<double> values;     ///< λ; fewer than asked for where there are no more
  std::vector<double> residuals;  ///< ‖A·y − λ·y‖ of each, as Lanczos estimates it
  DeviceArray<float> vectors;     ///< one after the other, of unit norm
  bool converged = false;         ///< all within the tolerance
  int steps = 0;                  ///< products

  /// Eigenvector `i`.
  ConstVectorView vector(std::size_t i) const;
};

/// Eigenpairs of a symmetric A at one end of its spectrum, by Lanczos with full reorthogonalisation
/// (twice, classical Gram-Schmidt on the device). Of a multiple eigenvalue it may find one vector
/// only; where a whole invariant subspace fits into the steps it goes on with a new vector, until
/// that finds nothing better. Fewer pairs than asked for come back where the space has no more.
/// Waits for the device every 8 steps.
/// \throws std::invalid_argument for an option out of range; what the operator throws;
///         curvseg::Error if a product is not finite.
/// Source: Golub and Van Loan, Matrix Computations, 4th ed., section 10.3.
Eigenpairs lanczos_eigenpairs(const Stream& stream, const LinearMap& a, std::int64_t size,
                              const LanczosOptions& options);

/// How a spectral density is estimated.
struct SpectralDensityOptions {
  int probes = 8;             ///< random vectors that Lanczos begins with, at least 1
  int steps = 64;             ///< of Lanczos, for each probe: products, and vectors of memory
  int points = 512;           ///< of the smoothed density
  double sigma = 0.0;         ///< width of the Gaussians; 0: a hundredth of the nodes' range
  std::uint64_t seed = 0;     ///< of the probes
  ConstVectorView mask = {};  ///< empty, or zero where vectors must stay zero (padding)
};

/// An estimate of how the eigenvalues of A are distributed, as a probability measure:
/// (1/n) Σ_i f(λ_i) ≈ Σ_j weights_j · f(nodes_j).
struct SpectralDensity {
  std::vector<double> nodes;    ///< ascending within each probe
  std::vector<double> weights;  ///< ≥ 0, their sum is 1
  double sigma = 0.0;           ///< width that was used
  std::vector<double> grid;  ///< evenly from 4σ below the smallest node to 4σ above the largest
  std::vector<double> density;  ///< Σ_j weights_j · N(grid; nodes_j, σ²)
};

/// Stochastic Lanczos quadrature with Rademacher probes: exact for polynomials up to degree
/// 2·steps − 1 in vᵀf(A)v of each probe, of which the mean estimates the trace.
/// \throws as lanczos_eigenpairs().
/// Sources: Ubaru, Chen and Saad, SIAM J. Matrix Anal. Appl. 38 (2017); for networks: Ghorbani,
/// Krishnan and Xiao, ICML 2019.
SpectralDensity spectral_density(const Stream& stream, const LinearMap& a, std::int64_t size,
                                 const SpectralDensityOptions& options = {});

// ---- traces and diagonals ----------------------------------------------------------------------

/// Random vectors of independent signs: element i of probe j depends on (seed, j, i) alone, and is
/// the same on every device.
struct ProbeOptions {
  int probes = 32;            ///< a product of the operator each, at least 1
  std::uint64_t seed = 0;     ///< two seeds give independent vectors
  ConstVectorView mask = {};  ///< empty, or zero where probes must be zero (padding)
};

/// An estimate of a trace.
struct TraceEstimate {
  double trace = 0.0;           ///< Σ λ_i, estimated
  double standard_error = 0.0;  ///< of the mean over probes; 0 with one probe
  int products = 0;             ///< with A that it is from; the parts of a Spectrum share them
};

/// Hutchinson's estimators with memory of their own, for repeated use: tr A = E zᵀA·z and
/// diag A = E z∘(A·z) over vectors z of random signs. Both are exact for a diagonal A.
/// Used by one thread at a time.
///
/// Sources: Hutchinson, Commun. Stat. Simul. 19 (1990); diagonals: Bekas, Kokiopoulou and Saad,
/// Appl. Numer. Math. 57 (2007).
class Hutchinson {
 public:
  /// For vectors of `size` elements and at most `max_probes` probes of a trace.
  /// \throws std::invalid_argument for a negative size or less than one probe.
  Hutchinson(const Stream& stream, std::int64_t size, int max_probes = 32);

  /// Waits for the result. \throws std::invalid_argument for more probes than the maximum, none, or
  /// a mask of another size; what the operator throws.
  TraceEstimate trace(const LinearMap& a, const ProbeOptions& options);

  /// diagonal = mean of z∘(A·z). Overwrites. Asynchronous, allocates nothing. The trace of a block
  /// of A, of one layer for instance, is the sum of its part of the diagonal. \throws as trace().
  void diagonal(const LinearMap& a, const ProbeOptions& options, VectorView diagonal);

  /// Device memory: 2 vectors and a little.
  std::size_t memory_bytes() const;

 private:
  void check(const char* what, const ProbeOptions& options) const;
  void multiply_probe(const LinearMap& a, const ProbeOptions& options, int probe);

  Stream stream_;
  std::int64_t size_;
  int max_probes_;
  DeviceArray<float> probe_, product_, samples_, workspace_;
};

/// Hutchinson::trace() once.
TraceEstimate hutchinson_trace(const Stream& stream, const LinearMap& a, std::int64_t size,
                               const ProbeOptions& options = {});

/// Hutchinson::diagonal() once, waiting for it.
void hutchinson_diagonal(const Stream& stream, const LinearMap& a, const ProbeOptions& options,
                         VectorView diagonal);

/// How Hutch++ spends its products.
struct HutchPlusPlusOptions {
  int products = 30;  ///< in all, at least 3: a third each for the sketch, its trace, and the rest
  std::uint64_t seed = 0;     ///< of the sketch and of the probes of the rest
  ConstVectorView mask = {};  ///< empty, or zero where vectors must stay zero (padding)
};

/// Hutch++: the trace over the range of a random sketch exactly, over the rest by Hutchinson. For a
/// positive semidefinite A the error falls like 1/products, Hutchinson's like 1/√products.
/// `standard_error` is that of the second part. Takes products/3 + 2 vectors of memory.
/// \throws std::invalid_argument for an option out of range; what the operator throws.
/// Source: Meyer, Musco, Musco and Woodruff, SOSA 2021, algorithm 1.
TraceEstimate hutch_plus_plus_trace(const Stream& stream, const LinearMap& a, std::int64_t size,
                                    const HutchPlusPlusOptions& options = {});

}  // namespace curvseg
