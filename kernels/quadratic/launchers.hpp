// What this folder puts into the table of kernels.
#pragma once

#include "exec/stream.hpp"
#include "quadratic/quadratic.hpp"

namespace curvseg::CURVSEG_TARGET {

void advance_mean(StreamHandle, const AdvanceMean&);
void judge_loss(StreamHandle, const JudgeLoss&);
void quadratic_step(StreamHandle, const QuadraticStep&);
void rate_step(StreamHandle, const RateStep&);
void guard_step(StreamHandle, const GuardStep&);

}  // namespace curvseg::CURVSEG_TARGET
