/// \file
/// Plots for people to look at: curves over a common axis, below one another, on a log scale.
#pragma once

#include <string>
#include <vector>

#include "host/io/image.hpp"

namespace curvseg {

/// One curve with a frame of its own.
struct PlotPanel {
  std::string title;               ///< in the frame, upper right, in the curve's colour
  std::vector<std::string> notes;  ///< lines below the title
  Rgb color{0, 114, 178};          ///< of the curve
  Rgb negative_color{213, 94, 0};  ///< where x < PlotOptions::negative_below
  std::vector<double> x;           ///< ascending, on the axis of PlotOptions::ticks
  std::vector<double> y;           ///< one a point; not drawn where not above PlotOptions::y_low
  std::vector<double> marks;       ///< places on the x axis that get a triangle
};

/// A number beside an axis.
struct PlotTick {
  double at = 0.0;
  std::string text;  ///< empty: a line alone
};

/// What all panels have in common.
struct PlotOptions {
  std::string title;
  std::string x_label;          ///< below the lowest panel
  std::string y_label;          ///< above the highest one
  std::vector<PlotTick> ticks;  ///< of the x axis
  double negative_below = 0.0;  ///< see PlotPanel::negative_color
  double y_low = 1e-6;          ///< lower end of the y axis, positive
  int width = 1200;             ///< of the picture, in pixels
  int panel_height = 300;
};

/// The curves over one linear x axis, each on a logarithmic y axis from y_low to a decade above its
/// highest point at most; all y axes are the same.
/// \throws Error for no panels, a panel without points or with as many x as not y, or a y_low that
///         is not positive.
Image draw_log_panels(const std::vector<PlotPanel>& panels, const PlotOptions& options);

}  // namespace curvseg
