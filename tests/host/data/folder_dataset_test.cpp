#include <gtest/gtest.h>

#include <fstream>

#include "curvseg/data.hpp"
#include "fixtures.hpp"

namespace curvseg {
namespace {

using test::expect_mentions;
using test::input_error;
using test::TempDir;
using test::write_flat_mask;
using test::write_flat_png;
using test::write_raw_png;

/// A folder with `images/` and `masks/` in it.
class FolderTest : public ::testing::Test {
 protected:
  void SetUp() override { make_split(""); }

  void make_split(const std::string& split) {
    std::filesystem::create_directories(dir_.path() / split / "images");
    std::filesystem::create_directories(dir_.path() / split / "masks");
  }
  [[nodiscard]] std::filesystem::path file(const std::string& name) const { return dir_ / name; }
  void add_pair(const std::string& stem, int height = 4, int width = 6, int channels = 1,
                std::uint8_t value = 51, std::uint8_t label = 1) const {
    write_flat_png(file("images/" + stem + ".png"), height, width, channels, value);
    write_flat_mask(file("masks/" + stem + ".png"), height, width, label);
  }
  [[nodiscard]] FolderDataset open(FolderOptions options = {}) const {
    options.path = dir_.path();
    return FolderDataset(options);
  }
  [[nodiscard]] std::string open_error(FolderOptions options = {}) const {
    return input_error([&] { static_cast<void>(open(options)); });
  }

