// Reproducible test data, and the comparisons that STYLE asks for.
#pragma once

#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <random>
#include <vector>

namespace curvseg::testing {

/// Small integers in [-range, range]: sums of products are exact in float32 while they stay below
/// 2^24, so any order of additions gives the same bits.
inline std::vector<float> small_integers(std::size_t n, unsigned seed, int range = 3) {
  std::mt19937 engine(seed);
  std::vector<float> result(n);
  for (float& value : result)
    value = static_cast<float>(static_cast<int>(engine() % static_cast<unsigned>(2 * range + 1)) -
                               range);
  return result;
}

/// Uniform in [-1, 1).
inline std::vector<float> uniform_floats(std::size_t n, unsigned seed) {
  std::mt19937 engine(seed);
  std::vector<float> result(n);
  for (float& value : result)
    value = static_cast<float>(static_cast<double>(engine()) / 2147483648.0 - 1.0);
  return result;
}

/// Every element within its own bound, `bound[i]` absolute; NaN fails.
inline void expect_within(const std::vector<float>& actual, const std::vector<double>& expected,
                          const std::vector<double>& bound) {
  ASSERT_EQ(actual.size(), expected.size());
  int failures = 0;
  for (std::size_t i = 0; i < actual.size(); ++i) {
    const double error = std::fabs(static_cast<double>(actual[i]) - expected[i]);
    if (!(error <= bound[i]) && ++failures <= 5)
      ADD_FAILURE() << "element " << i << " is " << actual[i] << ", expected " << expected[i]
                    << " within " << bound[i];
  }
  EXPECT_EQ(failures, 0) << "elements out of bounds, of " << actual.size();
}

/// All elements equal as numbers (exact data); a reference that is nearly all zeros is mistrusted.
inline void expect_equal(const std::vector<float>& actual, const std::vector<double>& expected) {
  ASSERT_EQ(actual.size(), expected.size());
  int failures = 0;
  std::size_t zeros = 0;
  for (std::size_t i = 0; i < actual.size(); ++i) {
    zeros += expected[i] == 0.0;
    if (!(static_cast<double>(actual[i]) == expected[i]) && ++failures <= 5)
      ADD_FAILURE() << "element " << i << " is " << actual[i] << ", expected " << expected[i];
  }
  EXPECT_EQ(failures, 0) << "elements differ, of " << actual.size();
  if (actual.size() > 64) {
    EXPECT_LT(zeros, actual.size() - actual.size() / 16) << "the reference is nearly all zeros";
  }
}

}  // namespace curvseg::testing
