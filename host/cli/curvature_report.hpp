/// \file
/// The curvature of a network as tables, as JSON and as a picture.
#pragma once

#include <string>

#include "host/cli/curvature_run.hpp"
#include "host/cli/run_folder.hpp"
#include "host/io/image.hpp"

namespace curvseg::cli {

/// Eigenvalues with |λ| up to this part of the largest count as "near 0".
inline constexpr double kNearZero = 1e-3;

/// The condition number of A + lambda·I from the ends of A's spectrum; nothing where that matrix is
/// indefinite or singular as far as can be told.
std::optional<double> damped_condition(const MeasuredMatrix& matrix, double lambda);

/// What was measured, in lines of at most 104 columns for two matrices.
std::string curvature_tables(const CurvatureArguments& arguments, const CurvatureReport& report);

/// Everything; the same for the same seed on a device.
Json curvature_json(const CurvatureArguments& arguments, const CurvatureReport& report);

/// The densities of all matrices, with their eigenvalues.
Image spectrum_picture(const CurvatureReport& report);

}  // namespace curvseg::cli
