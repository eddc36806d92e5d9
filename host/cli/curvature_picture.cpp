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
constexpr double kWidth = 0.045;  // of the Gaussians, in decades

/// Eigenvalues span decades on both sides of 0, so the axis is asinh(λ / zero), in decades:
/// logarithmic in |λ| beyond `zero`, linear within, where Lanczos tells little apart.
struct Axis {
  double zero;
  double operator()(double value) const { return std::asinh(value / zero) / std::numbers::ln10; }
};

/// How much a single one of n eigenvalues adds at its place.
double lone_height(std::int64_t n) {
  return 1.0 / (static_cast<double>(n) * kWidth * std::sqrt(2.0 * std::numbers::pi));
}

/// The share of eigenvalues per unit of the axis.
void draw_density(const SpectralDensity& density, const Axis& axis, PlotPanel& panel) {
  constexpr double kReach = 8.0;  // beyond it a Gaussian is below every axis
  constexpr int kPoints = 3000;
  const auto [low, high] = std::minmax_element(density.nodes.begin(), density.nodes.end());
  const double first = axis(*low) - kReach * kWidth;
  const double length = axis(*high) + kReach * kWidth - first;
  for (int i = 0; i < kPoints; ++i) {
    const double x = first + length * i / (kPoints - 1);
    double y = 0.0;
    for (std::size_t j = 0; j < density.nodes.size(); ++j) {
      const double distance = (x - axis(density.nodes[j])) / kWidth;
      y += density.weights[j] * std::exp(-0.5 * distance * distance);
    }
    panel.x.push_back(x);
    panel.y.push_back(y / (kWidth * std::sqrt(2.0 * std::numbers::pi)));
  }
}

PlotPanel panel_of(const MeasuredMatrix& each, const Axis& axis, Rgb color) {
  const Spectrum& spectrum = each.spectrum;
  PlotPanel panel;
  panel.title = each.matrix.name;
  panel.color = color;
  panel.negative_color = kNegative;
  draw_density(spectrum.density, axis, panel);
  for (const RitzValue& end : spectrum.largest) {
    panel.marks.push_back(axis(end.value));
  }
  panel.notes.push_back(fmt::format("largest {:.4g}", spectrum.largest.front().value));
  if (!each.matrix.semidefinite) {
    for (const RitzValue& end : spectrum.smallest) {
      panel.marks.push_back(axis(end.value));
    }
    panel.notes.push_back(fmt::format("smallest {:.3g}", spectrum.smallest.front().value));
  }
  panel.notes.push_back(
      fmt::format("trace {:.4g} +/- {:.1g}", spectrum.trace.trace, spectrum.trace.standard_error));
  return panel;
}

/// Powers of ten from `zero` on to `norm`, on both sides of 0.
std::vector<PlotTick> decade_ticks(const Axis& axis, double norm) {
  std::vector<PlotTick> ticks{{0.0, "0"}};
  for (int d = static_cast<int>(std::ceil(std::log10(axis.zero))); std::pow(10.0, d) <= 10.0 * norm;
       ++d) {
    const double value = std::pow(10.0, d);
    ticks.push_back({axis(value), fmt::format("{:g}", value)});
    ticks.push_back({axis(-value), fmt::format("{:g}", -value)});
  }
  return ticks;
}

}  // namespace

Image spectrum_picture(const CurvatureReport& report) {
  double norm = 0.0;
  for (const MeasuredMatrix& each : report.matrices) {
    norm = std::max(norm, each.spectrum.norm());
  }
  norm = norm > 0.0 ? norm : 1.0;
  const Axis axis{kNearZero * norm};
  std::vector<PlotPanel> panels;
  for (const MeasuredMatrix& each : report.matrices) {
    panels.push_back(panel_of(each, axis, kColors[panels.size() % kColors.size()]));
  }
  // The weights that single eigenvalues get scatter around 1/n.
  constexpr double kScatter = 1e-2;
  const std::int64_t n = report.matrices.front().spectrum.dimension;
  return draw_log_panels(
      panels,
      {.title = fmt::format("{}, step {}, {} parameters", report.model, report.step, n),
       .x_label = fmt::format("eigenvalue (linear up to {:.1g}, logarithmic beyond)", axis.zero),
       .y_label = "share of eigenvalues per decade",
       .ticks = decade_ticks(axis, norm),
       .negative_below = axis(-axis.zero),
       .y_low = kScatter * lone_height(n)});
}

}  // namespace curvseg::cli
