// What this folder puts into the table of kernels.
#pragma once

#include "conv2d/conv2d.hpp"
#include "exec/stream.hpp"

namespace curvseg::CURVSEG_TARGET {

std::int64_t conv2d_gather_workspace(const Conv2dGather&);
void conv2d_gather(StreamHandle, const Conv2dGather&);
std::int64_t conv2d_weight_workspace(const Conv2dWeightGradient&);
void conv2d_weight_gradient(StreamHandle, const Conv2dWeightGradient&);

// What those hand on to conv2d_winograd.cu and conv2d_winograd_weights.cu.

/// Whether the algorithm that the problem asks for is minimal filtering, and it can be.
bool takes_winograd(const Conv2dProblem&);
/// Floats of the transformed filter of one term.
std::int64_t winograd_term_floats(const Conv2dGather&);
/// As conv2d_gather(), with such floats for every term as workspace.
void conv2d_winograd(StreamHandle, const Conv2dGather&);
/// As for conv2d_weight_gradient(), without squares and of images with outputs.
std::int64_t winograd_weight_workspace(const Conv2dProblem&);
void conv2d_winograd_weights(StreamHandle, const Conv2dWeightGradient&);

}  // namespace curvseg::CURVSEG_TARGET
