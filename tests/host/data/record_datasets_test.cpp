#include <gtest/gtest.h>
#include <zlib.h>

#include <fstream>

#include "curvseg/data.hpp"
#include "fixtures.hpp"

namespace curvseg {
namespace {

using test::expect_mentions;
using test::input_error;
using test::TempDir;
using test::write_bytes;

using Bytes = std::vector<std::uint8_t>;

/// A CIFAR-10 record: red is the pixel number modulo 256, green 100 + label, blue 7.
Bytes cifar_record(std::uint8_t label) {
  Bytes record{label};
  for (int i = 0; i < 1024; ++i) {
    record.push_back(static_cast<std::uint8_t>(i % 256));
  }
  record.insert(record.end(), 1024, static_cast<std::uint8_t>(100 + label));
  record.insert(record.end(), 1024, 7);
  return record;
}

Bytes join(std::initializer_list<Bytes> parts) {
  Bytes out;
  for (const Bytes& part : parts) {
    out.insert(out.end(), part.begin(), part.end());
  }
  return out;
}

TEST(Cifar10, ReadsRecordsOfAllBatchesAsInterleavedChannels) {
  const TempDir dir;
  write_bytes(dir / "data_batch_2.bin", cifar_record(9));
  write_bytes(dir / "data_batch_1.bin", join({cifar_record(3), cifar_record(0)}));
  write_bytes(dir / "test_batch.bin", cifar_record(4));
  const std::string spec = "cifar10:" + dir.path().string();
  const auto set = open_dataset(spec, "train");
  ASSERT_EQ(set->size(), 3U);
  EXPECT_EQ(set->channels(), 3);
  EXPECT_EQ(set->classes(), 10);
  EXPECT_TRUE(set->is_classification());
  EXPECT_EQ(set->class_names()[3], "cat");
  EXPECT_EQ(set->image_size(0), (ImageSize{32, 32}));
  EXPECT_EQ(set->get(0).labels, std::vector<std::int32_t>{3});
  EXPECT_EQ(set->get(1).labels, std::vector<std::int32_t>{0});
  EXPECT_EQ(set->get(2).labels, std::vector<std::int32_t>{9});
  const Sample sample = set->get(2);
  ASSERT_EQ(sample.image.size(), 3072U);
  EXPECT_EQ(sample.image[3 * 33 + 0], 33.0F / 255.0F);  // row 1, column 1
  EXPECT_EQ(sample.image[3 * 33 + 1], 109.0F / 255.0F);
  EXPECT_EQ(sample.image[3 * 33 + 2], 7.0F / 255.0F);
  EXPECT_EQ(open_dataset(spec, "test")->size(), 1U);
  EXPECT_FALSE(has_split(spec, "val"));
  expect_mentions(input_error([&] { open_dataset(spec, "val"); }), "val", "data_batch");
  expect_mentions(input_error([&] { open_dataset(spec, "train", {.classes = 5}); }), spec,
                  "has 10 classes, not 5");
  EXPECT_THROW(static_cast<void>(set->get(3)), Error);
}

TEST(Cifar10, Errors) {
  const TempDir dir;
  const std::string spec = "cifar10:" + dir.path().string();
  expect_mentions(input_error([&] { open_dataset(spec, "train"); }), "data_batch_*.bin");
  Bytes cut = cifar_record(1);
  cut.pop_back();
  write_bytes(dir / "data_batch_1.bin", cut);
  expect_mentions(input_error([&] { open_dataset(spec, "train"); }), "data_batch_1.bin",
                  "3072 bytes", "3073");
  write_bytes(dir / "data_batch_1.bin", cifar_record(10));
  expect_mentions(input_error([&] { open_dataset(spec, "train"); }), "record 0", "label 10");
  expect_mentions(input_error([&] { open_dataset("cifar10:nowhere", "train"); }), "nowhere",
                  "no such folder");
}

Bytes idx(const std::vector<std::uint8_t>& shape, const Bytes& data) {
  Bytes out{0, 0, 8, static_cast<std::uint8_t>(shape.size())};
  for (const std::uint8_t extent : shape) {
    out.insert(out.end(), {0, 0, 0, extent});
  }
  out.insert(out.end(), data.begin(), data.end());
  return out;
}

void write_gz(const std::filesystem::path& path, const Bytes& bytes) {
  gzFile file = gzopen(path.c_str(), "wb");
  ASSERT_NE(file, nullptr);
  ASSERT_EQ(gzwrite(file, bytes.data(), static_cast<unsigned>(bytes.size())),
            static_cast<int>(bytes.size()));
  ASSERT_EQ(gzclose(file), Z_OK);
}

class MnistTest : public ::testing::Test {
 protected:
  void SetUp() override {
    write_bytes(dir_ / "train-images-idx3-ubyte", idx({2, 1, 3}, {0, 51, 102, 153, 204, 255}));
    write_bytes(dir_ / "train-labels-idx1-ubyte", idx({2}, {4, 2}));
    write_gz(dir_ / "t10k-images-idx3-ubyte.gz", idx({1, 1, 3}, {255, 0, 51}));
    write_gz(dir_ / "t10k-labels-idx1-ubyte.gz", idx({1}, {6}));
  }
  [[nodiscard]] std::string spec() const { return "mnist:" + dir_.path().string(); }
  [[nodiscard]] std::string train_error(const DatasetOptions& options = {}) const {
    return input_error([&] { open_dataset(spec(), "train", options); });
  }

