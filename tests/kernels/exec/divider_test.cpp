// Division by multiplication against division.
#include "exec/divider.hpp"

#include <gtest/gtest.h>

#include <cstdint>
#include <random>
#include <vector>

namespace curvseg {
namespace {

static_assert(Divider(7).divide(20) == 2);
static_assert(Divider().divide(5) == 5);

constexpr std::int64_t kOne = 1;
constexpr std::int64_t kLargest = (kOne << 62) - 1;

/// Powers of two and their neighbours, small numbers, and some in between.
std::vector<std::int64_t> telling_numbers(std::int64_t largest) {
  std::vector<std::int64_t> result;
  for (std::int64_t i = 0; i <= 20; ++i) result.push_back(i);
  for (int bit = 4; bit <= 62; ++bit)
    for (std::int64_t near = -2; near <= 2; ++near) result.push_back((kOne << bit) + near);
  std::mt19937_64 engine(1);
  for (int i = 0; i < 200; ++i)
    result.push_back(static_cast<std::int64_t>(engine() >> (2 + i % 60)));
  std::erase_if(result, [=](std::int64_t value) { return value > largest; });
  return result;
}

TEST(Divider, AgreesWithDivision) {
  for (const std::int64_t d : telling_numbers(kLargest)) {
    if (d == 0) continue;
    const Divider divider(d);
    for (const std::int64_t a : telling_numbers(kLargest)) {
      ASSERT_EQ(divider.divide(a), a / d) << a << " / " << d;
      // Multiples and their neighbours are where a rounded multiplier would show first.
      const std::int64_t multiple = a / d * d;
      ASSERT_EQ(divider.divide(multiple), multiple / d) << multiple << " / " << d;
      if (multiple == 0) continue;
      ASSERT_EQ(divider.divide(multiple - 1), (multiple - 1) / d) << multiple - 1 << " / " << d;
    }
    for (const std::int64_t a : telling_numbers(INT32_MAX))
      ASSERT_EQ(divider.divide(static_cast<int>(a)), a / d) << a << " / " << d;
  }
}

TEST(Divider, AgreesWithDivisionOnEverySmallPair) {
  for (int d = 1; d <= 300; ++d) {
    const Divider divider(d);
    for (int a = 0; a <= 3000; ++a) {
      ASSERT_EQ(divider.divide(a), a / d) << a << " / " << d;
      ASSERT_EQ(divider.divide(std::int64_t{a}), a / d) << a << " / " << d;
    }
  }
}

}  // namespace
}  // namespace curvseg
