/// \file
/// Which colour is which class, as a picture.
#pragma once

#include <span>
#include <string>

#include "host/io/image.hpp"

namespace curvseg {

/// One line of a key: a patch of a colour and what it means.
struct LegendEntry {
  Rgb color;
  std::string text;  ///< as draw_text() draws it
};

/// Patches and words on a white ground, in as many lines as it takes.
/// \param width  in pixels, at least 1; what is longer by itself is cut
/// \throws Error for no entries.
Image draw_legend(std::span<const LegendEntry> entries, int width);

}  // namespace curvseg
