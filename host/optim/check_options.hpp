// Optimiser options, checked before anything is allocated.
#pragma once

#include "curvseg/optim.hpp"

namespace curvseg {

/// \throws InputError for an unknown optimiser, or an option of the named one that is out of range.
void check_optimizer_options(const OptimizerOptions& options);

}  // namespace curvseg
