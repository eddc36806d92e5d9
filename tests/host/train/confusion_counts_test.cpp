#include <gtest/gtest.h>

#include <cmath>
#include <stdexcept>

#include "curvseg/metrics.hpp"

namespace curvseg {
namespace {

/// Rows: truth. Class 3 occurs nowhere; class 2 is predicted once and never true.
ConfusionCounts example() {
  return {4,
          {5, 1, 1, 0,  //
           2, 3, 0, 0,  //
           0, 0, 0, 0,  //
           0, 0, 0, 0}};
}

TEST(ConfusionCounts, AccuracyIsTheShareOfTheDiagonal) {
  EXPECT_DOUBLE_EQ(example().pixel_accuracy(), 8.0 / 12.0);
}

TEST(ConfusionCounts, IouAndDicePerClass) {
  const ConfusionCounts counts = example();
  EXPECT_DOUBLE_EQ(counts.iou(0).value(), 5.0 / 9.0);
  EXPECT_DOUBLE_EQ(counts.iou(1).value(), 3.0 / 6.0);
  EXPECT_DOUBLE_EQ(counts.iou(2).value(), 0.0);
  EXPECT_DOUBLE_EQ(counts.dice(0).value(), 10.0 / 14.0);
  EXPECT_DOUBLE_EQ(counts.dice(1).value(), 6.0 / 9.0);
  EXPECT_DOUBLE_EQ(counts.dice(2).value(), 0.0);
}

TEST(ConfusionCounts, ClassesAbsentFromBothSidesAreLeftOut) {
  const ConfusionCounts counts = example();
  EXPECT_FALSE(counts.iou(3).has_value());
  EXPECT_FALSE(counts.dice(3).has_value());
  EXPECT_DOUBLE_EQ(counts.mean_iou(), (5.0 / 9.0 + 0.5 + 0.0) / 3.0);
  EXPECT_DOUBLE_EQ(counts.mean_dice(), (10.0 / 14.0 + 6.0 / 9.0 + 0.0) / 3.0);
}

TEST(ConfusionCounts, NothingCountedIsNotANumber) {
  const ConfusionCounts counts(3);
  EXPECT_TRUE(std::isnan(counts.pixel_accuracy()));
  EXPECT_TRUE(std::isnan(counts.mean_iou()));
  EXPECT_TRUE(std::isnan(counts.mean_dice()));
}

TEST(ConfusionCounts, CountsAndAdds) {
  ConfusionCounts counts(2);
  counts.add(0, 1);
  counts.add(0, 1);
  counts.add(1, 1);
  counts.add(-1, 0);
  counts.add(2, 0);
  EXPECT_EQ(counts, ConfusionCounts(2, {0, 2, 0, 1}));
  counts += ConfusionCounts(2, {1, 0, 0, 4});
  EXPECT_EQ(counts.count(1, 1), 5U);
  EXPECT_EQ(counts.total(), 8U);
}

TEST(ConfusionCounts, RefusesAClassThatIsNone) {
  ConfusionCounts counts = example();
  for (const int none : {-1, 4}) {
    EXPECT_THROW(static_cast<void>(counts.count(0, none)), std::out_of_range);
    EXPECT_THROW(static_cast<void>(counts.count(none, 0)), std::out_of_range);
    EXPECT_THROW(counts.add(0, none), std::out_of_range);
  }
  EXPECT_EQ(counts, example());
}

TEST(ConfusionCounts, RefusesWhatDoesNotFit) {
  EXPECT_THROW(ConfusionCounts(0), std::invalid_argument);
  EXPECT_THROW(ConfusionCounts(2, {1, 2, 3}), std::invalid_argument);
  ConfusionCounts counts(2);
  EXPECT_THROW(counts += ConfusionCounts(3), std::invalid_argument);
}

}  // namespace
}  // namespace curvseg
