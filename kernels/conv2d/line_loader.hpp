// The operands of a gather with short sums: few channels (first layers), or one tap (1x1, and 2x2
// at stride 2 transposed). There the multiplying is soon done, and what surrounds it counts; so a
// microtile is a long run of pixels of one line, with one call for most of it. The taps of a row
// lie side by side in the source, which takes_lines() asks for. Interface as in
// gather_operands.hpp.
//
//   windows inside the image          pointers into the source
//   the others, and the last ones where they do not fill the registers
//                                     a copy with zeros around it
//
// Sums run over rows of taps, then taps, then channels, the same for every pixel. Taps above and
// below the image are left out.
#pragma once

#include "conv2d/conv2d.hpp"
#include "conv2d/gather_operands.hpp"
#include "conv2d/gather_pixels.hpp"
#include "conv2d/tiles.hpp"

namespace curvseg::CURVSEG_TARGET {

// Terms of a sum: of one tap, so that its panel leaves room in the first-level cache; of several,
// so that the copies at the ends of lines are cheap and other tiles' windows have no more to give.
inline constexpr int kLineSum = 256, kLineSumOfTaps = 64;
inline constexpr int kLineCopy = 4096;  // floats of the windows of one registerful of pixels

/// Floats of what `pixels` pixels see of a row.
constexpr CURVSEG_HOST_DEVICE int line_floats(const GatherAxis& columns, int channels, int pixels) {
  return ((pixels - 1) * columns.source_step + columns.taps) * channels;
}

template <class Shape>
class LineGatherLoader {
  static constexpr GatherTile kTile = Shape::kTile;
  using Tile = GatherBlockTile<Shape>;
  using Pixels = GatherPixels<Shape>;
  using Group = typename Pixels::Group;
  static constexpr int kHeld = Tile::kHeldRows;

 public:
  struct Shared {
    float copy[kLineCopy + kTile.columns];  // copies are made of whole vectors
  };
  using Step = GatherSteps::Step;

  __device__ LineGatherLoader(const Conv2dGather& p, const GatherAxis& rows,
                              const GatherAxis& columns, int first_channel, const Pixels& pixels,
                              Shared& shared)
      : operands_(p, rows, columns, kTile.panel),
        first_panel_(first_channel / kTile.panel),
        pixels_(pixels),
        shared_(shared),
        length_(columns.taps * operands_.channels),
        panel_row_(rows.taps > 1 ? static_cast<std::ptrdiff_t>(operands_.panel_tap_of(1, 0) -
                                                               operands_.panel_tap_of(0, 0)) *
                                       operands_.channels * kTile.panel
                                 : 0) {}

  __device__ Step begin() const { return steps().begin(); }
  __device__ bool valid(const Step& step) const { return steps().valid(step); }
  __device__ Step next(const Step& step) const { return steps().next(step); }

  __device__ void acquire(const Step&) {}

  __device__ void multiply(const Step& step, int t, typename Tile::Storage& accumulator,
                           bool begins) {
    const int index = first_panel_ + t % Tile::kAcross;
    const Group& at = pixels_.group(t / Tile::kAcross);
    if (index * kTile.panel >= operands_.outputs || at.count == 0) return;
    const GatherAxis& rows = operands_.rows;
    const GatherAxis& columns = operands_.columns;
    const auto [first, last] = operands_.rows_inside(at.row, {0, rows.taps});
    if (first == last) {
      if (begins) Tile::clear(accumulator);
      return;
    }
    const Conv2dGatherTerm& term = operands_.p.term[step.term];
    Lines lines;
    lines.panel =
        operands_.panel(step.term, index, operands_.panel_tap_of(first, 0), 0, kTile.panel);
    lines.rows = last - first;
    lines.source_row =
        static_cast<std::int64_t>(rows.source_tap_step) * columns.source_extent * term.ld;
    lines.ld = term.ld;
    lines.pixel = columns.source_step * term.ld;
    lines.source = displaced(
        term.source,
        operands_.offset(at.image, at.row + first * rows.source_tap_step, at.column, term.ld));
    // Pixels [inside, beyond) see no edge and fill registers.
    const int step_x = columns.source_step;
    const int left = at.column < 0 ? (-at.column + step_x - 1) / step_x : 0;
    const int room = columns.source_extent - columns.taps - at.column;
    const int right = room < 0 ? 0 : min_of(room / step_x + 1, at.count);
    const int inside = (left + kHeld - 1) / kHeld * kHeld;
    const int beyond = max_of(right / kHeld * kHeld, inside);
    for (int i = 0; i < min_of(inside, at.count); i += kHeld)
      multiply_copy(lines, at, i, accumulator, begins);
    if (inside < beyond)
      Tile::multiply_line(
          accumulator, inside, lines.source + inside * lines.pixel,
          {beyond - inside, lines.pixel, lines.rows, lines.source_row, panel_row_, length_},
          lines.panel, begins);
    for (int i = beyond; i < at.count; i += kHeld) multiply_copy(lines, at, i, accumulator, begins);
  }

