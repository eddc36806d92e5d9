#include "host/io/legend.hpp"

#include <gtest/gtest.h>

#include <set>

#include "curvseg/error.hpp"
#include "host/io/letters.hpp"
#include "host/io/picture.hpp"

namespace curvseg {
namespace {

constexpr Rgb kBlack{0, 0, 0};

/// Text of one line on white, in rows of '#' and '.'.
std::string drawn(std::string_view text, int width) {
  Image image{kLetterHeight, width, 3, {}};
  image.pixels.assign(image.offset(image.height, 0), 255);
  draw_text(image, text, 0, 0, 1, kBlack);
  std::string rows;
  for (int y = 0; y < image.height; ++y) {
    for (int x = 0; x < image.width; ++x) {
      rows += pixel(image, y, x) == kBlack ? '#' : '.';
    }
    rows += '\n';
  }
  return rows;
}

TEST(Letters, LookAsTheyShould) {
  EXPECT_EQ(drawn("T1", 11),
            "#####...#..\n"
            "..#....##..\n"
            "..#.....#..\n"
            "..#.....#..\n"
            "..#.....#..\n"
            "..#.....#..\n"
            "..#....###.\n");
}

TEST(Letters, EachHasAFormOfItsOwn) {
  const std::string known = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 .,:-_+=/()&'?";
  std::set<std::string> forms;
  for (const char letter : known) {
    forms.insert(drawn(std::string(1, letter), 5));
  }
  EXPECT_EQ(forms.size(), known.size());
}

TEST(Letters, SmallOnesAreCapitalsAndUnknownOnesQuestionMarks) {
  EXPECT_EQ(drawn("road", 30), drawn("ROAD", 30));
  EXPECT_EQ(drawn("Kr\xC3\xA4he", 40), drawn("KR?HE", 40));
  EXPECT_EQ(drawn("\xE7\x8C\xAB", 10), drawn("?", 10));
  EXPECT_EQ(text_width("Kr\xC3\xA4he"), 29);
  EXPECT_EQ(text_width(""), 0);
}

TEST(Letters, StayInsideTheImage) {
  Image image{5, 8, 3, {}};
  image.pixels.assign(image.offset(image.height, 0), 255);
  draw_text(image, "MMMM", 2, -3, 2, kBlack);  // sanitizers look at the rest
  EXPECT_GT(count(image, kBlack), 0U);
}

TEST(Legend, HasAPatchOfEachColourAndItsWords) {
  const std::vector<LegendEntry> entries = {{kRed, "0 sky"}, {kBlue, "1 road"}};
  const Image out = draw_legend(entries, 400);
  EXPECT_EQ(out.width, 400);
  EXPECT_EQ(count(out, kRed), 22U * 12U);
  EXPECT_EQ(count(out, kBlue), 22U * 12U);
  const auto ink = count(out, kBlack);
  EXPECT_GT(ink, 4U * 7U);
  const std::vector<LegendEntry> others = {{kRed, "0 sky"}, {kBlue, "1 roads"}};
  EXPECT_GT(count(draw_legend(others, 400), kBlack), ink);
}

TEST(Legend, TakesTheLinesItNeeds) {
  const std::vector<LegendEntry> entries(7, {kRed, "a class"});
  const int one_line = draw_legend(entries, 4000).height;
  const Image narrow = draw_legend(entries, 120);  // an entry is 30 + 82 pixels wide
  EXPECT_EQ(narrow.height, 6 * 22 + one_line);
  EXPECT_EQ(count(narrow, kRed), 7U * 22U * 12U);
  EXPECT_EQ(count(draw_legend(entries, 10), kRed), 7U * 9U * 12U);  // cut, left frame and 9 columns
  EXPECT_THROW(draw_legend({}, 100), Error);
}

}  // namespace
}  // namespace curvseg
