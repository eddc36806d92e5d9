// exp_float, exp_below and log_float against double precision, over samples of all floats.
#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

#include "support/checksum.hpp"

// The execution layer of the host target, under a name of its own.
#define CURVSEG_TARGET elementary_test
#include "math/elementary.hpp"

namespace curvseg::testing {
namespace {

using elementary_test::exp_below;
using elementary_test::exp_float;
using elementary_test::log_float;

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

/// The distance of two floats around `value`.
double unit_in_last_place(double value) {
  constexpr int kSmallest = -149;  // of the subnormal numbers
  if (value == 0.0) return std::ldexp(1.0, kSmallest);
  int exponent;
  std::frexp(value, &exponent);
  return std::ldexp(1.0, std::max(exponent - 24, kSmallest));
}

/// Every 1021st bit pattern: both signs, all exponents, infinities' neighbours and NaN.
std::vector<float> samples() {
  std::vector<float> result;
  for (std::uint64_t bits = 0; bits < (std::uint64_t{1} << 32); bits += 1021)
    result.push_back(std::bit_cast<float>(static_cast<std::uint32_t>(bits)));
  return result;
}

void expect_within_ulp(float x, float actual, double expected, double ulp) {
  const auto rounded = static_cast<float>(expected);
  if (std::isnan(expected))
    ASSERT_TRUE(std::isnan(actual)) << x;
  else if (std::isinf(rounded))
    ASSERT_EQ(actual, rounded) << x;
  else
    ASSERT_TRUE(std::fabs(actual - expected) <= ulp * unit_in_last_place(expected))
        << "at " << x << ": " << actual << ", expected " << expected;
}

// Over all 2^32 floats the largest errors are 0.99 and 0.84 ulp.
TEST(Elementary, ExpIsWithinOneUlp) {
  for (const float x : samples())
    expect_within_ulp(x, exp_float(x), std::exp(static_cast<double>(x)), 1.0);
}

TEST(Elementary, LogIsWithinOneUlp) {
  for (const float x : samples())
    expect_within_ulp(x, log_float(x), std::log(static_cast<double>(x)), 1.0);
}

TEST(Elementary, ExpAtTheEnds) {
  EXPECT_EQ(exp_float(0.0f), 1.0f);
  EXPECT_EQ(exp_float(-0.0f), 1.0f);
  EXPECT_EQ(exp_float(kInfinity), kInfinity);
  EXPECT_EQ(exp_float(-kInfinity), 0.0f);
  EXPECT_TRUE(std::isnan(exp_float(kNan)));
  EXPECT_TRUE(std::isnan(exp_float(-kNan)));
  EXPECT_EQ(exp_float(std::numeric_limits<float>::max()), kInfinity);
  EXPECT_EQ(exp_float(std::numeric_limits<float>::lowest()), 0.0f);
  EXPECT_TRUE(std::isfinite(exp_float(88.72f)));
  EXPECT_EQ(exp_float(88.73f), kInfinity);
  EXPECT_EQ(exp_float(-103.9f), std::numeric_limits<float>::denorm_min());
  EXPECT_EQ(exp_float(-103.98f), 0.0f);
}

TEST(Elementary, LogAtTheEnds) {
  EXPECT_EQ(log_float(1.0f), 0.0f);
  EXPECT_EQ(log_float(0.0f), -kInfinity);
  EXPECT_EQ(log_float(-0.0f), -kInfinity);
  EXPECT_EQ(log_float(kInfinity), kInfinity);
  EXPECT_TRUE(std::isnan(log_float(-1.0f)));
  EXPECT_TRUE(std::isnan(log_float(-kInfinity)));
  EXPECT_TRUE(std::isnan(log_float(kNan)));
  EXPECT_FLOAT_EQ(log_float(std::numeric_limits<float>::denorm_min()), -103.27893f);
}

TEST(Elementary, ExpOfASubnormalResultIsRoundedOnce) {
  for (float x = -87.0f; x > -104.5f; x -= 0.0009765625f)
    expect_within_ulp(x, exp_float(x), std::exp(static_cast<double>(x)), 1.0);
}

// ---- the forms that kernels take --------------------------------------------------------------

/// `f` of every sample by lanes, kCount at a time.
template <class F>
std::vector<float> by_lanes(const std::vector<float>& x, F f) {
  constexpr int kCount = 32;
  std::vector<float> result(x.size());
  for (std::size_t i = 0; i < x.size(); i += kCount) {
    const int count = static_cast<int>(std::min<std::size_t>(kCount, x.size() - i));
    const auto lanes = elementary_test::load_group<kCount>(&x[i], count);
    elementary_test::store_group(&result[i], f(lanes), count);
  }
  return result;
}

/// The same bits, or both of them not a number.
void expect_same(const std::vector<float>& x, const std::vector<float>& actual,
                 float (*expected)(float)) {
  for (std::size_t i = 0; i < x.size(); ++i) {
    const float value = expected(x[i]);
    if (std::isnan(value))
      ASSERT_TRUE(std::isnan(actual[i])) << x[i];
    else
      ASSERT_EQ(std::bit_cast<std::uint32_t>(actual[i]), std::bit_cast<std::uint32_t>(value))
          << x[i];
  }
}

std::vector<float> samples_below() {
  std::vector<float> below;
  for (const float x : samples())
    if (!(x > 0.0f)) below.push_back(x);
  below.insert(below.end(), {0.0f, -0.0f, -kInfinity, kNan, -kNan, -103.9f, -103.98f, -87.4f});
  return below;
}

TEST(Elementary, ExpBelowIsExpWhereItsArgumentIsNotPositive) {
  const std::vector<float> x = samples_below();
  std::vector<float> actual;
  for (const float value : x) actual.push_back(exp_below(value));
  expect_same(x, actual, [](float value) { return exp_float(value); });
}

TEST(Elementary, LanesHaveTheBitsOfNumbers) {
  const std::vector<float> below = samples_below();
  expect_same(below, by_lanes(below, [](const auto& lanes) { return exp_below(lanes); }),
              [](float value) { return exp_float(value); });
  std::vector<float> all = samples();
  all.insert(all.end(),
             {0.0f, -0.0f, kInfinity, -kInfinity, kNan, std::numeric_limits<float>::denorm_min(),
              std::numeric_limits<float>::min()});
  expect_same(all, by_lanes(all, [](const auto& lanes) { return log_float(lanes); }),
              [](float value) { return log_float(value); });
}

// Whatever compiled this file gets these bits; so do the kernels of every target, whose results
// the tests of the loss and of random numbers compare in the same way.
TEST(Elementary, BitsAreThoseOfEveryCompiler) {
  std::vector<float> values;
  for (float x = -110.0f; x < 95.0f; x += 0.0078125f) values.push_back(exp_float(x));
  EXPECT_EQ(checksum(values), 13754431047442375178ull);
  values.clear();
  for (std::uint32_t bits = 1; bits < 0x7F800000u; bits += 65521)
    values.push_back(log_float(std::bit_cast<float>(bits)));
  EXPECT_EQ(checksum(values), 13928884197464199348ull);
}

}  // namespace
}  // namespace curvseg::testing
