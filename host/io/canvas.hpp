/// \file
/// Filled shapes with smooth edges, for plots.
#pragma once

#include "host/io/image.hpp"

namespace curvseg {

/// A white picture that is drawn in samples finer than its pixels. Places and lengths are in
/// pixels; what lies outside is left out.
class Canvas {
 public:
  static constexpr int kSamples = 3;  ///< a pixel, in each direction

  Canvas(int height, int width);

  /// A rectangle, its upper left corner at (@p top, @p left).
  void fill(double top, double left, double height, double width, Rgb color);
  /// The same, mixed into what is there: @p strength 1 covers it, 0 leaves it.
  void blend(double top, double left, double height, double width, Rgb color, double strength);
  /// A triangle on @p bottom that points up to @p side pixels above it, @p side wide, around the
  /// column @p middle.
  void triangle(double bottom, double middle, double side, Rgb color);

  /// The picture, RGB.
  [[nodiscard]] Image image() const;

 private:
  Image samples_;
};

}  // namespace curvseg
