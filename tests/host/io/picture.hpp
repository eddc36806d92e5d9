// What tests ask of a picture.
#pragma once

#include <cstddef>
#include <cstdint>

#include "host/io/image.hpp"

namespace curvseg {

inline constexpr Rgb kBlue{0, 0, 200};
inline constexpr Rgb kRed{200, 0, 0};

inline Rgb pixel(const Image& image, int y, int x) {
  const std::uint8_t* p = image.pixels.data() + image.offset(y, x);
  return {p[0], p[1], p[2]};
}

/// Pixels of one colour.
inline std::size_t count(const Image& image, Rgb color) {
  std::size_t pixels = 0;
  for (int y = 0; y < image.height; ++y) {
    for (int x = 0; x < image.width; ++x) {
      pixels += pixel(image, y, x) == color ? 1 : 0;
    }
  }
  return pixels;
}

}  // namespace curvseg
