// What every optimiser asks of a step.
#pragma once

#include <cstdint>
#include <string_view>

#include "curvseg/optim.hpp"

namespace curvseg {

/// \throws std::invalid_argument for vectors of another size than the optimiser was made for, a
///         step that is not counted from 1, or clipping without a norm.
void check_step(std::string_view optimizer, const StepContext& context, std::int64_t parameters);

/// Also for a step without a batch, or one whose loss is not made for what the optimiser needs.
void check_curvature_step(std::string_view optimizer, const StepContext& context,
                          std::int64_t parameters, CurvatureKind least);

}  // namespace curvseg
