#include "host/io/overlay.hpp"

#include <gtest/gtest.h>

#include <set>

#include "fixtures.hpp"

namespace curvseg {
namespace {

Sample grey(int height, int width, float value) {
  Sample sample;
  sample.height = height;
  sample.width = width;
  sample.channels = 1;
  sample.image.assign(static_cast<std::size_t>(height * width), value);
  return sample;
}

Rgb pixel(const Image& image, int y, int x) {
  const std::uint8_t* p = image.pixels.data() + image.offset(y, x);
  return {p[0], p[1], p[2]};
}

TEST(DefaultPalette, DistinctColoursBlackFirstVoidLast) {
  const auto palette = default_palette();
  ASSERT_EQ(palette.size(), 256U);
  EXPECT_EQ(palette[0], (Rgb{0, 0, 0}));
  EXPECT_EQ(palette[15], (Rgb{192, 128, 128}));  // VOC's colour of a person
  EXPECT_EQ(palette[255], (Rgb{224, 224, 192}));
  std::set<std::tuple<int, int, int>> colors;
  for (const Rgb& c : palette) {
    colors.insert({c.r, c.g, c.b});
  }
  EXPECT_EQ(colors.size(), 256U);
}

TEST(OverlayPanels, FourPanelsWithTruth) {
  const Sample sample = grey(1, 3, 1.0F);
  const std::vector<std::int32_t> prediction = {0, 1, 1};
  const std::vector<std::int32_t> truth = {0, 0, -1};
  const std::vector<Rgb> palette = {{0, 0, 0}, {255, 55, 155}};
  const Image out = overlay_panels(sample, prediction, truth,
                                   {.palette = palette, .opacity = 0.5F, .zoom = 1, .gap = 1});
  EXPECT_EQ(out.height, 1);
  ASSERT_EQ(out.width, 4 * 3 + 3);
  EXPECT_EQ(pixel(out, 0, 0), (Rgb{255, 255, 255}));
  EXPECT_EQ(pixel(out, 0, 4), (Rgb{128, 128, 128}));  // class 0 over white
  EXPECT_EQ(pixel(out, 0, 5), (Rgb{255, 155, 205}));
  EXPECT_EQ(pixel(out, 0, 9), (Rgb{128, 128, 128}));   // truth
  EXPECT_EQ(pixel(out, 0, 10), (Rgb{93, 93, 93}));     // void
  EXPECT_EQ(pixel(out, 0, 12), (Rgb{115, 115, 115}));  // right: dimmed
  EXPECT_EQ(pixel(out, 0, 13), (Rgb{255, 26, 206}));   // wrong
  EXPECT_EQ(pixel(out, 0, 14), (Rgb{93, 93, 93}));     // void, whatever was predicted
}

TEST(OverlayPanels, TwoPanelsWithoutTruthAndZoomOfSmallImages) {
  const Sample sample = grey(2, 10, 0.0F);
  const Image out = overlay_panels(sample, std::vector<std::int32_t>(20, 3));
  EXPECT_EQ(out.width, 2 * 260 + 6);
  EXPECT_EQ(out.height, 2 * 26);
}

TEST(OverlayPanels, SizesMustMatch) {
  const Sample sample = grey(2, 2, 0.0F);
  const std::vector<std::int32_t> three(3, 0);
  const std::vector<std::int32_t> four(4, 0);
  EXPECT_THROW(overlay_panels(sample, three), Error);
  EXPECT_THROW(overlay_panels(sample, four, three), Error);
  const std::vector<std::int32_t> high(4, 300);
  EXPECT_THROW(overlay_panels(sample, high), Error);
}

TEST(WriteGallery, StacksRowsOfDifferentWidths) {
  const test::TempDir dir;
  const std::vector<Image> rows = {to_rgb(grey(3, 8, 0.0F)), to_rgb(grey(2, 4, 0.0F))};
  write_gallery(dir / "g.png", rows);
  const Image back = read_png(dir / "g.png");
  EXPECT_EQ(back.height, 10 + 3 + 10 + 2 + 10);
  EXPECT_EQ(back.width, 8 + 20);
  EXPECT_EQ(pixel(back, 10, 10), (Rgb{0, 0, 0}));
  EXPECT_EQ(pixel(back, 23, 11), (Rgb{255, 255, 255}));
  EXPECT_EQ(pixel(back, 23, 12), (Rgb{0, 0, 0}));  // centred
  EXPECT_THROW(write_gallery(dir / "n.png", {}), Error);
}

}  // namespace
}  // namespace curvseg
