/// \file
/// Measuring the curvature of a trained network.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "curvseg/curvature_operator.hpp"
#include "curvseg/spectrum.hpp"
#include "curvseg/tensor.hpp"
#include "host/cli/model_source.hpp"

namespace curvseg::cli {

/// What `curvseg curvature` was asked for.
struct CurvatureArguments {
  ModelArguments model{.batch = 8};
  std::filesystem::path out;
  std::string matrices = "gauss-newton,hessian";
  std::optional<std::string> crop;
  int images = 8;
  SpectrumOptions spectrum{.seed = 1};
  double lambda = 0.0;
  bool json = false;
};

/// A matrix, what the options call it, and whether it has no negative eigenvalues.
struct NamedMatrix {
  CurvatureMatrix matrix = CurvatureMatrix::kGaussNewton;
  std::string name;
  bool semidefinite = true;
};

/// "gauss-newton,hessian": names separated by commas.
/// \throws InputError for a name that there is not, or one that comes twice.
std::vector<NamedMatrix> parse_matrices(const std::string& text);

/// The spectrum of one of them.
struct MeasuredMatrix {
  NamedMatrix matrix;
  Spectrum spectrum;
};

/// All that was measured, and what on.
struct CurvatureReport {
  std::string model;
  std::uint64_t step = 0;
  std::string device;
  std::string data;         ///< the specification
  std::string split;        ///< "" for a folder without splits
  bool cropped = false;     ///< images are crops
  Shape images;             ///< all of them
  int batch = 0;            ///< images at once
  std::int64_t labels = 0;  ///< pixels (images, of a classifier) that have one
  LossOptions loss_options;
  float l2 = 0.0f;             ///< coupled, part of the loss
  double loss = 0.0;           ///< with the L2 term
  double gradient_norm = 0.0;  ///< likewise
  std::vector<VectorRange> layers;
  std::vector<MeasuredMatrix> matrices;
};

/// Measures what @p arguments ask for; writes nothing. The status line shows the products.
/// \throws InputError for data that do not fit, Error for a loss or product that is not finite.
CurvatureReport measure_curvature(const CurvatureArguments& arguments);

}  // namespace curvseg::cli
