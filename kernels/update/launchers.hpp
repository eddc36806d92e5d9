// What this folder puts into the table of kernels.
#pragma once

#include "exec/stream.hpp"
#include "update/update.hpp"

namespace curvseg::CURVSEG_TARGET {

std::int64_t squared_norm_workspace(const SquaredNorm&);
void squared_norm(StreamHandle, const SquaredNorm&);
void sgd_update(StreamHandle, const SgdUpdate&);
void adam_update(StreamHandle, const AdamUpdate&);
void adam_direction(StreamHandle, const AdamDirection&);
std::int64_t projected_update_workspace(const ProjectedUpdate&);
void projected_update(StreamHandle, const ProjectedUpdate&);
void preconditioned_update(StreamHandle, const PreconditionedUpdate&);
void diagonal_mean(StreamHandle, const DiagonalMean&);
void column_means(StreamHandle, const ColumnMeans&);
void damped_diagonal_update(StreamHandle, const DampedDiagonalUpdate&);
void inverse_three_quarter_power(StreamHandle, const InverseThreeQuarterPower&);

}  // namespace curvseg::CURVSEG_TARGET