  __device__ void release() {}

 private:
  /// Where a microtile finds its rows of taps; `source` is that of its first pixel, maybe outside.
  struct Lines {
    const float* panel;
    int rows;
    const float* source;
    std::int64_t source_row, ld, pixel;
  };

  __device__ GatherSteps steps() const {
    return {operands_, operands_.rows.taps, operands_.channels};
  }

  __device__ void multiply_copy(const Lines& lines, const Group& at, int pixel,
                                typename Tile::Storage& accumulator, bool begins) {
    const GatherAxis& columns = operands_.columns;
    const int channels = operands_.channels;
    const int row = line_floats(columns, channels, kHeld);
    // Without a gap between pixels, or with one tap: what is inside is one run, or as many as
    // pixels.
    const int column = at.column + pixel * columns.source_step;
    const int wanted = (min_of(at.count - pixel, kHeld) - 1) * columns.source_step + columns.taps;
    const int first = min_of(max_of(-column, 0), wanted);
    const int last = min_of(max_of(columns.source_extent - column, first), wanted);
    for (int r = 0; r < lines.rows; ++r) {
      float* to = shared_.copy + r * row;
      const float* from = displaced(lines.source, r * lines.source_row + pixel * lines.pixel);
      if (lines.ld == channels) {
        Tile::copy_part(to, from, first * channels, last * channels, row);
        continue;
      }
      for (int x = 0; x * channels < row; ++x)
        Tile::copy_part(to + x * channels, displaced(from, x * lines.ld), 0,
                        x >= first && x < last ? channels : 0, channels);
    }
    Tile::multiply_line(
        accumulator, pixel, shared_.copy,
        {kHeld, columns.source_step * channels, lines.rows, row, panel_row_, length_}, lines.panel,
        begins);
  }

  GatherOperands operands_;
  int first_panel_;
  const Pixels& pixels_;
  Shared& shared_;
  int length_;                // of a row of taps
  std::ptrdiff_t panel_row_;  // floats of a panel from a row of taps to the next
};

/// Whether LineGatherLoader takes a gather whose microtiles hold `held` pixels at a time.
inline bool takes_lines(const Conv2dGather& p, int held) {
  const Conv2dProblem& c = p.problem;
  const int channels = p.direction == Conv2dDirection::kForward ? c.c : c.k;
  const int row_phases = gather_phases(p.direction, c.stride_h, c.h);
  const int column_phases = gather_phases(p.direction, c.stride_w, c.w);
  if (channels > kLineSum || row_phases > 8 || column_phases > 8) return false;
  for (int phase = 0; phase < column_phases; ++phase) {
    const GatherAxis columns =
        gather_axis(p.direction, phase, c.w, c.q, c.s, c.stride_w, c.pad_w, c.dilation_w);
    // At the end of a line registers hold pixels that are not there.
    if (10 * columns.outputs < 8 * divide_up(columns.outputs, held) * held) return false;
    if (columns.taps > 1) {
      // Side by side in the source and in the panel.
      if (columns.source_tap_step != 1 || columns.tap_step * columns.tap_step != 1) return false;
      for (int t = 0; t < p.terms; ++t)
        if (p.term[t].ld != channels) return false;
    }
    for (int row_phase = 0; row_phase < row_phases; ++row_phase) {
      const GatherAxis rows =
          gather_axis(p.direction, row_phase, c.h, c.p, c.r, c.stride_h, c.pad_h, c.dilation_h);
      const std::int64_t sum = static_cast<std::int64_t>(rows.taps) * columns.taps * channels;
      if (sum > (rows.taps * columns.taps == 1 ? kLineSum : kLineSumOfTaps)) return false;
      const std::int64_t pixels =
          static_cast<std::int64_t>(held - 1) * columns.source_step + columns.taps;
      if (rows.taps * pixels * channels > kLineCopy) return false;
    }
  }
  return true;
}

}  // namespace curvseg::CURVSEG_TARGET
