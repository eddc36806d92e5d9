#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <numeric>

#include "curvseg/data.hpp"

namespace curvseg {
namespace {

/// Pixel (y, x) has the value 10 y + x in its only channel, and the same label.
Sample numbered(int height, int width) {
  Sample sample;
  sample.height = height;
  sample.width = width;
  sample.channels = 1;
  for (int y = 0; y < height; ++y) {
    for (int x = 0; x < width; ++x) {
      sample.image.push_back(static_cast<float>(10 * y + x));
      sample.labels.push_back(10 * y + x);
    }
  }
  return sample;
}

/// Image and labels moved together.
void expect_consistent(const Sample& sample) {
  ASSERT_EQ(sample.image.size(), sample.labels.size());
  for (std::size_t i = 0; i < sample.image.size(); ++i) {
    EXPECT_EQ(sample.image[i], static_cast<float>(sample.labels[i])) << i;
  }
}

/// How often each outcome comes up over @p seeds seeds.
std::map<std::vector<std::int32_t>, int> outcomes(const Sample& sample, const Augment& options,
                                                  int seeds = 400) {
  std::map<std::vector<std::int32_t>, int> counts;
  for (int seed = 0; seed < seeds; ++seed) {
    const Sample out = augment(sample, options, static_cast<std::uint64_t>(seed));
    expect_consistent(out);
    ++counts[out.labels];
  }
  return counts;
}

TEST(Augment, DefaultsChangeNothing) {
  const Sample in = numbered(2, 3);
  const Sample out = augment(in, {}, 5);
  EXPECT_EQ(out.image, in.image);
  EXPECT_EQ(out.labels, in.labels);
}

TEST(Augment, FlipsHappenHalfOfTheTime) {
  const Sample in = numbered(1, 3);
  const auto counts = outcomes(in, {.flip_horizontal = true});
  ASSERT_EQ(counts.size(), 2U);
  EXPECT_NEAR(counts.at({0, 1, 2}), 200, 50);
  EXPECT_NEAR(counts.at({2, 1, 0}), 200, 50);
  const auto vertical = outcomes(numbered(2, 2), {.flip_vertical = true});
  ASSERT_EQ(vertical.size(), 2U);
  EXPECT_TRUE(vertical.contains({10, 11, 0, 1}));
}

TEST(Augment, RotationsAreTheFourQuarterTurns) {
  const auto counts = outcomes(numbered(2, 2), {.rotate = true});
  ASSERT_EQ(counts.size(), 4U);
  for (const auto& [labels, count] : counts) {
    EXPECT_NEAR(count, 100, 40);
  }
  EXPECT_TRUE(counts.contains({0, 1, 10, 11}));
  EXPECT_TRUE(counts.contains({1, 11, 0, 10}));
  EXPECT_TRUE(counts.contains({11, 10, 1, 0}));
  EXPECT_TRUE(counts.contains({10, 0, 11, 1}));
}

TEST(Augment, OblongImagesTurnByHalfOnly) {
  const auto counts = outcomes(numbered(1, 3), {.rotate = true});
  ASSERT_EQ(counts.size(), 2U);
  EXPECT_TRUE(counts.contains({2, 1, 0}));
}

TEST(Augment, AllDihedralImagesOfASquare) {
  const auto counts =
      outcomes(numbered(3, 3), {.flip_horizontal = true, .flip_vertical = true, .rotate = true});
  EXPECT_EQ(counts.size(), 8U);
}

TEST(Augment, CropsComeFromEverywhere) {
  const auto counts = outcomes(numbered(3, 4), {.crop_height = 2, .crop_width = 2});
  ASSERT_EQ(counts.size(), 6U);  // 2 x 3 places
  EXPECT_TRUE(counts.contains({0, 1, 10, 11}));
  EXPECT_TRUE(counts.contains({12, 13, 22, 23}));
}

TEST(Augment, SmallImagesArePaddedWithTheMeanAndIgnored) {
  const Sample in = numbered(1, 2);
  const Normalisation normalisation{{7.0F}, {2.0F}};
  std::map<std::vector<std::int32_t>, int> counts;
  for (std::uint64_t seed = 0; seed < 100; ++seed) {
    const Sample out = augment(in, {.crop_height = 2, .crop_width = 2}, seed, normalisation);
    ASSERT_EQ(out.height, 2);
    ASSERT_EQ(out.width, 2);
    for (std::size_t i = 0; i < 4; ++i) {
      EXPECT_EQ(out.image[i], out.labels[i] < 0 ? 7.0F : static_cast<float>(out.labels[i]));
    }
    ++counts[out.labels];
  }
  ASSERT_EQ(counts.size(), 2U);
  EXPECT_TRUE(counts.contains({0, 1, -1, -1}));
  EXPECT_TRUE(counts.contains({-1, -1, 0, 1}));
}

TEST(Augment, OneSideOfTheCropMayStayWhole) {
  const Sample out = augment(numbered(3, 5), {.crop_width = 2}, 1);
  EXPECT_EQ(out.height, 3);
  EXPECT_EQ(out.width, 2);
}

TEST(Augment, MagnifiesWithHalfPixelCentres) {
  Sample in = numbered(1, 2);
  in.image = {0.0F, 8.0F};
  // 2x4 from 1x2: output pixel x looks at (x + 0.5) / 2 - 0.5 = -0.25, 0.25, 0.75, 1.25.
  const Sample out =
      augment(in, {.crop_height = 2, .crop_width = 4, .scale_min = 2.0F, .scale_max = 2.0F}, 1);
  EXPECT_EQ(out.image, (std::vector<float>{0, 2, 6, 8, 0, 2, 6, 8}));
  EXPECT_EQ(out.labels, (std::vector<std::int32_t>{0, 0, 1, 1, 0, 0, 1, 1}));
}

TEST(Augment, ShrinksWithHalfPixelCentres) {
  Sample in = numbered(2, 4);
  in.image = {0, 2, 4, 6, 10, 12, 14, 16};
  // 1x2: centres at 2 (x + 0.5) - 0.5 = 0.5 and 2.5, row 0.5.
  const Sample out =
      augment(in, {.crop_height = 1, .crop_width = 2, .scale_min = 0.5F, .scale_max = 0.5F}, 1);
  EXPECT_EQ(out.image, (std::vector<float>{6, 10}));
  EXPECT_EQ(out.labels, (std::vector<std::int32_t>{11, 13}));
}

TEST(Augment, ScalingWithoutACropKeepsTheSize) {
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    const Sample out =
        augment(numbered(5, 7), {.scale_min = 0.5F, .scale_max = 2.0F}, seed, {{-1.0F}, {}});
    EXPECT_EQ(out.height, 5);
    EXPECT_EQ(out.width, 7);
    EXPECT_EQ(out.image.size(), 35U);
    // A pixel is void exactly where the image was filled up.
    for (std::size_t i = 0; i < out.labels.size(); ++i) {
      EXPECT_EQ(out.labels[i] < 0, out.image[i] < 0) << i;
    }
  }
}

TEST(Augment, ChannelsStayTogether) {
  Sample in;
  in.height = 1;
  in.width = 2;
  in.channels = 3;
  in.image = {1, 2, 3, 4, 5, 6};
  in.labels = {0, 1};
  const Sample out = augment(in, {.crop_height = 1, .crop_width = 1}, 3);
  const std::vector<float> expected =
      out.labels[0] == 0 ? std::vector<float>{1, 2, 3} : std::vector<float>{4, 5, 6};
  EXPECT_EQ(out.image, expected);
}

TEST(Augment, ClassificationLabelStays) {
  Sample in = numbered(2, 2);
  in.labels = {3};
  EXPECT_EQ(augment(in, {.crop_height = 3, .crop_width = 3}, 1).labels,
            std::vector<std::int32_t>{3});
}

TEST(Augment, OneSeedOneResultAndOptionsDoNotDisturbEachOther) {
  const Sample in = numbered(9, 9);
  const Augment crop{.crop_height = 4, .crop_width = 4};
  Augment both = crop;
  both.flip_horizontal = true;
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    const Sample a = augment(in, crop, seed);
    EXPECT_EQ(a.labels, augment(in, crop, seed).labels);
    const auto sum = [](const Sample& s) {
      return std::accumulate(s.labels.begin(), s.labels.end(), 0);
    };
    EXPECT_EQ(sum(a), sum(augment(in, both, seed)));  // the same window, perhaps mirrored
  }
}

TEST(Augment, RefusesTheImpossible) {
  const Sample in = numbered(2, 2);
  EXPECT_THROW(static_cast<void>(augment(in, {.crop_height = -1}, 0)), Error);
  EXPECT_THROW(static_cast<void>(augment(in, {.scale_min = 0.0F}, 0)), Error);
  EXPECT_THROW(static_cast<void>(augment(in, {.scale_min = 2.0F, .scale_max = 1.0F}, 0)), Error);
  EXPECT_THROW(static_cast<void>(augment(in, {}, 0, {{1.0F, 2.0F}, {}})), Error);
  EXPECT_THROW(static_cast<void>(augment(in, {}, 0, {{}, {0.0F}})), Error);
}

}  // namespace
}  // namespace curvseg
