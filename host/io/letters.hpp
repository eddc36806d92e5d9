/// \file
/// Letters of 5 x 7 pixels, enough to name classes in a picture.
#pragma once

#include <string_view>

#include "host/io/image.hpp"

namespace curvseg {

inline constexpr int kLetterHeight = 7;
inline constexpr int kLetterAdvance = 6;  ///< from one letter to the next

/// Columns that @p text takes: letters, digits and some punctuation; everything else is drawn as a
/// question mark, small letters as capitals. @p text is UTF-8.
int text_width(std::string_view text);

/// Writes @p text in @p color into the RGB image @p to, its upper left corner at (@p top, @p left),
/// each pixel zoom x zoom times. What lies outside of the image is left out.
void draw_text(Image& to, std::string_view text, int top, int left, int zoom, Rgb color);

}  // namespace curvseg
