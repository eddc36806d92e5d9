#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>
#include <string>
#include <vector>

#include "curvseg/error.hpp"
#include "curvseg/optim.hpp"

namespace curvseg {
namespace {

TEST(Schedule, ConstantIsThePeak) {
  const ScheduleOptions options{.learning_rate = 0.25};
  for (const std::uint64_t s : {0U, 1U, 1000U}) EXPECT_EQ(learning_rate(options, s), 0.25);
}

TEST(Schedule, WarmUpRisesLinearlyToThePeak) {
  for (const ScheduleKind kind : {ScheduleKind::kConstant, ScheduleKind::kStep,
                                  ScheduleKind::kPolynomial, ScheduleKind::kCosine}) {
    const ScheduleOptions options{
        .kind = kind, .learning_rate = 2.0, .warmup_steps = 4, .total_steps = 20};
    EXPECT_DOUBLE_EQ(learning_rate(options, 0), 0.5);
    EXPECT_DOUBLE_EQ(learning_rate(options, 1), 1.0);
    EXPECT_DOUBLE_EQ(learning_rate(options, 3), 2.0);
    EXPECT_DOUBLE_EQ(learning_rate(options, 4), 2.0) << to_string(kind);
  }
}

TEST(Schedule, StepDropsEverySoManySteps) {
  const ScheduleOptions options{.kind = ScheduleKind::kStep,
                                .learning_rate = 1.0,
                                .warmup_steps = 1,
                                .step_every = 3,
                                .step_factor = 0.5};
  EXPECT_EQ(learning_rate(options, 1), 1.0);
  EXPECT_EQ(learning_rate(options, 3), 1.0);
  EXPECT_EQ(learning_rate(options, 4), 0.5);
  EXPECT_EQ(learning_rate(options, 7), 0.25);
}

TEST(Schedule, StepDropsAtThirdsUnlessToldOtherwise) {
  const ScheduleOptions options{
      .kind = ScheduleKind::kStep, .learning_rate = 1.0, .total_steps = 9};
  EXPECT_DOUBLE_EQ(learning_rate(options, 2), 1.0);
  EXPECT_DOUBLE_EQ(learning_rate(options, 3), 0.1);
  EXPECT_DOUBLE_EQ(learning_rate(options, 8), 0.01);
}

/// How many steps each rate lasts, in order.
std::vector<std::uint64_t> lengths_of_levels(const ScheduleOptions& options) {
  std::vector<std::uint64_t> lengths;
  double before = -1.0;
  for (std::uint64_t s = options.warmup_steps; s < options.total_steps; ++s) {
    const double rate = learning_rate(options, s);
    if (rate != before) lengths.push_back(0);
    ++lengths.back();
    before = rate;
  }
  return lengths;
}

TEST(Schedule, StepHasThreeLevelsOfThirdsWhateverTheTotal) {
  for (const std::uint64_t warmup : {0U, 1U, 5U}) {
    for (std::uint64_t steps = 3; steps <= 50; ++steps) {
      SCOPED_TRACE(std::to_string(steps) + " steps after " + std::to_string(warmup));
      const ScheduleOptions options{.kind = ScheduleKind::kStep,
                                    .learning_rate = 1.0,
                                    .warmup_steps = warmup,
                                    .total_steps = warmup + steps};
      const std::vector<std::uint64_t> lengths = lengths_of_levels(options);
      ASSERT_EQ(lengths.size(), 3U);
      const auto [least, most] = std::minmax_element(lengths.begin(), lengths.end());
      EXPECT_LE(*most - *least, 1U);
      EXPECT_DOUBLE_EQ(learning_rate(options, warmup), 1.0);
      EXPECT_DOUBLE_EQ(learning_rate(options, warmup + steps - 1), 0.01);
      EXPECT_DOUBLE_EQ(learning_rate(options, 100 * (warmup + steps)), 0.01) << "it stays";
    }
  }
  const ScheduleOptions ten{.kind = ScheduleKind::kStep, .learning_rate = 1.0, .total_steps = 10};
  EXPECT_EQ(lengths_of_levels(ten), (std::vector<std::uint64_t>{4, 3, 3}));
}

TEST(Schedule, StepOfFewerStepsThanLevels) {
  ScheduleOptions options{.kind = ScheduleKind::kStep, .learning_rate = 1.0, .total_steps = 1};
  EXPECT_EQ(lengths_of_levels(options), (std::vector<std::uint64_t>{1}));
  EXPECT_DOUBLE_EQ(learning_rate(options, 0), 1.0);
  options.total_steps = 2;
  EXPECT_EQ(lengths_of_levels(options), (std::vector<std::uint64_t>{1, 1}));
  options.warmup_steps = 2;  // all of them
  EXPECT_DOUBLE_EQ(learning_rate(options, 1), 1.0);
  EXPECT_DOUBLE_EQ(learning_rate(options, 2), 0.01);
  options = {.kind = ScheduleKind::kStep,
             .learning_rate = 1.0,
             .total_steps = std::numeric_limits<std::uint64_t>::max()};
  EXPECT_DOUBLE_EQ(learning_rate(options, options.total_steps / 3 - 1), 1.0);
  EXPECT_DOUBLE_EQ(learning_rate(options, options.total_steps / 3), 0.1);
}

TEST(Schedule, PolynomialFollowsItsFormula) {
  const ScheduleOptions options{.kind = ScheduleKind::kPolynomial,
                                .learning_rate = 3.0,
                                .warmup_steps = 2,
                                .total_steps = 12,
                                .final_factor = 0.1,
                                .power = 2.0};
  for (std::uint64_t s = 2; s <= 12; ++s) {
    const double left = 1.0 - static_cast<double>(s - 2) / 10.0;
    EXPECT_NEAR(learning_rate(options, s), 3.0 * (0.1 + 0.9 * left * left), 1e-15);
  }
  EXPECT_DOUBLE_EQ(learning_rate(options, 500), 0.3) << "it stays at the end";
}

TEST(Schedule, CosineFollowsItsFormula) {
  const ScheduleOptions options{.kind = ScheduleKind::kCosine,
                                .learning_rate = 3.0,
                                .warmup_steps = 2,
                                .total_steps = 12,
                                .final_factor = 0.1};
  for (std::uint64_t s = 2; s <= 12; ++s) {
    const double angle = std::numbers::pi * static_cast<double>(s - 2) / 10.0;
    EXPECT_NEAR(learning_rate(options, s), 3.0 * (0.1 + 0.45 * (1.0 + std::cos(angle))), 1e-15);
  }
  EXPECT_DOUBLE_EQ(learning_rate(options, 500), 0.3);
}

TEST(Schedule, WarmUpMayTakeAllSteps) {
  const ScheduleOptions options{
      .kind = ScheduleKind::kCosine, .learning_rate = 1.0, .warmup_steps = 5, .total_steps = 5};
  EXPECT_DOUBLE_EQ(learning_rate(options, 4), 1.0);
  EXPECT_DOUBLE_EQ(learning_rate(options, 5), 0.0);
}

TEST(Schedule, RefusesWhatMakesNoSense) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  EXPECT_THROW(learning_rate({.kind = ScheduleKind::kCosine, .learning_rate = 1.0}, 0),
               std::invalid_argument);
  EXPECT_THROW(learning_rate({.kind = ScheduleKind::kPolynomial, .learning_rate = 1.0}, 0),
               std::invalid_argument);
  EXPECT_THROW(learning_rate({.kind = ScheduleKind::kStep, .learning_rate = 1.0}, 0),
               std::invalid_argument);
  EXPECT_THROW(learning_rate({.learning_rate = nan}, 0), std::invalid_argument);
  EXPECT_THROW(learning_rate({.learning_rate = -1.0}, 0), std::invalid_argument);
  EXPECT_THROW(learning_rate({.learning_rate = 1.0, .power = 0.0}, 0), std::invalid_argument);
  const double infinity = std::numeric_limits<double>::infinity();
  for (const ScheduleOptions& options : {ScheduleOptions{.learning_rate = infinity},
                                         {.learning_rate = 1e39},
                                         {.learning_rate = 1.0, .final_factor = infinity},
                                         {.learning_rate = 1.0, .power = infinity},
                                         {.learning_rate = 1.0, .step_factor = infinity}})
    EXPECT_THROW(learning_rate(options, 0), std::invalid_argument);
}

TEST(Schedule, NamesGoBothWays) {
  for (const char* name : {"constant", "step", "polynomial", "cosine"})
    EXPECT_EQ(to_string(schedule_kind(name)), name);
  EXPECT_THROW(schedule_kind("linear"), InputError);
}

}  // namespace
}  // namespace curvseg
