#include "host/io/canvas.hpp"

#include <algorithm>
#include <cmath>

namespace curvseg {
namespace {

std::uint8_t mixed(std::uint8_t from, std::uint8_t to, double strength) {
  return static_cast<std::uint8_t>(std::lround(from + strength * (static_cast<double>(to) - from)));
}

int sample(double place, int end) {
  return static_cast<int>(std::lround(std::clamp<double>(place * Canvas::kSamples, 0.0, end)));
}

}  // namespace

Canvas::Canvas(int height, int width) : samples_{height * kSamples, width * kSamples, 3, {}} {
  samples_.pixels.assign(samples_.offset(samples_.height, 0), 255);
}

void Canvas::fill(double top, double left, double height, double width, Rgb color) {
  blend(top, left, height, width, color, 1.0);
}

void Canvas::blend(double top, double left, double height, double width, Rgb color,
                   double strength) {
  const int y_end = sample(top + height, samples_.height);
  const int x_end = sample(left + width, samples_.width);
  for (int y = sample(top, samples_.height); y < y_end; ++y) {
    for (int x = sample(left, samples_.width); x < x_end; ++x) {
      std::uint8_t* pixel = samples_.pixels.data() + samples_.offset(y, x);
      pixel[0] = mixed(pixel[0], color.r, strength);
      pixel[1] = mixed(pixel[1], color.g, strength);
      pixel[2] = mixed(pixel[2], color.b, strength);
    }
  }
}

void Canvas::triangle(double bottom, double middle, double side, Rgb color) {
  const double row = 1.0 / kSamples;
  for (double above = 0.0; above < side; above += row) {
    const double width = side - above;
    fill(bottom - above - row, middle - 0.5 * width, row, width, color);
  }
}

Image Canvas::image() const {
  Image out{samples_.height / kSamples, samples_.width / kSamples, 3, {}};
  out.pixels.resize(out.offset(out.height, 0));
  constexpr int kArea = kSamples * kSamples;
  for (int y = 0; y < out.height; ++y) {
    for (int x = 0; x < out.width; ++x) {
      for (std::size_t c = 0; c < 3; ++c) {
        int sum = kArea / 2;
        for (int i = 0; i < kArea; ++i) {
          sum += samples_.pixels[samples_.offset(y * kSamples + i / kSamples,
                                                 x * kSamples + i % kSamples) +
                                 c];
        }
        out.pixels[out.offset(y, x) + c] = static_cast<std::uint8_t>(sum / kArea);
      }
    }
  }
  return out;
}

}  // namespace curvseg
