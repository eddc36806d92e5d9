// Division by a number that a launch fixes: a multiplication and a shift. Plain C++.
#pragma once

#include <bit>
#include <cstdint>

namespace curvseg {

/// divide(a) = a / divisor for every a ≥ 0; fast for a < 2^31, which is where coordinates live.
///
/// With l = ⌈log2 d⌉ and m = ⌈2^(31+l) / d⌉, m·d exceeds 2^(31+l) by less than 2^l, so that
/// ⌊a·m / 2^(31+l)⌋ is exact. Source: Granlund & Montgomery, "Division by Invariant Integers using
/// Multiplication", PLDI 1994, theorem 4.2.
class Divider {
 public:
  constexpr Divider() = default;
  constexpr explicit Divider(std::int64_t divisor) : divisor_(divisor) {
    if (divisor >= kFast) {
      multiplier_ = 0;  // a < 2^31 gives 0, as it should
      return;
    }
    const int bits = std::bit_width(static_cast<std::uint64_t>(divisor - 1));
    shift_ = 31 + bits;
    multiplier_ = ((std::uint64_t{1} << shift_) + static_cast<std::uint64_t>(divisor) - 1) /
                  static_cast<std::uint64_t>(divisor);
  }

  constexpr std::int64_t divide(std::int64_t a) const {
    if (a >= kFast) return a / divisor_;
    return static_cast<std::int64_t>(static_cast<std::uint64_t>(a) * multiplier_ >> shift_);
  }
  constexpr int divide(int a) const {
    return static_cast<int>(static_cast<std::uint64_t>(static_cast<unsigned>(a)) * multiplier_ >>
                            shift_);
  }
  constexpr std::int64_t divisor() const { return divisor_; }

 private:
  static constexpr std::int64_t kFast = std::int64_t{1} << 31;
  std::int64_t divisor_ = 1;
  std::uint64_t multiplier_ = kFast;
  int shift_ = 31;
};

}  // namespace curvseg
