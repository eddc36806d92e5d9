#include <gtest/gtest.h>

#include <map>

#include "curvseg/data.hpp"
#include "fixtures.hpp"

namespace curvseg {
namespace {

/// Data sets that are not part of the repository.
class RealData : public ::testing::Test {
 protected:
  /// The data set @p name, or "" when it is not there.
  static std::string find(const std::string& name) {
    const std::filesystem::path root = test::real_data();
    std::error_code error;
    if (root.empty() || !std::filesystem::is_directory(root / name, error)) {
      return {};
    }
    return (root / name).string();
  }

  /// Pixels per label over a whole split.
  static std::map<std::int32_t, long> count_labels(const Dataset& set) {
    std::map<std::int32_t, long> counts;
    for (std::size_t i = 0; i < set.size(); ++i) {
      for (const std::int32_t label : set.get(i).labels) {
        ++counts[label];
      }
    }
    return counts;
  }
};

#define REQUIRE_DATA(variable, name)                                                   \
  const std::string variable = find(name);                                             \
  if ((variable).empty()) {                                                            \
    GTEST_SKIP() << "no " << (name) << ": set CURVSEG_DATA to a folder that holds it"; \
  }                                                                                    \
  static_cast<void>(0)

TEST_F(RealData, IsbiMembranes) {
  REQUIRE_DATA(path, "isbi2012_membrane");
  const auto set = open_dataset(path, "val");
  EXPECT_EQ(set->size(), 4U);
  EXPECT_EQ(set->channels(), 1);
  EXPECT_EQ(set->classes(), 2);
  EXPECT_EQ(set->image_size(0), (ImageSize{512, 512}));
  EXPECT_EQ(count_labels(*set), (std::map<std::int32_t, long>{{0, 218160}, {1, 830416}}));
}

TEST_F(RealData, CamvidWithItsIgnoreIndex) {
  REQUIRE_DATA(path, "camvid_240x180");
  DatasetOptions options;
  options.ignore_index = 11;
  const auto set = open_dataset(path, "val", options);
  EXPECT_EQ(set->size(), 26U);
  EXPECT_EQ(set->channels(), 3);
  EXPECT_EQ(set->classes(), 11);
  EXPECT_EQ(set->image_size(0), (ImageSize{180, 240}));
  const auto counts = count_labels(*set);
  EXPECT_EQ(counts.at(kIgnoreLabel), 19491);
  EXPECT_EQ(counts.at(0), 102080);
  EXPECT_EQ(counts.at(10), 24863);
  options.ignore_index = 255;
  options.classes = 11;
  test::expect_mentions(
      test::input_error([&] { open_dataset(path, "val", options)->validate_pixels(); }), "masks/",
      "index 11", "11 classes");
}

TEST_F(RealData, VncClassAbsentFromTheTestSplit) {
  REQUIRE_DATA(path, "vnc_em_9class");
  const auto set = open_dataset(path, "test");
  EXPECT_EQ(set->classes(), 9);
  const auto counts = count_labels(*set);
  EXPECT_FALSE(counts.contains(7));
  EXPECT_EQ(counts.at(8), 595266);
}

TEST_F(RealData, DriveVesselsWithVoid) {
  REQUIRE_DATA(path, "drive_vessels_ignore255");
  const auto set = open_dataset(path, "val");
  EXPECT_EQ(set->channels(), 3);
  EXPECT_EQ(set->classes(), 2);
  EXPECT_EQ(set->image_size(0), (ImageSize{584, 565}));
  EXPECT_EQ(count_labels(*set),
            (std::map<std::int32_t, long>{{kIgnoreLabel, 102701}, {0, 201382}, {1, 25877}}));
}

TEST_F(RealData, VocOfMixedSizesAndFormats) {
  REQUIRE_DATA(path, "voc_tiny");
  const auto set = open_dataset(path, "train");
  ASSERT_EQ(set->size(), 4U);
  EXPECT_EQ(set->channels(), 3);
  EXPECT_EQ(set->classes(), 19);
  EXPECT_EQ(set->image_size(0), (ImageSize{338, 500}));
  EXPECT_EQ(set->image_size(3), (ImageSize{513, 513}));
  const auto counts = count_labels(*set);
  EXPECT_EQ(counts.at(kIgnoreLabel), 51204);
  EXPECT_EQ(counts.at(0), 633015);
  EXPECT_EQ(counts.at(15), 29270);
  DataLoader loader(*set, {.batch = 4});
  std::size_t batches = 0;
  Batch batch;
  for (loader.start_epoch(0); loader.next(batch); ++batches) {
    EXPECT_EQ(batch.labels.size(), static_cast<std::size_t>(batch.n * batch.h * batch.w));
  }
  EXPECT_EQ(batches, 3U);  // 500x338, 500x375, twice 513x513
}

TEST_F(RealData, VocColourMasksAreRefused) {
  REQUIRE_DATA(path, "voc_tiny");
  test::expect_mentions(test::input_error([&] {
                          static_cast<void>(read_mask_png(path + "/val/masks_rgb/vainf_23.png"));
                        }),
                        "vainf_23.png", "RGB");
}

TEST_F(RealData, Cifar10) {
  REQUIRE_DATA(path, "cifar10");
  const auto train = open_dataset("cifar10:" + path, "train");
  EXPECT_EQ(train->size(), 3000U);
  EXPECT_EQ(train->class_names()[0], "airplane");
  const auto test = open_dataset("cifar10:" + path, "test");
  const auto counts = count_labels(*test);
  EXPECT_EQ(counts.at(0), 103);
  EXPECT_EQ(counts.at(9), 109);
  const Normalisation n = measure_normalisation(*train);
  EXPECT_NEAR(n.mean[0], 0.49, 0.02);  // as published for the whole set
  EXPECT_NEAR(n.stddev[0], 0.25, 0.02);
}

TEST_F(RealData, FashionMnistAsDebianShipsIt) {
  std::string path = find("fashion-mnist");
  std::error_code error;
  if (path.empty()) {
    path = "/usr/share/datasets/fashion-mnist";  // where Debian's package puts it
  }
  if (!std::filesystem::is_directory(path, error)) {
    GTEST_SKIP() << "no fashion-mnist in CURVSEG_DATA, and the package dataset-fashion-mnist is "
                    "not installed";
  }
  const auto test = open_dataset("mnist:" + path, "test");
  EXPECT_EQ(test->size(), 10000U);
  EXPECT_EQ(test->classes(), 10);
  EXPECT_EQ(test->image_size(0), (ImageSize{28, 28}));
}

}  // namespace
}  // namespace curvseg
