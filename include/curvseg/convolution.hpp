/// \file
/// How a convolution is computed.
#pragma once

#include <cstdint>

namespace curvseg {

/// Which sums a convolution is made of. All give the same function up to rounding, the same bits
/// whenever they are repeated, on any number of threads.
enum class ConvAlgorithm : std::uint8_t {
  /// kWinograd where it was measured to be faster, else kDirect: docs/design/0003-winograd.md.
  kAutomatic,
  /// Every product of the formula is a term of the sum.
  kDirect,
  /// Minimal filtering F(2x2, 3x3) wherever a convolution allows it, that is, for 3x3 filters with
  /// stride and dilation 1; others are direct. Its rounding errors are bounded by 64/9 of a direct
  /// sum's bound for data of one magnitude. What is not a number, and what overflows in a sum of
  /// 64 of the largest inputs, spreads over 2x2 outputs.
  kWinograd,
};

}  // namespace curvseg
