// Plots: where things are, and smooth edges.
#include "host/io/plot.hpp"

#include <gtest/gtest.h>

#include <cmath>

#include "curvseg/error.hpp"
#include "host/io/canvas.hpp"
#include "host/io/picture.hpp"

namespace curvseg {
namespace {

constexpr Rgb kWhite{255, 255, 255};

/// The first row of column @p x that has this colour, or −1.
int first_row(const Image& image, int x, Rgb color) {
  for (int y = 0; y < image.height; ++y) {
    if (pixel(image, y, x) == color) {
      return y;
    }
  }
  return -1;
}

TEST(Canvas, FillsWholePixelsAndMixesPartsOfThem) {
  Canvas canvas(4, 6);
  canvas.fill(1.0, 2.0, 2.0, 3.0, kBlue);
  Image image = canvas.image();
  EXPECT_EQ(count(image, kBlue), 6U);
  EXPECT_EQ(count(image, kWhite), 18U);
  EXPECT_EQ(pixel(image, 1, 2), kBlue);
  EXPECT_EQ(pixel(image, 3, 2), kWhite);
  canvas.fill(3.0, 0.0, 1.0 / 3.0, 1.0, {0, 0, 0});
  EXPECT_EQ(pixel(canvas.image(), 3, 0), (Rgb{170, 170, 170}));
  canvas.blend(0.0, 0.0, 1.0, 1.0, {0, 0, 0}, 0.5);
  EXPECT_EQ(pixel(canvas.image(), 0, 0), (Rgb{128, 128, 128}));
}

TEST(Canvas, LeavesOutWhatIsOutside) {
  Canvas canvas(4, 6);
  canvas.fill(-5.0, -5.0, 100.0, 100.0, kBlue);  // sanitizers look at the rest
  canvas.triangle(1.0, 6.0, 9.0, kRed);
  EXPECT_GE(count(canvas.image(), kBlue), 12U);
}

PlotPanel panel(std::vector<double> y) {
  PlotPanel result{.title = "a", .color = kBlue, .negative_color = kRed};
  for (std::size_t i = 0; i < y.size(); ++i) {
    result.x.push_back(-1.0 + 2.0 * static_cast<double>(i) / static_cast<double>(y.size() - 1));
  }
  result.y = std::move(y);
  return result;
}

TEST(Plot, HasItsSizeAndItsColours) {
  const Image one = draw_log_panels({panel({1e-3, 1e-3})}, {.width = 500, .panel_height = 200});
  EXPECT_EQ(one.width, 500);
  const Image two = draw_log_panels({panel({1e-3, 1e-3}), panel({1e-2, 1e-4})},
                                    {.width = 500, .panel_height = 200});
  EXPECT_GT(two.height, one.height + 200);
  EXPECT_GT(count(two, kBlue), 200U);
  EXPECT_GT(count(two, kRed), 100U) << "below 0";
}

TEST(Plot, ACurveIsWhereItsValuesAre) {
  constexpr int kHeight = 240;
  const auto height_of = [](double y) {
    const Image image = draw_log_panels(
        {panel({y, y}), panel({1e-2, 1e-2})},  // the second one keeps the axes as they are
        {.y_low = 1e-6, .width = 500, .panel_height = kHeight});
    return first_row(image, 200, kRed);
  };
  // The axes go from 1e-6 to a decade above 1e-2: five decades of 48 pixels.
  const int at_3 = height_of(1e-3);
  const int at_5 = height_of(1e-5);
  ASSERT_GE(at_3, 0);
  EXPECT_NEAR(at_5 - at_3, 0.4 * kHeight, 1);
  const Image below = draw_log_panels({panel({1e-7, 1e-7}), panel({1e-2, 1e-2})},
                                      {.y_low = 1e-6, .width = 500, .panel_height = kHeight});
  EXPECT_GT(first_row(below, 200, kRed), kHeight) << "nothing in the first panel";
}

TEST(Plot, ColoursChangeWhereTheyShould) {
  const auto red_columns = [](double from) {
    const Image image = draw_log_panels({panel({1e-3, 1e-3})},
                                        {.negative_below = from, .y_low = 1e-6, .width = 520});
    int columns = 0;
    for (int x = 100; x < 480; ++x) {
      columns += first_row(image, x, kRed) >= 0 ? 1 : 0;
    }
    return columns;
  };
  EXPECT_EQ(red_columns(-2.0), 0);
  EXPECT_NEAR(red_columns(0.5) - red_columns(0.0), 0.25 * 400, 2);
}

TEST(Plot, MarksAndTicksAddInk) {
  PlotPanel marked = panel({1e-3, 1e-3});
  PlotOptions options{.y_low = 1e-6, .width = 500};
  const Image plain = draw_log_panels({marked}, options);
  marked.marks = {0.5};
  const Image with_mark = draw_log_panels({marked}, options);
  EXPECT_NE(plain.pixels, with_mark.pixels);
  options.ticks = {{0.25, "7"}};
  const Image with_tick = draw_log_panels({marked}, options);
  EXPECT_NE(with_mark.pixels, with_tick.pixels);
  options.ticks.push_back({3.0, "8"});  // not on the axis
  EXPECT_EQ(with_tick.pixels, draw_log_panels({marked}, options).pixels);
}

TEST(Plot, RefusesWhatCannotBeDrawn) {
  EXPECT_THROW(draw_log_panels({}, {}), Error);
  EXPECT_THROW(draw_log_panels({panel({1.0, 1.0})}, {.y_low = 0.0}), Error);
  PlotPanel odd = panel({1.0, 1.0});
  odd.y.pop_back();
  EXPECT_THROW(draw_log_panels({odd}, {}), Error);
  EXPECT_THROW(draw_log_panels({PlotPanel{}}, {}), Error);
}

/// Where a curve is 0 or not finite nothing is drawn, and what is finite is where it would be
/// anyway.
TEST(Plot, DrawsInfinitiesAndZerosWithoutHarm) {
  const PlotOptions options{.negative_below = -2.0, .y_low = 1e-6, .width = 520};
  const auto columns = [&](const std::vector<double>& y, int from, int to) {
    const Image image = draw_log_panels({panel(y)}, options);
    int drawn = 0;
    for (int x = from; x < to; ++x) {  // up to 440: the title, of the same colour, is on the right
      drawn += first_row(image, x, kBlue) >= 0 ? 1 : 0;
    }
    return drawn;
  };
  const std::vector<double> finite(5, 1e-3);
  for (const double odd : {HUGE_VAL, std::nan(""), 0.0}) {
    const std::vector<double> values = {1e-3, 1e-3, odd, odd, odd};
    EXPECT_EQ(columns(finite, 300, 440), 140);
    EXPECT_EQ(columns(values, 300, 440), 0) << odd;
    EXPECT_EQ(first_row(draw_log_panels({panel(values)}, options), 100, kBlue),
              first_row(draw_log_panels({panel(finite)}, options), 100, kBlue))
        << odd;
  }
}

}  // namespace
}  // namespace curvseg
