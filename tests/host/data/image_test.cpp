#include "host/io/image.hpp"

#include <gtest/gtest.h>

#include <fstream>

#include "fixtures.hpp"
#include "host/data/random.hpp"

namespace curvseg {
namespace {

using test::expect_mentions;
using test::input_error;
using test::PngSpec;
using test::TempDir;
using test::write_raw_jpeg;
using test::write_raw_png;

PngSpec ramp(int height, int width, int bit_depth, int color_type, int samples_per_pixel) {
  PngSpec spec;
  spec.height = height;
  spec.width = width;
  spec.bit_depth = bit_depth;
  spec.color_type = color_type;
  const auto count = static_cast<std::size_t>(height * width * samples_per_pixel);
  Random random(7);
  for (std::size_t i = 0; i < count; ++i) {
    spec.samples.push_back(static_cast<std::uint16_t>(random.below(1ULL << bit_depth)));
  }
  return spec;
}

class BitDepth : public ::testing::TestWithParam<int> {};

TEST_P(BitDepth, GreyMaskKeepsStoredIndicesAndGreyImageIsScaled) {
  const int depth = GetParam();
  const TempDir dir;
  // An odd width leaves unused bits at the end of a row.
  const PngSpec spec = ramp(3, 7, depth, test::kGrey, 1);
  write_raw_png(dir / "a.png", spec);
  const MaskImage mask = read_mask_png(dir / "a.png");
  ASSERT_EQ(mask.height, 3);
  ASSERT_EQ(mask.width, 7);
  EXPECT_TRUE(mask.palette.empty());
  const Image image = read_png(dir / "a.png");
  ASSERT_EQ(image.channels, 1);
  const int factor = 255 / ((1 << depth) - 1);
  for (std::size_t i = 0; i < spec.samples.size(); ++i) {
    EXPECT_EQ(mask.indices[i], spec.samples[i]) << i;
    EXPECT_EQ(image.pixels[i], spec.samples[i] * factor) << i;
  }
  const ImageInfo info = read_image_info(dir / "a.png");
  EXPECT_TRUE(info.is_index);
  EXPECT_EQ(info.bit_depth, depth);
  EXPECT_EQ(info.channels, 1);
}

TEST_P(BitDepth, PaletteMaskKeepsStoredIndicesAndPaletteImageIsExpanded) {
  const int depth = GetParam();
  for (const bool interlaced : {false, true}) {
    const TempDir dir;
    PngSpec spec = ramp(9, 13, depth, test::kPalette, 1);
    spec.interlaced = interlaced;
    for (int i = 0; i < 1 << depth; ++i) {
      spec.palette.push_back({static_cast<std::uint8_t>(255 - i), static_cast<std::uint8_t>(i),
                              static_cast<std::uint8_t>(i * 3)});
    }
    spec.palette_alpha = {0, 128};  // transparency of a palette must not add a channel
    write_raw_png(dir / "a.png", spec);
    const MaskImage mask = read_mask_png(dir / "a.png");
    EXPECT_EQ(mask.palette, spec.palette);
    const Image image = read_image(dir / "a.png");
    ASSERT_EQ(image.channels, 3);
    EXPECT_EQ(read_image_info(dir / "a.png").channels, 3);
    ASSERT_EQ(mask.indices.size(), spec.samples.size());
    for (std::size_t i = 0; i < spec.samples.size(); ++i) {
      ASSERT_EQ(mask.indices[i], spec.samples[i]) << i;
      const Rgb color = spec.palette[spec.samples[i]];
      ASSERT_EQ((Rgb{image.pixels[3 * i], image.pixels[3 * i + 1], image.pixels[3 * i + 2]}),
                color);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Png, BitDepth, ::testing::Values(1, 2, 4, 8));

TEST(ReadImage, SixteenBits) {
  const TempDir dir;
  const PngSpec spec = ramp(5, 3, 16, test::kRgb, 3);
  write_raw_png(dir / "a.png", spec);
  EXPECT_EQ(read_image16(dir / "a.png").pixels, spec.samples);
  const Image narrow = read_image(dir / "a.png");
  ASSERT_EQ(narrow.channels, 3);
  for (std::size_t i = 0; i < spec.samples.size(); ++i) {
    EXPECT_EQ(narrow.pixels[i], (spec.samples[i] + 128) / 257) << i;  // nearest, not truncated
  }
  EXPECT_EQ(read_image_info(dir / "a.png").bit_depth, 16);
  expect_mentions(input_error([&] { read_mask_png(dir / "a.png"); }), "a.png", "RGB", "16 bits");
}

TEST(ReadImage, SixteenBitReaderScalesEightBits) {
  const TempDir dir;
  write_raw_png(dir / "a.png", {1, 3, 8, test::kGrey, false, {0, 1, 255}, {}, {}});
  EXPECT_EQ(read_image16(dir / "a.png").pixels, (std::vector<std::uint16_t>{0, 257, 65535}));
}

TEST(ReadImage, AlphaIsKeptForColourAndDroppedForGrey) {
  const TempDir dir;
  write_raw_png(dir / "rgba.png", {1, 2, 8, test::kRgba, false, {1, 2, 3, 4, 5, 6, 7, 8}, {}, {}});
  const Image rgba = read_image(dir / "rgba.png");
  EXPECT_EQ(rgba.channels, 4);
  EXPECT_EQ(rgba.pixels, (std::vector<std::uint8_t>{1, 2, 3, 4, 5, 6, 7, 8}));
  write_raw_png(dir / "ga.png", {1, 2, 8, test::kGreyAlpha, false, {10, 20, 30, 40}, {}, {}});
  const Image grey = read_image(dir / "ga.png");
  EXPECT_EQ(grey.channels, 1);
  EXPECT_EQ(grey.pixels, (std::vector<std::uint8_t>{10, 30}));
  EXPECT_EQ(read_image_info(dir / "ga.png").channels, 1);
  EXPECT_FALSE(read_image_info(dir / "ga.png").is_index);
  expect_mentions(input_error([&] { read_mask_png(dir / "ga.png"); }), "grey and alpha");
}

TEST(ReadImage, JpegGreyAndColourToldByContent) {
  const TempDir dir;
  const std::vector<std::uint8_t> grey(8 * 16, 77);
  write_raw_jpeg(dir / "wrong_name.png", 8, 16, 1, grey);
  const Image image = read_image(dir / "wrong_name.png");
  EXPECT_EQ(image.height, 8);
  EXPECT_EQ(image.width, 16);
  EXPECT_EQ(image.channels, 1);
  EXPECT_EQ(image.pixels, grey);
  const ImageInfo info = read_image_info(dir / "wrong_name.png");
  EXPECT_EQ(info.format, ImageFormat::kJpeg);
  EXPECT_EQ(info.height, 8);
  EXPECT_EQ(info.width, 16);
  EXPECT_EQ(info.channels, 1);
  expect_mentions(input_error([&] { read_png(dir / "wrong_name.png"); }), "not a PNG");
  expect_mentions(input_error([&] { read_mask_png(dir / "wrong_name.png"); }), "JPEG");

  std::vector<std::uint8_t> rgb;
  for (int i = 0; i < 64; ++i) {
    rgb.insert(rgb.end(), {200, 40, 90});
  }
  write_raw_jpeg(dir / "c.jpg", 8, 8, 3, rgb);
  const Image color = read_jpeg(dir / "c.jpg");
  ASSERT_EQ(color.channels, 3);
  for (std::size_t i = 0; i < rgb.size(); ++i) {
    EXPECT_NEAR(color.pixels[i], rgb[i], 2) << i;  // the colour transform rounds
  }
}

TEST(ReadImage, RefusesCmyk) {
  const TempDir dir;
  write_raw_jpeg(dir / "k.jpg", 8, 8, 4, std::vector<std::uint8_t>(256, 100));
  expect_mentions(input_error([&] { read_image(dir / "k.jpg"); }), "k.jpg", "4 components");
  expect_mentions(input_error([&] { read_image_info(dir / "k.jpg"); }), "k.jpg", "4 components");
}

TEST(ReadImage, NamesWhatIsNotAnImage) {
  const TempDir dir;
  std::ofstream(dir / "text.png") << "this is no picture at all, but long enough for a header";
  std::ofstream(dir / "empty.png").flush();
  expect_mentions(input_error([&] { read_image(dir / "text.png"); }), "text.png", "neither");
  expect_mentions(input_error([&] { read_image_info(dir / "empty.png"); }), "empty.png");
  expect_mentions(input_error([&] { read_image(dir / "absent.png"); }), "absent.png", "no such");
  expect_mentions(input_error([&] { read_image_info(dir / "absent.png"); }), "no such");
  expect_mentions(input_error([&] { read_image(dir.path()); }), "not a regular file");
}

TEST(ReadImage, EveryTruncationOfAPngIsAnError) {
  const TempDir dir;
  write_raw_png(dir / "a.png", ramp(6, 6, 8, test::kRgb, 3));
  const auto bytes = test::read_bytes(dir / "a.png");
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    test::write_bytes(dir / "t.png", {bytes.begin(), bytes.begin() + static_cast<long>(size)});
    expect_mentions(input_error([&] { read_image(dir / "t.png"); }), "t.png");
    expect_mentions(input_error([&] { read_image16(dir / "t.png"); }), "t.png");
  }
}

TEST(ReadImage, EveryFlippedByteOfAPngIsAnErrorOrHarmless) {
  const TempDir dir;
  const PngSpec spec = ramp(6, 6, 4, test::kGrey, 1);
  write_raw_png(dir / "a.png", spec);
  const auto bytes = test::read_bytes(dir / "a.png");
  int errors = 0;
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    auto copy = bytes;
    copy[i] ^= 0x5A;
    test::write_bytes(dir / "t.png", copy);
    try {
      static_cast<void>(read_mask_png(dir / "t.png"));
    } catch (const InputError&) {
      ++errors;
    }
  }
  // Checksums cover everything.
  EXPECT_EQ(errors, static_cast<int>(bytes.size()));
}

TEST(ReadImage, TruncatedJpegIsAnErrorNotAGreyArea) {
  const TempDir dir;
  std::vector<std::uint8_t> noise;
  Random random(3);
  for (int i = 0; i < 32 * 32 * 3; ++i) {
    noise.push_back(static_cast<std::uint8_t>(random.below(256)));
  }
  write_raw_jpeg(dir / "a.jpg", 32, 32, 3, noise);
  const auto bytes = test::read_bytes(dir / "a.jpg");
  for (std::size_t size = 0; size + 2 < bytes.size(); size += 11) {
    test::write_bytes(dir / "t.jpg", {bytes.begin(), bytes.begin() + static_cast<long>(size)});
    expect_mentions(input_error([&] { read_image(dir / "t.jpg"); }), "t.jpg");
  }
}

TEST(ReadImage, HugeSizesInADamagedHeaderAllocateNothing) {
  const TempDir dir;
  write_raw_png(dir / "a.png", ramp(2, 2, 8, test::kGrey, 1));
  auto bytes = test::read_bytes(dir / "a.png");
  for (std::size_t i = 16; i < 24; ++i) {
    bytes[i] = i % 4 == 0 ? 0x7F : 0xFF;
  }
  test::write_bytes(dir / "a.png", bytes);
  expect_mentions(input_error([&] { read_image(dir / "a.png"); }), "a.png", "2147483647");
  expect_mentions(input_error([&] { read_image_info(dir / "a.png"); }), "a.png", "2147483647");
}

TEST(WritePng, RoundTrip) {
  const TempDir dir;
  for (const int channels : {1, 3, 4}) {
    Image image{4, 5, channels, {}};
    for (int i = 0; i < 20 * channels; ++i) {
      image.pixels.push_back(static_cast<std::uint8_t>(i * 3));
    }
    write_png(dir / "a.png", image);
    const Image back = read_png(dir / "a.png");
    EXPECT_EQ(back.channels, channels);
    EXPECT_EQ(back.height, 4);
    EXPECT_EQ(back.pixels, image.pixels);
  }
}

TEST(WritePng, RefusesSizesThatDisagree) {
  const TempDir dir;
  EXPECT_THROW(write_png(dir / "a.png", Image{2, 2, 1, {1, 2, 3}}), Error);
  EXPECT_THROW(write_png(dir / "a.png", Image{2, 2, 2, std::vector<std::uint8_t>(8)}), Error);
  EXPECT_THROW(write_png(dir / "a.png", Image{0, 2, 1, {}}), Error);
  EXPECT_TRUE(std::filesystem::is_empty(dir.path()));
}

TEST(WriteIndexPng, RoundTripWithPaletteAndVoid) {
  const TempDir dir;
  const std::vector<Rgb> palette = {{0, 0, 0}, {10, 20, 30}};
  const std::vector<std::int32_t> labels = {0, 1, -1, 1, 0, 254};
  write_index_png(dir / "a.png", 2, 3, labels, palette);
  const MaskImage mask = read_mask_png(dir / "a.png");
  EXPECT_EQ(mask.indices, (std::vector<std::uint8_t>{0, 1, 255, 1, 0, 254}));
  ASSERT_EQ(mask.palette.size(), 256U);
  EXPECT_EQ(mask.palette[1], palette[1]);
  // 255 is a class where nothing is void.
  write_index_png(dir / "c.png", 1, 2, std::vector<std::int32_t>{255, 0}, palette);
  EXPECT_EQ(read_mask_png(dir / "c.png").indices, (std::vector<std::uint8_t>{255, 0}));
  for (const std::vector<std::int32_t>& two : {std::vector<std::int32_t>{255, -1}, {256, 0}})
    EXPECT_THROW(write_index_png(dir / "b.png", 1, 2, two, palette), Error);
  EXPECT_THROW(write_index_png(dir / "b.png", 2, 3, std::vector<std::int32_t>{1}, palette), Error);
  EXPECT_FALSE(std::filesystem::exists(dir / "b.png"));
}

}  // namespace
}  // namespace curvseg
