// What this folder puts into the table of kernels.
#pragma once

#include "exec/stream.hpp"
#include "vector/cg.hpp"
#include "vector/vector.hpp"

namespace curvseg::CURVSEG_TARGET {

std::int64_t dot_products_workspace(const DotProducts&);
void dot_products(StreamHandle, const DotProducts&);
void linear_combination(StreamHandle, const LinearCombination&);
void multiply(StreamHandle, const ElementwiseProduct&);
void normalise(StreamHandle, const Normalise&);
void add_damping(StreamHandle, const AddDamping&);

std::int64_t cg_workspace(const CgProblem&);
void cg_begin(StreamHandle, const CgProblem&);
void cg_direction(StreamHandle, const CgProblem&);
void cg_step_length(StreamHandle, const CgProblem&);
void cg_step(StreamHandle, const CgProblem&);
void cg_move(StreamHandle, const CgProblem&);
void cg_residual(StreamHandle, const CgProblem&);

}  // namespace curvseg::CURVSEG_TARGET
