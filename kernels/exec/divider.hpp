// Division by a number that a launch fixes: a multiplication and a shift. Plain C++.
#pragma once

#include <bit>
#include <cstdint>

namespace curvseg {

/// divide(a) = ⌊a / divisor⌋ for 0 <= a < 2^62 and 0 < divisor < 2^62.
///
/// With l = ⌈log2 d⌉ and m = ⌈2^(62+l) / d⌉, m·d exceeds 2^(62+l) by less than 2^l, so that
/// ⌊a·m / 2^(62+l)⌋ is exact. Source: Granlund & Montgomery, "Division by Invariant Integers using
/// Multiplication", PLDI 1994, theorem 4.2. Coordinates below 2^31 have a narrower multiplier.
class Divider {
  __extension__ typedef unsigned __int128 Wide;

  template <class Integer>
  static constexpr std::uint64_t multiplier(std::int64_t divisor, int shift) {
    const Integer d = static_cast<Integer>(divisor);
    return static_cast<std::uint64_t>(((Integer{1} << shift) + d - 1) / d);
  }

 public:
  constexpr Divider() : Divider(1) {}
  constexpr explicit Divider(std::int64_t divisor)
      : bits_(static_cast<int>(std::bit_width(static_cast<std::uint64_t>(divisor - 1)))),
        wide_(multiplier<Wide>(divisor, 62 + bits_)),
        narrow_(bits_ <= 31 ? multiplier<std::uint64_t>(divisor, 31 + bits_) : 0) {}

  constexpr std::int64_t divide(std::int64_t a) const {
    return static_cast<std::int64_t>(static_cast<Wide>(a) * wide_ >> (62 + bits_));
  }
  constexpr int divide(int a) const {
    // A divisor beyond 2^31 has a multiplier of 0, and a quotient of 0.
    return static_cast<int>(static_cast<std::uint64_t>(a) * narrow_ >> (31 + (bits_ & 31)));
  }

 private:
  int bits_;
  std::uint64_t wide_, narrow_;
};

}  // namespace curvseg
