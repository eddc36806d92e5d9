#include "host/io/plot.hpp"

#include <algorithm>
#include <cmath>

#include "curvseg/error.hpp"
#include "host/io/canvas.hpp"
#include "host/io/letters.hpp"

namespace curvseg {
namespace {

// Letters of 14 pixels: what screens and papers show at the usual size.
constexpr int kTextZoom = 2;
constexpr int kTextHeight = kLetterHeight * kTextZoom;
constexpr int kTop = 74;      // of the first panel: the title and the y axis's name are above it
constexpr int kLeft = 92;     // of all panels: the numbers of the y axis are beside them
constexpr int kRight = 28;    // from the panels to the edge
constexpr int kBetween = 26;  // panels
constexpr int kBottom = 74;   // below the last panel: numbers and name of the x axis
constexpr Rgb kTextColor{40, 40, 40};
constexpr Rgb kPale{110, 110, 110};
constexpr Rgb kGrid{228, 228, 228};
constexpr Rgb kFrameColor{120, 120, 120};

struct Axes {
  double x_low, x_high;
  int decade_low, decade_high;  // y from 10^decade_low on
  double y_low;                 // log10
  double negative_below;
  int width, height;  // of a panel

  bool holds(double x) const { return x >= x_low && x <= x_high; }
  double at_x(double x) const { return kLeft + (x - x_low) / (x_high - x_low) * width; }
  /// From the upper edge of a panel down.
  double at_y(double log_y) const {
    return (decade_high - std::max(log_y, y_low)) / (decade_high - y_low) * height;
  }
};

void check(const std::vector<PlotPanel>& panels, const PlotOptions& options) {
  if (panels.empty()) throw Error("draw_log_panels: there are no panels");
  if (!(options.y_low > 0.0))
    throw Error("draw_log_panels: y_low is " + std::to_string(options.y_low));
  for (const PlotPanel& panel : panels)
    if (panel.x.empty() || panel.x.size() != panel.y.size())
      throw Error("draw_log_panels: panel " + panel.title + " has " +
                  std::to_string(panel.x.size()) + " x and " + std::to_string(panel.y.size()) +
                  " y");
}

Axes common_axes(const std::vector<PlotPanel>& panels, const PlotOptions& options) {
  Axes axes{};
  axes.x_low = panels[0].x.front();
  axes.x_high = panels[0].x.back();
  double highest = options.y_low * 10.0;
  for (const PlotPanel& panel : panels) {
    axes.x_low = std::min(axes.x_low, panel.x.front());
    axes.x_high = std::max(axes.x_high, panel.x.back());
    for (const double y : panel.y) highest = std::max(highest, std::isfinite(y) ? y : 0.0);
  }
  if (!(axes.x_low < axes.x_high)) axes.x_low -= 1.0, axes.x_high += 1.0;
  axes.y_low = std::log10(options.y_low);
  axes.decade_low = static_cast<int>(std::ceil(axes.y_low));
  axes.decade_high = static_cast<int>(std::floor(std::log10(highest))) + 1;
  axes.negative_below = options.negative_below;
  axes.width = options.width - kLeft - kRight;
  axes.height = options.panel_height;
  return axes;
}

/// Every so many decades get a label, so that these do not touch.
int decade_step(const Axes& axes) {
  const int fit = std::max(1, axes.height / (2 * kTextHeight));
  return std::max(1, (axes.decade_high - axes.decade_low + fit) / fit);
}

/// log10 of the panel's curve at x by linear interpolation in y, or a value below every axis.
class Curve {
 public:
  explicit Curve(const PlotPanel& panel) : panel_(panel) {}
  double at(double x) const {
    constexpr double kNothing = -1e9;
    const auto& xs = panel_.x;
    if (x < xs.front() || x > xs.back()) return kNothing;
    const auto above = std::lower_bound(xs.begin(), xs.end(), x);
    const auto i = static_cast<std::size_t>(above - xs.begin());
    double y = panel_.y[i];
    if (i > 0 && xs[i] > xs[i - 1]) {
      const double part = (x - xs[i - 1]) / (xs[i] - xs[i - 1]);
      y = panel_.y[i - 1] + part * (panel_.y[i] - panel_.y[i - 1]);
    }
    return y > 0.0 && std::isfinite(y) ? std::log10(y) : kNothing;
  }

