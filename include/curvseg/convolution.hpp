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
  /// stride and dilation 1; others are direct, and so are squared gradients. Rounding errors are
  /// relative to sums of at most 64/9 (weight gradients: 9) times a direct sum's magnitudes. An
  /// output that is not a number, or overflows, takes the others of its 2x2 tile with it.
  kWinograd,
};

}  // namespace curvseg
