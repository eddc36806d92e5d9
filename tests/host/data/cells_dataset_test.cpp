#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>

#include "curvseg/data.hpp"
#include "fixtures.hpp"

namespace curvseg {
namespace {

using test::expect_mentions;
using test::input_error;

TEST(CellsDataset, ShapesAndNames) {
  const CellsDataset set({.split = "val", .size = 48, .count = 3});
  EXPECT_EQ(set.size(), 3U);
  EXPECT_EQ(set.channels(), 1);
  EXPECT_EQ(set.classes(), 3);
  EXPECT_FALSE(set.is_classification());
  EXPECT_EQ(set.class_names(), (std::vector<std::string>{"background", "cell", "border"}));
  EXPECT_EQ(set.image_size(2), (ImageSize{48, 48}));
  const Sample sample = set.get(2);
  EXPECT_EQ(sample.image.size(), 48U * 48U);
  EXPECT_EQ(sample.labels.size(), 48U * 48U);
  EXPECT_THROW(static_cast<void>(set.get(3)), Error);
}

TEST(CellsDataset, DependsOnSeedSplitAndIndexOnly) {
  const CellsDataset set({.size = 64, .count = 2});
  const CellsDataset longer({.size = 64, .count = 5});
  EXPECT_EQ(set.get(1).image, longer.get(1).image);
  EXPECT_EQ(set.get(1).labels, longer.get(1).labels);
  EXPECT_NE(set.get(0).image, set.get(1).image);
  EXPECT_NE(set.get(0).labels, CellsDataset({.split = "val", .size = 64}).get(0).labels);
  EXPECT_NE(set.get(0).labels, CellsDataset({.split = "test", .size = 64}).get(0).labels);
  EXPECT_NE(set.get(0).labels, CellsDataset({.size = 64, .seed = 2}).get(0).labels);
}

TEST(CellsDataset, ClassesAreBalancedInEverySplit) {
  for (const char* split : {"train", "val", "test"}) {
    const CellsDataset set({.split = split, .count = 16});
    std::array<double, 3> counts{};
    for (std::size_t i = 0; i < set.size(); ++i) {
      const Sample sample = set.get(i);
      for (const std::int32_t label : sample.labels) {
        ++counts.at(static_cast<std::size_t>(label));
      }
      const auto [low, high] = std::minmax_element(sample.image.begin(), sample.image.end());
      EXPECT_GT(*high - *low, 0.3F);  // something to see
      EXPECT_LT(std::count(sample.image.begin(), sample.image.end(), 1.0F), 50);  // not overexposed
    }
    const double all = std::accumulate(counts.begin(), counts.end(), 0.0);
    EXPECT_GT(counts[0] / all, 0.45) << split;
    EXPECT_LT(counts[0] / all, 0.70) << split;
    EXPECT_GT(counts[1] / all, 0.22) << split;
    EXPECT_GT(counts[2] / all, 0.06) << split;
    EXPECT_LT(counts[2] / all, 0.14) << split;
  }
}

TEST(CellsDataset, BorderSeparatesCellsFromTheRest) {
  const CellsDataset set({.count = 4});
  for (std::size_t i = 0; i < set.size(); ++i) {
    const Sample sample = set.get(i);
    for (std::size_t y = 0; y < 128; ++y) {
      for (std::size_t x = 0; x + 1 < 128; ++x) {
        const std::int32_t a = sample.labels[y * 128 + x];
        const std::int32_t b = sample.labels[y * 128 + x + 1];
        EXPECT_FALSE((a == 0 && b == 1) || (a == 1 && b == 0)) << i << " " << y << " " << x;
      }
    }
  }
}

/// Mean IoU of the best rule "brightness below a, between a and b, above b", over all a, b and
/// assignments of the classes.
double best_threshold_miou(const CellsDataset& set) {
  std::array<std::array<double, 3>, 257> below{};  // [value][class]: pixels darker than value
  for (std::size_t i = 0; i < set.size(); ++i) {
    const Sample sample = set.get(i);
    for (std::size_t k = 0; k < sample.labels.size(); ++k) {
      const auto value = static_cast<std::size_t>(std::lround(sample.image[k] * 255.0F));
      ++below[value + 1][static_cast<std::size_t>(sample.labels[k])];
    }
  }
  for (std::size_t v = 1; v < below.size(); ++v) {
    for (std::size_t c = 0; c < 3; ++c) {
      below[v][c] += below[v - 1][c];
    }
  }
  double best = 0.0;
  std::array<std::size_t, 3> classes = {0, 1, 2};
  do {
    for (std::size_t a = 0; a <= 256; a += 2) {
      for (std::size_t b = a; b <= 256; b += 2) {
        const std::array<std::size_t, 4> edges = {0, a, b, 256};
        double sum = 0.0;
        for (std::size_t part = 0; part < 3; ++part) {
          const std::size_t c = classes[part];
          const auto count = [&](std::size_t k) {
            return below[edges[part + 1]][k] - below[edges[part]][k];
          };
          const double hits = count(c);
          const double predicted = count(0) + count(1) + count(2);
          sum += hits / (predicted + below[256][c] - hits);
        }
        best = std::max(best, sum / 3.0);
      }
    }
  } while (std::next_permutation(classes.begin(), classes.end()));
  return best;
}

TEST(CellsDataset, ThresholdingDoesNotSolveIt) {
  EXPECT_LT(best_threshold_miou(CellsDataset({.count = 32})), 0.45);
}

TEST(CellsDataset, RefusesTheImpossible) {
  expect_mentions(input_error([] { CellsDataset({.split = "dev"}); }), "dev", "train");
  expect_mentions(input_error([] { CellsDataset({.size = 8}); }), "size 8");
  expect_mentions(input_error([] { CellsDataset({.count = 0}); }), "0 samples");
}

TEST(OpenDataset, BuiltinSpec) {
  EXPECT_EQ(open_dataset("builtin:cells", "train")->size(), 64U);
  EXPECT_EQ(open_dataset("builtin:cells", "val")->size(), 16U);
  EXPECT_EQ(open_dataset("builtin:cells", "test")->size(), 16U);
  const std::string spec = "builtin:cells?size=40&train=3&val=0&seed=7";
  const auto set = open_dataset(spec, "train");
  EXPECT_EQ(set->size(), 3U);
  EXPECT_EQ(set->image_size(0), (ImageSize{40, 40}));
  EXPECT_EQ(set->get(0).image, CellsDataset({.size = 40, .seed = 7}).get(0).image);
  EXPECT_FALSE(has_split(spec, "val"));
  EXPECT_TRUE(has_split(spec, "test"));
  EXPECT_FALSE(has_split(spec, "dev"));
  expect_mentions(input_error([&] { open_dataset(spec, "val"); }), "val");
}

TEST(OpenDataset, OptionsThatContradictABuiltinSet) {
  const auto refusal = [](const DatasetOptions& options) {
    return input_error([&] { open_dataset("builtin:cells", "train", options); });
  };
  expect_mentions(refusal({.classes = 7}), "builtin:cells", "has 3 classes, not 7");
  expect_mentions(refusal({.ignore_index = 0}), "builtin:cells", "index 0");
  EXPECT_EQ(open_dataset("builtin:cells", "train", {.classes = 3, .ignore_index = -1})->classes(),
            3);
}

TEST(OpenDataset, BadSpecs) {
  expect_mentions(input_error([] { open_dataset("builtin:stars", "train"); }), "builtin:stars",
                  "builtin:cells");
  expect_mentions(input_error([] { open_dataset("builtin:cells?colour=1", "train"); }), "colour=1");
  expect_mentions(input_error([] { open_dataset("builtin:cells?size", "train"); }), "\"size\"");
  expect_mentions(input_error([] { open_dataset("builtin:cells?size=big", "train"); }), "size=big");
  expect_mentions(input_error([] { open_dataset("builtin:cells?size=-5", "train"); }), "size=-5");
  expect_mentions(input_error([] { open_dataset("builtin:cells?size=9999", "train"); }), "9999");
  expect_mentions(input_error([] { open_dataset("no/such/folder", "train"); }), "no/such/folder");
  expect_mentions(input_error([] { has_split("no/such/folder", "train"); }), "no/such/folder");
}

}  // namespace
}  // namespace curvseg
