// Optimiser options, checked before anything is allocated.
#pragma once

#include "curvseg/optim.hpp"

namespace curvseg {

/// What a number must be, as the library and the command both say it of theirs.
inline constexpr const char kFiniteNotNegative[] = "must be a finite number, not negative";
inline constexpr const char kFiniteInSinglePrecision[] =
    "must be a finite number in single precision";

/// \throws InputError for an unknown optimiser, or an option of the named one that is out of range.
void check_optimizer_options(const OptimizerOptions& options);

}  // namespace curvseg
