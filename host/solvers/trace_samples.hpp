// Samples of Hutchinson's estimator, split by ranges and relieved of what is known of the operator.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "curvseg/spectrum.hpp"
#include "host/solvers/lanczos_process.hpp"
#include "host/solvers/quadrature.hpp"

namespace curvseg {

/// M = Σ_i θ_i·y_i·y_iᵀ, the largest Ritz pairs of an operator. For random signs z, independent of
/// it, z∘(A·z − M·z) + diag M has the mean diag A as z∘A·z does, but the off-diagonal elements of
/// A − M for its variance: most of those of a network's curvature are in a few eigenvectors.
/// The idea is that of Hutch++ (Meyer, Musco, Musco and Woodruff, SOSA 2021), with Lanczos's
/// vectors for a sketch.
class KnownPart {
 public:
  /// Of `process`, whose T has this quadrature: at most `count` pairs.
  KnownPart(const Stream& stream, std::int64_t size, const LanczosProcess& process,
            const Quadrature& quadrature, int count);

  /// to = az − M·z. Asynchronous.
  void subtract(ConstVectorView z, ConstVectorView az, VectorView to) const;
  /// Σ_{i ∈ range} M_ii of every range; waits.
  std::vector<double> traces(std::span<const VectorRange> ranges) const;
  /// ‖y_B‖² of every range B, y the eigenvector of the largest |θ|; waits. Zeros if there is none.
  std::vector<double> parts_of_first(std::span<const VectorRange> ranges) const;

 private:
  ConstVectorView vector(std::size_t i) const {
    return {vectors_.data() + static_cast<std::int64_t>(i) * size_, size_};
  }
  std::vector<double> squares(std::size_t first, std::size_t count,
                              std::span<const VectorRange> ranges) const;

  Stream stream_;
  std::int64_t size_;
  std::vector<double> values_;  // θ, the largest |θ| first
  DeviceArray<float> vectors_, coefficients_, workspace_;
};

/// zᵀA·z of some probes, range by range.
class TraceSamples {
 public:
  TraceSamples(const Stream& stream, std::span<const VectorRange> ranges, std::int64_t size,
               int probes, const KnownPart& known);

  /// Sample number `probe` from A·z, with z = signs / √scale. Asynchronous.
  void record(int probe, double scale, ConstVectorView z, ConstVectorView az);
  /// Waits.
  void estimate(Spectrum& result) const;

 private:
  Stream stream_;
  std::span<const VectorRange> ranges_;
  const KnownPart& known_;
  std::vector<double> scales_;                     // [probes]
  DeviceArray<float> rest_, samples_, workspace_;  // samples [ranges][probes]
};

}  // namespace curvseg
