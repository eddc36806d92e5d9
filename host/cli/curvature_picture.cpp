#include <spdlog/fmt/fmt.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>

#include "host/cli/curvature_report.hpp"
#include "host/io/plot.hpp"

namespace curvseg::cli {
namespace {

// After Okabe and Ito 2008: to be told apart with any kind of colour blindness.
constexpr std::array<Rgb, 3> kColors = {{{0, 114, 178}, {0, 158, 115}, {204, 121, 167}}};
constexpr Rgb kNegative{213, 94, 0};

PlotPanel panel_of(const MeasuredMatrix& each, Rgb color) {
  const Spectrum& spectrum = each.spectrum;
  PlotPanel panel;
  panel.title = each.matrix.name;
  panel.color = color;
  // A Gaussian around a zero reaches below it; that says nothing of the matrix.
  panel.negative_color = each.matrix.semidefinite ? color : kNegative;
  panel.x = spectrum.density.grid;
  panel.y = spectrum.density.density;
  for (const RitzValue& each_value : spectrum.largest) {
    panel.marks.push_back(each_value.value);
  }
  if (!each.matrix.semidefinite) {
    for (const RitzValue& each_value : spectrum.smallest) {
      panel.marks.push_back(each_value.value);
    }
  }
  panel.notes.push_back(fmt::format("largest {:.4g}", spectrum.largest.front().value));
  if (!each.matrix.semidefinite) {
    panel.notes.push_back(fmt::format("smallest {:.3g}", spectrum.smallest.front().value));
  }
  panel.notes.push_back(
      fmt::format("trace {:.4g} +/- {:.1g}", spectrum.trace.trace, spectrum.trace.standard_error));
  return panel;
}

}  // namespace

Image spectrum_picture(const CurvatureReport& report) {
  std::vector<PlotPanel> panels;
  double lone = 0.0;  // the lowest of the heights that a single eigenvalue makes
  for (const MeasuredMatrix& each : report.matrices) {
    panels.push_back(panel_of(each, kColors[panels.size() % kColors.size()]));
    const double height = 1.0 / (static_cast<double>(each.spectrum.dimension) *
                                 each.spectrum.density.sigma * std::sqrt(2.0 * std::numbers::pi));
    lone = lone == 0.0 ? height : std::min(lone, height);
  }
  // The weights of single eigenvalues scatter around 1/n.
  constexpr double kScatter = 1e-2;
  const auto& first = report.matrices.front().spectrum;
  return draw_log_panels(
      panels,
      {.title =
           fmt::format("{}  step {}  {} parameters", report.model, report.step, first.dimension),
       .x_label = "eigenvalue",
       .y_label = fmt::format("density of eigenvalues, smoothed by {:.2g}", first.density.sigma),
       .y_low = kScatter * lone});
}

}  // namespace curvseg::cli