  TempDir dir_;
};

TEST_F(MnistTest, ReadsPlainAndCompressedFiles) {
  const auto train = open_dataset(spec(), "train");
  ASSERT_EQ(train->size(), 2U);
  EXPECT_EQ(train->channels(), 1);
  EXPECT_EQ(train->classes(), 7);  // the largest label is in the test split
  EXPECT_TRUE(train->is_classification());
  EXPECT_EQ(train->image_size(1), (ImageSize{1, 3}));
  EXPECT_EQ(train->get(1).image, (std::vector<float>{0.6F, 0.8F, 1.0F}));
  EXPECT_EQ(train->get(1).labels, std::vector<std::int32_t>{2});
  const auto test = open_dataset(spec(), "test");
  EXPECT_EQ(test->classes(), 7);
  EXPECT_EQ(test->get(0).image, (std::vector<float>{1.0F, 0.0F, 0.2F}));
  EXPECT_FALSE(has_split(spec(), "val"));
  expect_mentions(input_error([&] { open_dataset(spec(), "val"); }), "val", "t10k-images");
}

TEST_F(MnistTest, DottedNames) {
  for (const char* kind : {"images", "labels"}) {
    const std::string rank = kind == std::string("images") ? "3" : "1";
    std::filesystem::rename(dir_ / ("train-" + std::string(kind) + "-idx" + rank + "-ubyte"),
                            dir_ / ("train-" + std::string(kind) + ".idx" + rank + "-ubyte"));
  }
  EXPECT_EQ(open_dataset(spec(), "train")->size(), 2U);
}

TEST_F(MnistTest, Errors) {
  DatasetOptions five;
  five.classes = 4;
  expect_mentions(train_error(five), "train-labels", "label 4", "4 classes");
  expect_mentions(train_error({.ignore_index = 3}), spec(), "no index 3");
  write_bytes(dir_ / "train-labels-idx1-ubyte", idx({3}, {4, 2, 1}));
  expect_mentions(train_error(), "3 labels", "2 images");
  write_bytes(dir_ / "train-labels-idx1-ubyte", idx({3}, {4, 2}));
  expect_mentions(train_error(), "train-labels", "truncated");
  write_bytes(dir_ / "train-labels-idx1-ubyte", {0, 0, 8});
  expect_mentions(train_error(), "train-labels", "truncated");
  write_bytes(dir_ / "train-labels-idx1-ubyte", idx({1, 2}, {4, 2}));
  expect_mentions(train_error(), "train-labels", "not an IDX file");
  std::filesystem::remove(dir_ / "train-labels-idx1-ubyte");
  expect_mentions(train_error(), "train-images", "no file of labels");
  std::filesystem::remove(dir_ / "train-images-idx3-ubyte");
  expect_mentions(train_error(), "no split \"train\"");
}

TEST_F(MnistTest, SizesOfADamagedHeaderDoNotWrapAround) {
  write_bytes(dir_ / "train-images-idx3-ubyte",
              {0, 0, 8, 3, 0x80, 0, 0, 0, 0x80, 0, 0, 0, 0, 0, 0, 4});
  expect_mentions(train_error(), "train-images", "do not fit");
}

TEST_F(MnistTest, TruncatedGzip) {
  const auto path = dir_ / "t10k-images-idx3-ubyte.gz";
  test::truncate_file(path, std::filesystem::file_size(path) - 9);
  expect_mentions(input_error([&] { open_dataset(spec(), "test"); }), "t10k-images", "gzip");
}

}  // namespace
}  // namespace curvseg
