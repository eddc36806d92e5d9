#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <numbers>

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
}

TEST(Schedule, NamesGoBothWays) {
  for (const char* name : {"constant", "step", "polynomial", "cosine"})
    EXPECT_EQ(to_string(schedule_kind(name)), name);
  EXPECT_THROW(schedule_kind("linear"), InputError);
}

}  // namespace
}  // namespace curvseg
