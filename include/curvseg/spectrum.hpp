/// \file
/// What the spectrum of a symmetric operator looks like, from one set of products: its ends, its
/// trace as a whole and by layer, its density.
///
/// ```
/// curvseg::BatchLoss loss(stream, model, images.shape());
/// loss.linearise(theta, images, labels);
/// curvseg::CurvatureOperator g(stream, {&loss});
/// const auto layers = curvseg::layer_ranges(model);
/// const auto spectrum = curvseg::measure_spectrum(stream, g, theta.size, layers, {.mask = mask});
/// std::printf("lambda %g, trace %g\n", spectrum.largest[0].value, spectrum.trace.trace);
/// ```
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "curvseg/device.hpp"
#include "curvseg/model.hpp"
#include "curvseg/solvers.hpp"
#include "curvseg/tensor.hpp"

namespace curvseg {

/// Elements [offset, offset + size) of a vector, such as those of a layer.
struct VectorRange {
  std::string name;             ///< for people
  std::int64_t offset = 0;      ///< the first element
  std::int64_t size = 0;        ///< elements, with the padding among them
  std::int64_t parameters = 0;  ///< those that are no padding
};

/// The layers of a model in the order of theta: parameters that stand side by side and whose names
/// are the same up to the last dot, as a convolution's weights and bias.
std::vector<VectorRange> layer_ranges(const Model& model);

/// How a spectrum is measured.
struct SpectrumOptions {
  int eigenvalues = 5;  ///< at each end, at most
  int steps = 48;       ///< of Lanczos, in each run: products, and vectors of memory
  int runs = 2;         ///< of Lanczos, each from a random vector, for the density
  /// Random vectors that traces are the mean over. The first product of each run of Lanczos but the
  /// first is one of them; the rest take a product each.
  int probes = 16;
  /// Ritz vectors of the first run whose part of the traces is taken exactly: the random vectors
  /// estimate what is left, with a smaller error. As many vectors of memory; 0: none.
  int deflated = 16;
  int points = 512;           ///< of the smoothed density
  double sigma = 0.0;         ///< as in SpectralDensityOptions
  std::uint64_t seed = 0;     ///< of all random vectors
  ConstVectorView mask = {};  ///< empty, or zero where vectors must stay zero (padding)
};

/// An approximate eigenvalue, from inside of the spectrum: an eigenvalue of A lies within
/// `residual` of `value`.
struct RitzValue {
  double value = 0.0;  ///< yᵀA·y
  /// ‖A·y − value·y‖, y its unit vector, as Lanczos estimates it; at least what rounding to float
  /// leaves, 2^-23·‖A‖.
  double residual = 0.0;
};

/// What measure_spectrum() found of an operator A with n eigenvalues λ_i.
struct Spectrum {
  std::int64_t dimension = 0;        ///< n: elements of the vectors without their padding
  std::vector<RitzValue> largest;    ///< algebraically largest first
  std::vector<RitzValue> smallest;   ///< algebraically smallest first
  TraceEstimate trace;               ///< tr A
  std::vector<TraceEstimate> parts;  ///< the traces of A's diagonal blocks, range by range
  /// Of the eigenvector y with the largest |λ_i|: ‖y_B‖² range by range, whose sum is 1.
  std::vector<double> first_vector_parts;
  SpectralDensity density;  ///< of all runs of Lanczos
  int products = 0;         ///< calls of the operator

  /// max |λ_i|, the norm of A.
  double norm() const;
  /// (1/n)·Σ |λ_i| = tr A / n + (2/n)·Σ_{λ_i < 0} |λ_i|, the trace of Hutchinson's, the negative
  /// part of the density.
  double mean_magnitude() const;
  /// max |λ_i| / ((1/n)·Σ |λ_i|), a lower bound of the condition number max |λ_i| / min |λ_i|. That
  /// itself says nothing of a singular matrix, which the curvature of a network mostly is. 0 where
  /// A is 0.
  double condition_bound() const;
  /// Σ |λ_i| / max |λ_i|: how many directions as steep as the steepest would have the same sum.
  /// Also called intrinsic dimension; 1 for a matrix of rank one, n for the identity, 0 for 0.
  /// Source: Tropp, "An Introduction to Matrix Concentration Inequalities", 2015, section 7.
  double effective_rank() const;
  /// The part of the eigenvalues with |λ_i| ≤ bound, as the density has it; 0 to 1.
  double share_within(double bound) const;
  /// The part of the eigenvalues with λ_i < −bound, as the density has it; 0 to 1.
  double share_below(double bound) const;
  /// Σ_{λ_i < 0} |λ_i| / Σ |λ_i|, as the density has it; 0 to 1, 0 for a semidefinite A.
  double negative_mass() const;
};

/// Measures the spectrum of a symmetric A that is never formed: Lanczos quadrature from `runs`
/// random vectors as in spectral_density(), eigenvalues at both ends from the first of these runs,
/// and traces by Hutchinson's estimator, each sample of which is split into the parts of all
/// ranges. With M = Σ θ·y·yᵀ over the largest Ritz pairs of the first run, and z random signs,
///
///     tr A_B = tr M_B + E Σ_{i ∈ B} z_i·((A − M)·z)_i
///
/// exactly, as Hutch++ has it for a sketch. So runs·steps + max(0, probes − runs + 1) products give
/// all of it. Of a multiple eigenvalue, `largest` and `smallest` show one.
/// \param size    elements of the vectors
/// \param ranges  in ascending order, disjoint, and together all that is no padding; none: one of
///                all elements, which a mask does not go with
/// \throws std::invalid_argument for an option or range that makes no sense; what the operator
///         throws; curvseg::Error if a product is not finite.
/// Sources: those of spectral_density(), lanczos_eigenpairs(), Hutchinson and
/// hutch_plus_plus_trace().
Spectrum measure_spectrum(const Stream& stream, const LinearMap& a, std::int64_t size,
                          std::span<const VectorRange> ranges, const SpectrumOptions& options = {});

}  // namespace curvseg
