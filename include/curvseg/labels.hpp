/// @file
/// What the numbers in a label image mean.
#pragma once

#include <cstdint>

namespace curvseg {

/// Label of a pixel that belongs to no class: it takes no part in losses and metrics.
inline constexpr std::int32_t kIgnoreLabel = -1;

}  // namespace curvseg
