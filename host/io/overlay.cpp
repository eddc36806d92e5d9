#include "host/io/overlay.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <string>

namespace curvseg {
namespace {

constexpr std::array<Rgb, 256> make_palette() {
  std::array<Rgb, 256> palette{};
  for (unsigned i = 0; i < 256; ++i) {  // VOC: the bits of the index, spread over the channels
    unsigned r = 0;
    unsigned g = 0;
    unsigned b = 0;
    for (unsigned bit = 0; bit < 8; ++bit) {
      const unsigned digit = i >> (3 * bit);
      r |= (digit & 1U) << (7 - bit);
      g |= ((digit >> 1) & 1U) << (7 - bit);
      b |= ((digit >> 2) & 1U) << (7 - bit);
    }
    palette[i] = {static_cast<std::uint8_t>(r), static_cast<std::uint8_t>(g),
                  static_cast<std::uint8_t>(b)};
  }
  constexpr std::array<Rgb, 12> kSafe = {{{0, 0, 0},
                                          {86, 180, 233},
                                          {230, 159, 0},
                                          {0, 158, 115},
                                          {240, 228, 66},
                                          {0, 114, 178},
                                          {213, 94, 0},
                                          {204, 121, 167},
                                          {136, 34, 85},
                                          {221, 221, 221},
                                          {51, 34, 136},
                                          {153, 153, 51}}};
  std::copy(kSafe.begin(), kSafe.end(), palette.begin());
  return palette;
}

constexpr std::array<Rgb, 256> kPalette = make_palette();

std::uint8_t blend(std::uint8_t from, std::uint8_t to, float weight) {
  const float value =
      static_cast<float>(from) + weight * (static_cast<float>(to) - static_cast<float>(from));
  return static_cast<std::uint8_t>(std::lround(value));
}

void blend_pixel(Image& image, std::size_t pixel, Rgb color, float weight) {
  std::uint8_t* to = image.pixels.data() + 3 * pixel;
  to[0] = blend(to[0], color.r, weight);
  to[1] = blend(to[1], color.g, weight);
  to[2] = blend(to[2], color.b, weight);
}

Image color_classes(const Image& base, std::span<const std::int32_t> labels,
                    const OverlayOptions& options) {
  Image out = base;
  for (std::size_t i = 0; i < labels.size(); ++i) {
    const std::int32_t label = labels[i];
    if (label < 0) {
      blend_pixel(out, i, kVoidColor, 0.85F);
    } else if (static_cast<std::size_t>(label) < options.palette.size()) {
      blend_pixel(out, i, options.palette[static_cast<std::size_t>(label)], options.opacity);
    } else {
      throw Error("overlay_panels: label " + std::to_string(label) + ", the palette has " +
                  std::to_string(options.palette.size()) + " colours");
    }
  }
  return out;
}

Image mark_errors(const Image& base, std::span<const std::int32_t> prediction,
                  std::span<const std::int32_t> truth) {
  Image out = base;
  for (std::size_t i = 0; i < truth.size(); ++i) {
    if (truth[i] < 0) {
      blend_pixel(out, i, kVoidColor, 0.85F);
    } else if (prediction[i] != truth[i]) {
      blend_pixel(out, i, kWrongColor, 0.9F);
    } else {
      blend_pixel(out, i, {0, 0, 0}, 0.55F);
    }
  }
  return out;
}

/// Copies @p from into the RGB image @p to at (@p top, @p left), each pixel zoom x zoom times.
void paste(Image& to, const Image& from, int top, int left, int zoom) {
  for (int y = 0; y < from.height * zoom; ++y) {
    for (int x = 0; x < from.width * zoom; ++x) {
      const std::uint8_t* pixel = from.pixels.data() + from.offset(y / zoom, x / zoom);
      std::copy(pixel, pixel + 3, to.pixels.data() + to.offset(top + y, left + x));
    }
  }
}

Image white(int height, int width) {
  Image image{height, width, 3, {}};
  image.pixels.assign(image.offset(height, 0), 255);
  return image;
}

}  // namespace

std::span<const Rgb> default_palette() { return kPalette; }

Image to_rgb(const Sample& sample) {
  const int channels = sample.channels;
  Image image{sample.height, sample.width, 3, {}};
  const std::size_t pixels = image.offset(sample.height, 0) / 3;
  if (channels < 1 || sample.image.size() != pixels * static_cast<std::size_t>(channels)) {
    throw Error("to_rgb: " + std::to_string(sample.image.size()) + " values for " +
                std::to_string(sample.width) + "x" + std::to_string(sample.height) + " pixels of " +
                std::to_string(channels) + " channels");
  }
  image.pixels.resize(pixels * 3);
  for (std::size_t i = 0; i < pixels; ++i) {
    for (std::size_t c = 0; c < 3; ++c) {
      const std::size_t from = channels >= 3 ? c : 0;
      const float value = sample.image[i * static_cast<std::size_t>(channels) + from];
      image.pixels[i * 3 + c] =
          static_cast<std::uint8_t>(std::lround(255.0F * std::clamp(value, 0.0F, 1.0F)));
    }
  }
  return image;
}

Image overlay_panels(const Sample& sample, std::span<const std::int32_t> prediction,
                     std::span<const std::int32_t> truth, const OverlayOptions& options) {
  const Image base = to_rgb(sample);
  const std::size_t pixels = base.pixels.size() / 3;
  if (prediction.size() != pixels || (!truth.empty() && truth.size() != pixels)) {
    throw Error("overlay_panels: " + std::to_string(prediction.size()) + " predicted and " +
                std::to_string(truth.size()) + " true labels for " + std::to_string(pixels) +
                " pixels");
  }
  std::vector<Image> panels{base, color_classes(base, prediction, options)};
  if (!truth.empty()) {
    panels.push_back(color_classes(base, truth, options));
    panels.push_back(mark_errors(base, prediction, truth));
  }
  constexpr int kPanelWidth = 256;
  const int zoom =
      options.zoom > 0 ? options.zoom : std::max(1, (kPanelWidth + base.width - 1) / base.width);
  const int count = static_cast<int>(panels.size());
  const int panel_width = base.width * zoom;
  Image out = white(base.height * zoom, count * panel_width + (count - 1) * options.gap);
  for (int i = 0; i < count; ++i) {
    paste(out, panels[static_cast<std::size_t>(i)], 0, i * (panel_width + options.gap), zoom);
  }
  return out;
}

Image stack_rows(std::span<const Image> rows, int gap) {
  int height = gap;
  int width = 0;
  for (const Image& row : rows) {
    if (row.channels != 3) {
      throw Error("stack_rows: a row has " + std::to_string(row.channels) +
                  " channels, expected RGB");
    }
    height += row.height + gap;
    width = std::max(width, row.width);
  }
  if (rows.empty()) {
    throw Error("stack_rows: there are no rows");
  }
  Image out = white(height, width + 2 * gap);
  int top = gap;
  for (const Image& row : rows) {
    paste(out, row, top, gap + (width - row.width) / 2, 1);
    top += row.height + gap;
  }
  return out;
}

void write_gallery(const std::filesystem::path& path, std::span<const Image> rows) {
  write_png(path, stack_rows(rows));
}

}  // namespace curvseg