  TempDir dir_;
};

TEST_F(FolderTest, ReadsPairsInStemOrderOfMixedSizes) {
  add_pair("b", 4, 6);
  add_pair("a", 3, 5);
  write_raw_png(
      file("masks/a.png"),
      {3, 5, 8, test::kGrey, false, {0, 1, 2, 255, 0, 0, 1, 2, 255, 0, 0, 1, 2, 255, 0}, {}, {}});
  std::ofstream(file("images/notes.txt")) << "not an image";
  std::ofstream(file("images/.hidden.png")) << "not an image";
  const FolderDataset set = open();
  ASSERT_EQ(set.size(), 2U);
  EXPECT_EQ(set.channels(), 1);
  EXPECT_EQ(set.classes(), 3);
  EXPECT_FALSE(set.is_classification());
  EXPECT_EQ(set.class_names(), (std::vector<std::string>{"class 0", "class 1", "class 2"}));
  EXPECT_EQ(set.image_size(0), (ImageSize{3, 5}));
  EXPECT_EQ(set.image_size(1), (ImageSize{4, 6}));
  const Sample a = set.get(0);
  EXPECT_EQ(a.name, "a");
  EXPECT_EQ(a.height, 3);
  EXPECT_EQ(a.width, 5);
  EXPECT_EQ(a.channels, 1);
  EXPECT_EQ(a.image, std::vector<float>(15, 0.2F));
  EXPECT_EQ(a.labels, (std::vector<std::int32_t>{0, 1, 2, -1, 0, 0, 1, 2, -1, 0, 0, 1, 2, -1, 0}));
  EXPECT_EQ(set.get(1).name, "b");
  EXPECT_EQ(set.get(0).labels, a.labels);  // from the cache
  EXPECT_THROW(static_cast<void>(set.get(2)), Error);
  EXPECT_NO_THROW(set.validate_pixels());
}

TEST_F(FolderTest, WorksWithoutACache) {
  add_pair("a");
  FolderOptions options;
  options.cache_bytes = 0;
  const FolderDataset set = open(options);
  EXPECT_EQ(set.get(0).image, set.get(0).image);
  std::filesystem::remove(file("images/a.png"));
  EXPECT_THROW(static_cast<void>(set.get(0)), InputError);
}

TEST_F(FolderTest, CacheSurvivesTheFile) {
  add_pair("a");
  const FolderDataset set = open();
  set.validate_pixels();
  std::filesystem::remove(file("images/a.png"));
  EXPECT_EQ(set.get(0).image.size(), 24U);
}

TEST_F(FolderTest, SixteenBitsKeepTheirPrecision) {
  write_raw_png(file("images/a.png"), {1, 2, 16, test::kGrey, false, {1000, 1001}, {}, {}});
  write_flat_mask(file("masks/a.png"), 1, 2, 0);
  const Sample sample = open().get(0);
  EXPECT_FLOAT_EQ(sample.image[0], 1000.0F / 65535.0F);
  EXPECT_FLOAT_EQ(sample.image[1], 1001.0F / 65535.0F);
}

TEST_F(FolderTest, ChannelsOfMixedImagesAreFitted) {
  write_raw_png(file("images/grey.png"), {1, 1, 8, test::kGrey, false, {51}, {}, {}});
  write_raw_png(file("images/rgb.png"), {1, 1, 8, test::kRgb, false, {51, 102, 153}, {}, {}});
  write_raw_png(file("images/rgba.png"), {1, 1, 8, test::kRgba, false, {51, 102, 153, 7}, {}, {}});
  for (const char* stem : {"grey", "rgb", "rgba"}) {
    write_flat_mask(file("masks/" + std::string(stem) + ".png"), 1, 1, 0);
  }
  const FolderDataset set = open();
  EXPECT_EQ(set.channels(), 3);
  EXPECT_EQ(set.get(0).image, (std::vector<float>{0.2F, 0.2F, 0.2F}));
  EXPECT_EQ(set.get(1).image, (std::vector<float>{0.2F, 0.4F, 0.6F}));
  EXPECT_EQ(set.get(2).image, (std::vector<float>{0.2F, 0.4F, 0.6F}));
  FolderOptions four;
  four.channels = 4;
  const FolderDataset rgba = open(four);
  EXPECT_EQ(rgba.get(0).image, (std::vector<float>{0.2F, 0.2F, 0.2F, 1.0F}));
  EXPECT_EQ(rgba.get(2).image, (std::vector<float>{0.2F, 0.4F, 0.6F, 7.0F / 255.0F}));
  FolderOptions one;
  one.channels = 1;
  expect_mentions(open_error(one), "rgb.png", "3 channels", "1 is asked for");
  FolderOptions two;
  two.channels = 2;
  expect_mentions(open_error(two), "2 channels");
}

TEST_F(FolderTest, FourChannelsThroughout) {
  add_pair("a", 2, 2, 4);
  EXPECT_EQ(open().channels(), 4);
}

TEST_F(FolderTest, ClassesComeFromAllSplits) {
  for (const char* split : {"train", "val"}) {
    make_split(split);
    const std::string prefix = std::string(split) + "/";
    write_flat_png(file(prefix + "images/a.png"), 2, 2, 1, 9);
    write_flat_mask(file(prefix + "masks/a.png"), 2, 2, split == std::string("train") ? 1 : 6);
  }
  const std::string spec = dir_.path().string();
  EXPECT_EQ(open_dataset(spec, "train")->classes(), 7);
  EXPECT_EQ(open_dataset(spec + "/train/", "")->classes(), 7);
  DatasetOptions ignore;
  ignore.ignore_index = 6;
  EXPECT_EQ(open_dataset(spec, "train", ignore)->classes(), 2);
  EXPECT_TRUE(has_split(spec, "val"));
  EXPECT_FALSE(has_split(spec, "test"));
  expect_mentions(input_error([&] { open_dataset(spec, "test"); }), spec + "/test",
                  "there is train, val");
  std::ofstream(file("classes.txt")) << "sky\nroad\r\n";
  EXPECT_EQ(open_dataset(spec, "train")->class_names(), (std::vector<std::string>{"sky", "road"}));
  std::ofstream(file("classes.txt")) << "\xEF\xBB\xBFsky\nroad\n";  // a byte-order mark
  EXPECT_EQ(open_dataset(spec, "train")->class_names(), (std::vector<std::string>{"sky", "road"}));
}

TEST_F(FolderTest, IgnoreIndexOfChoice) {
  write_flat_png(file("images/a.png"), 1, 3, 1, 9);
  write_raw_png(file("masks/a.png"), {1, 3, 8, test::kGrey, false, {0, 11, 255}, {}, {}});
  FolderOptions none;
  none.ignore_index = -1;
  EXPECT_EQ(open(none).classes(), 256);
  EXPECT_EQ(open(none).get(0).labels, (std::vector<std::int32_t>{0, 11, 255}));
  FolderOptions eleven;
  eleven.ignore_index = 11;
  eleven.classes = 256;
  EXPECT_EQ(open(eleven).get(0).labels, (std::vector<std::int32_t>{0, -1, 255}));
}

TEST_F(FolderTest, ClassOutOfRangeIsFoundByReading) {
  add_pair("a", 2, 2, 1, 9, 0);
  add_pair("b", 2, 2, 1, 9, 5);
  add_pair("c", 2, 2, 1, 9, 6);
  FolderOptions options;
  options.classes = 3;
  const FolderDataset set = open(options);
  EXPECT_NO_THROW(static_cast<void>(set.get(0)));
  // The first one in order, whichever thread is faster.
  expect_mentions(input_error([&] { set.validate_pixels(); }), "masks/b.png", "index 5",
                  "3 classes");
}

TEST_F(FolderTest, MissingFolders) {
  FolderOptions options;
  options.path = file("nowhere");
  expect_mentions(input_error([&] { FolderDataset set(options); }), "nowhere", "no such folder");
  expect_mentions(open_error(), "images", "holds no PNG or JPEG");
  std::filesystem::remove_all(file("masks"));
  write_flat_png(file("images/a.png"), 2, 2, 1, 9);
  expect_mentions(open_error(), "masks", "no such folder");
  FolderOptions optional;
  optional.masks_optional = true;
  const FolderDataset set = open(optional);
  EXPECT_FALSE(set.has_masks());
  EXPECT_EQ(set.get(0).labels, std::vector<std::int32_t>(4, kIgnoreLabel));
  std::filesystem::create_directory(file("masks"));
  add_pair("b", 2, 2, 1, 9, 1);
  const FolderDataset some = open(optional);
  EXPECT_TRUE(some.has_masks());
  EXPECT_EQ(some.get(0).labels, std::vector<std::int32_t>(4, kIgnoreLabel));
  EXPECT_EQ(some.get(1).labels, std::vector<std::int32_t>(4, 1));
  expect_mentions(open_error(), "images/a.png", "no mask");
  std::filesystem::remove_all(file("images"));
  expect_mentions(open_error(), "images", "no such folder");
}

TEST_F(FolderTest, LinksThatLeadNowhere) {
  add_pair("a");
  std::filesystem::create_symlink("loop.png", file("images/loop.png"));
  expect_mentions(open_error(), "images/loop.png", "symbolic links");
  std::filesystem::remove(file("images/loop.png"));
  std::filesystem::create_symlink("loop", file("images/loop"));  // of no known kind
  expect_mentions(open_error(), "images/loop", "symbolic links");
  std::filesystem::remove(file("images/loop"));
  write_flat_mask(file("masks/gone.png"), 4, 6, 0);
  std::filesystem::create_symlink("nowhere.png", file("images/gone.png"));
  expect_mentions(open_error(), "images/gone.png", "no such file");
  std::filesystem::remove_all(file("images"));
  std::filesystem::create_symlink("images", file("images"));
  expect_mentions(open_error(), "images", "symbolic links");
}

TEST_F(FolderTest, CountsLabelsWhileItChecks) {
  add_pair("a", 2, 3, 1, 9, 0);
  add_pair("b", 4, 4, 1, 9, 3);
  add_pair("c", 5, 5, 1, 9, 255);
  const FolderDataset set = open();
  EXPECT_EQ(set.class_source(), ClassSource::kMasks);
  EXPECT_TRUE(set.label_counts().of_class.empty());
  set.validate_pixels();
  set.validate_pixels();  // counts anew, not on top
  EXPECT_EQ(set.label_counts().of_class, (std::vector<std::uint64_t>{6, 0, 0, 16}));
  EXPECT_EQ(set.label_counts().not_labelled, 25U);
  FolderOptions given;
  given.classes = 4;
  EXPECT_EQ(open(given).class_source(), ClassSource::kOptions);
  std::ofstream(file("classes.txt")) << "a\nb\nc\nd\n";
  EXPECT_EQ(open().class_source(), ClassSource::kNames);
  std::ofstream many(file("classes.txt"));
  for (int i = 0; i < 257; ++i) many << "class " << i << '\n';
  many.close();
  expect_mentions(open_error(), "classes.txt names 257 classes", "0 to 255");
}

TEST_F(FolderTest, FingerprintChangesWithTheFiles) {
  add_pair("a");
  add_pair("b", 8, 8);
  const DataFingerprint whole = fingerprint(open());
  EXPECT_EQ(whole.samples, 2U);
  EXPECT_EQ(whole.hash.size(), 16U);
  EXPECT_EQ(fingerprint(open()), whole);
  const auto expect_changed = [&](const char* what) {
    EXPECT_NE(fingerprint(open()).hash, whole.hash) << what;
  };
  add_pair("c");
  expect_changed("another pair");
  EXPECT_EQ(fingerprint(open()).samples, 3U);
  for (const char* kind : {"images", "masks"}) {
    const std::filesystem::path folder = file(kind);
    std::filesystem::remove(folder / "c.png");
    std::filesystem::rename(folder / "b.png", folder / "d.png");
  }
  expect_changed("a pair of another name");
  for (const char* kind : {"images", "masks"}) {
    const std::filesystem::path folder = file(kind);
    std::filesystem::rename(folder / "d.png", folder / "b.png");
  }
  EXPECT_EQ(fingerprint(open()), whole);
  for (const char* kind : {"images/b.png", "masks/b.png"}) {
    const auto before = test::read_bytes(file(kind));
    std::ofstream(file(kind), std::ios::app) << "behind the end";
    expect_changed("a longer file");
    test::write_bytes(file(kind), before);
  }
  EXPECT_EQ(fingerprint(open()), whole);
}

TEST(Fingerprint, OfGeneratedImagesIsThatOfTheirOptions) {
  const DataFingerprint usual = fingerprint(CellsDataset({.count = 4}));
  EXPECT_EQ(fingerprint(CellsDataset({.count = 4})), usual);
  EXPECT_NE(fingerprint(CellsDataset({.count = 5})), usual);
  EXPECT_NE(fingerprint(CellsDataset({.count = 4, .seed = 2})).hash, usual.hash);
  EXPECT_NE(fingerprint(CellsDataset({.size = 64, .count = 4})).hash, usual.hash);
  EXPECT_NE(fingerprint(CellsDataset({.split = "val", .count = 4})).hash, usual.hash);
}

TEST_F(FolderTest, PairsMustMatch) {
  add_pair("a");
  write_flat_png(file("images/b.png"), 2, 2, 1, 9);
  expect_mentions(open_error(), "images/b.png", "no mask", "masks/b.png");
  std::filesystem::remove(file("images/b.png"));
  write_flat_mask(file("masks/c.png"), 2, 2, 0);
  expect_mentions(open_error(), "masks/c.png", "no image");
  std::filesystem::remove(file("masks/c.png"));
  test::write_raw_jpeg(file("images/a.jpg"), 8, 8, 1, std::vector<std::uint8_t>(64, 1));
  expect_mentions(open_error(), "images/a.jpg", "a.png", "same stem");
  std::filesystem::remove(file("images/a.jpg"));
  std::ofstream(file("images/d.tif")) << "II*";
  expect_mentions(open_error(), "images/d.tif", "PNG and JPEG");
}

TEST_F(FolderTest, SizesMustMatch) {
  write_flat_png(file("images/a.png"), 5, 50, 3, 9);
  write_flat_mask(file("masks/a.png"), 6, 51, 0);
  expect_mentions(open_error(), "masks/a.png is 51x6", "images/a.png is 50x5");
}

TEST_F(FolderTest, MasksMustHoldIndices) {
  write_flat_png(file("images/a.png"), 2, 2, 1, 9);
  write_flat_png(file("masks/a.png"), 2, 2, 3, 0);
  expect_mentions(open_error(), "masks/a.png", "RGB pixels");
  std::filesystem::remove(file("masks/a.png"));
  test::write_raw_jpeg(file("masks/a.jpg"), 2, 2, 1, {0, 0, 0, 0});
  expect_mentions(open_error(), "masks/a.jpg", "JPEG");
}

TEST_F(FolderTest, AllVoid) {
  add_pair("a", 2, 2, 1, 9, 255);
  expect_mentions(open_error(), "masks", "ignored");
}

TEST_F(FolderTest, DamagedPixelsAreFoundByReading) {
  add_pair("a", 32, 32, 3);
  add_pair("b", 32, 32, 3);
  test::truncate_file(file("images/b.png"), std::filesystem::file_size(file("images/b.png")) - 20);
  const FolderDataset set = open();
  expect_mentions(input_error([&] { set.validate_pixels(); }), "images/b.png", "truncated");
  test::truncate_file(file("images/a.png"), 20);
  expect_mentions(open_error(), "images/a.png", "header");
}

TEST_F(FolderTest, FileReplacedAfterOpening) {
  add_pair("a");
  const FolderDataset set = open();
  write_flat_png(file("images/a.png"), 9, 9, 1, 9);
  expect_mentions(input_error([&] { static_cast<void>(set.get(0)); }), "images/a.png is 9x9",
                  "6x4");
}

TEST_F(FolderTest, JpegImages) {
  test::write_raw_jpeg(file("images/a.JPG"), 8, 8, 3, std::vector<std::uint8_t>(192, 128));
  write_flat_mask(file("masks/a.png"), 8, 8, 1);
  const FolderDataset set = open();
  EXPECT_EQ(set.channels(), 3);
  EXPECT_NEAR(set.get(0).image[0], 128.0F / 255.0F, 0.01F);
}

TEST(MeasureNormalisation, MeanAndDeviationPerChannel) {
  const TempDir dir;
  std::filesystem::create_directories(dir / "images");
  std::filesystem::create_directories(dir / "masks");
  write_raw_png(dir / "images/a.png",
                {1, 2, 8, test::kRgb, false, {0, 51, 255, 255, 153, 255}, {}, {}});
  write_flat_mask(dir / "masks/a.png", 1, 2, 0);
  FolderOptions options;
  options.path = dir.path();
  const FolderDataset set(options);
  const Normalisation n = measure_normalisation(set);
  ASSERT_EQ(n.mean.size(), 3U);
  EXPECT_FLOAT_EQ(n.mean[0], 0.5F);
  EXPECT_FLOAT_EQ(n.stddev[0], 0.5F);
  EXPECT_FLOAT_EQ(n.mean[1], 0.4F);
  EXPECT_FLOAT_EQ(n.stddev[1], 0.2F);
  EXPECT_FLOAT_EQ(n.mean[2], 1.0F);
  EXPECT_FLOAT_EQ(n.stddev[2], 1.0F);  // constant
  EXPECT_THROW(static_cast<void>(measure_normalisation(set, 0)), Error);
}

}  // namespace
}  // namespace curvseg
