#include "host/io/legend.hpp"

#include <algorithm>
#include <vector>

#include "curvseg/error.hpp"
#include "host/io/letters.hpp"

namespace curvseg {
namespace {

constexpr int kZoom = 2;  // letters of 14 pixels: what screens and papers show at the usual size
constexpr int kPatchWidth = 24;
constexpr int kPatchHeight = kLetterHeight * kZoom;
constexpr int kPatchGap = 6;   // between a patch and its words
constexpr int kEntryGap = 22;  // between entries
constexpr int kLineAdvance = kPatchHeight + 8;
constexpr Rgb kInk{0, 0, 0};
constexpr Rgb kFrame{128, 128, 128};  // so that a light patch shows on white

int entry_width(const LegendEntry& entry) {
  return kPatchWidth + kPatchGap + text_width(entry.text) * kZoom;
}

void draw_patch(Image& to, int top, int left, Rgb color) {
  for (int y = 0; y < kPatchHeight; ++y) {
    for (int x = 0; x < kPatchWidth && left + x < to.width; ++x) {
      const bool edge = x == 0 || y == 0 || x == kPatchWidth - 1 || y == kPatchHeight - 1;
      const Rgb c = edge ? kFrame : color;
      std::uint8_t* pixel = to.pixels.data() + to.offset(top + y, left + x);
      pixel[0] = c.r;
      pixel[1] = c.g;
      pixel[2] = c.b;
    }
  }
}

struct Place {
  int line = 0;
  int left = 0;
};

std::vector<Place> places(std::span<const LegendEntry> entries, int width) {
  std::vector<Place> result;
  Place next;
  for (const LegendEntry& entry : entries) {
    if (next.left > 0 && next.left + entry_width(entry) > width) {
      next = {next.line + 1, 0};
    }
    result.push_back(next);
    next.left += entry_width(entry) + kEntryGap;
  }
  return result;
}

}  // namespace

Image draw_legend(std::span<const LegendEntry> entries, int width) {
  if (entries.empty()) {
    throw Error("draw_legend: there are no entries");
  }
  const std::vector<Place> at = places(entries, width);
  Image out{at.back().line * kLineAdvance + kPatchHeight, std::max(1, width), 3, {}};
  out.pixels.assign(out.offset(out.height, 0), 255);
  for (std::size_t i = 0; i < entries.size(); ++i) {
    const int top = at[i].line * kLineAdvance;
    draw_patch(out, top, at[i].left, entries[i].color);
    draw_text(out, entries[i].text, top, at[i].left + kPatchWidth + kPatchGap, kZoom, kInk);
  }
  return out;
}

}  // namespace curvseg