 private:
  const PlotPanel& panel_;
};

void draw_grid(Canvas& canvas, const Axes& axes, const std::vector<PlotTick>& ticks, int top) {
  for (int d = axes.decade_low; d <= axes.decade_high; ++d)
    canvas.fill(top + axes.at_y(d) - 0.5, kLeft, 1.0, axes.width, kGrid);
  for (const PlotTick& tick : ticks)
    if (axes.holds(tick.at))
      canvas.fill(top, axes.at_x(tick.at) - 0.5, axes.height, 1.0,
                  tick.at == 0.0 ? kFrameColor : kGrid);
}

void draw_curve(Canvas& canvas, const Axes& axes, const PlotPanel& panel, int top) {
  constexpr double kStroke = 2.4, kFillStrength = 0.22;
  const Curve curve(panel);
  const double step = 1.0 / Canvas::kSamples;
  double before = axes.height;
  for (double column = 0.0; column < axes.width; column += step) {
    const double x = axes.x_low + (column + 0.5 * step) / axes.width * (axes.x_high - axes.x_low);
    const double y = axes.at_y(curve.at(x));
    const Rgb color = x < axes.negative_below ? panel.negative_color : panel.color;
    const double left = kLeft + column;
    canvas.blend(top + y, left, axes.height - y, step, color, kFillStrength);
    // Steep parts are as thick as flat ones when a column reaches from its neighbour's height on.
    const double upper = std::max(0.0, std::min(y, before) - 0.5 * kStroke);
    const double lower = std::min<double>(axes.height, std::max(y, before) + 0.5 * kStroke);
    if (y < axes.height || before < axes.height)
      canvas.fill(top + upper, left, lower - upper, step, color);
    before = y;
  }
}

void draw_frame(Canvas& canvas, const Axes& axes, int top) {
  canvas.fill(top, kLeft, 1.0, axes.width, kFrameColor);
  canvas.fill(top + axes.height - 1.0, kLeft, 1.0, axes.width, kFrameColor);
  canvas.fill(top, kLeft, axes.height, 1.0, kFrameColor);
  canvas.fill(top, kLeft + axes.width - 1.0, axes.height, 1.0, kFrameColor);
}

void draw_marks(Canvas& canvas, const Axes& axes, const PlotPanel& panel, int top) {
  constexpr double kSide = 9.0;
  for (const double x : panel.marks)
    canvas.triangle(top + axes.height - 1.0, axes.at_x(x), kSide, kTextColor);
}

void draw_right(Image& to, const std::string& text, int top, int right, Rgb color) {
  draw_text(to, text, top, right - text_width(text) * kTextZoom, kTextZoom, color);
}

void draw_centred(Image& to, const std::string& text, int top, double centre, Rgb color) {
  const int width = text_width(text) * kTextZoom;
  const int left = static_cast<int>(std::lround(centre)) - width / 2;
  draw_text(to, text, top, std::clamp(left, 0, std::max(0, to.width - width)), kTextZoom, color);
}

void write_panel(Image& to, const Axes& axes, const PlotPanel& panel, int top) {
  constexpr int kInset = 14, kLine = kTextHeight + 8;
  const int right = kLeft + axes.width - kInset;
  draw_right(to, panel.title, top + kInset, right, panel.color);
  for (std::size_t i = 0; i < panel.notes.size(); ++i)
    draw_right(to, panel.notes[i], top + kInset + kLine * (static_cast<int>(i) + 1), right,
               kTextColor);
  const int step = decade_step(axes);
  for (int d = axes.decade_high; d >= axes.decade_low; d -= step) {
    const int middle = top + static_cast<int>(std::lround(axes.at_y(d)));
    if (middle > top + axes.height - kTextHeight / 2 && d != axes.decade_low) continue;
    draw_right(to, "1E" + std::to_string(d), middle - kTextHeight / 2, kLeft - 8, kPale);
  }
}

}  // namespace

Image draw_log_panels(const std::vector<PlotPanel>& panels, const PlotOptions& options) {
  check(panels, options);
  const Axes axes = common_axes(panels, options);
  const int count = static_cast<int>(panels.size());
  const int advance = axes.height + kBetween;
  const int bottom = kTop + count * advance - kBetween;  // of the lowest panel
  Canvas canvas(bottom + kBottom, options.width);
  for (int i = 0; i < count; ++i) {
    const PlotPanel& panel = panels[static_cast<std::size_t>(i)];
    const int top = kTop + i * advance;
    draw_grid(canvas, axes, options.ticks, top);
    draw_curve(canvas, axes, panel, top);
    draw_frame(canvas, axes, top);
    draw_marks(canvas, axes, panel, top);
  }
  Image picture = canvas.image();
  draw_text(picture, options.title, 18, kLeft, kTextZoom, kTextColor);
  draw_text(picture, options.y_label, 18 + kTextHeight + 12, kLeft, kTextZoom, kPale);
  for (int i = 0; i < count; ++i)
    write_panel(picture, axes, panels[static_cast<std::size_t>(i)], kTop + i * advance);
  for (const PlotTick& tick : options.ticks)
    if (axes.holds(tick.at))
      draw_centred(picture, tick.text, bottom + 10, axes.at_x(tick.at), kPale);
  draw_centred(picture, options.x_label, bottom + 10 + kTextHeight + 14, kLeft + axes.width / 2.0,
               kTextColor);
  return picture;
}

}  // namespace curvseg
