// The operands of a gather read where they are. Interface as in gather_operands.hpp.
#pragma once

#include "conv2d/gather_operands.hpp"
#include "conv2d/gather_pixels.hpp"
#include "conv2d/tiles.hpp"

namespace curvseg::CURVSEG_TARGET {

template <class Shape>
class InPlaceGatherLoader {
  static constexpr GatherTile kTile = Shape::kTile;
  using Tile = GatherBlockTile<Shape>;
  using Pixels = GatherPixels<Shape>;
  static_assert(kTile.panel == kTile.columns, "a microtile reads one panel");
  static constexpr int kTableTaps = 16;
  static constexpr float kZeros[kTile.reduction] = {};  // what a tap outside the image reads

  /// What the table of taps holds.
  struct TableKey {
    int term = -1, row_tap = 0, first_tap = 0, channel = 0, group = 0;
    bool operator==(const TableKey&) const = default;
  };

 public:
  struct Shared {
    const float* source[kTile.pixels];  // of tap (0, 0), one term; may point outside
    const float* table[kTableTaps][Tile::kRows];
  };
  using Step = GatherSteps::Step;

  __device__ InPlaceGatherLoader(const Conv2dGather& p, const GatherAxis& rows,
                                 const GatherAxis& columns, int first_channel, const Pixels& pixels,
                                 Shared& shared)
      : operands_(p, rows, columns, kTile.panel),
        first_panel_(first_channel / kTile.panel),
        pixels_(pixels),
        shared_(shared) {
    reach_ = (columns.taps - 1) * columns.source_tap_step;
    const std::ptrdiff_t panel_tap = static_cast<std::ptrdiff_t>(operands_.channels) * kTile.panel;
    panel_column_ = columns.taps > 1
                        ? (operands_.panel_tap_of(0, 1) - operands_.panel_tap_of(0, 0)) * panel_tap
                        : panel_tap;
    panel_row_ = rows.taps > 1
                     ? (operands_.panel_tap_of(1, 0) - operands_.panel_tap_of(0, 0)) * panel_tap
                     : panel_tap;
    // As many filter rows a step as leave a panel's share in half of the first-level cache; one if
    // several panels share a table of taps.
    constexpr int kPanelFloats = 4096;
    const std::ptrdiff_t row = columns.taps * panel_tap;
    rows_per_step_ = Tile::kAcross == 1 && row > 0 && row < kPanelFloats
                         ? static_cast<int>(kPanelFloats / row)
                         : 1;
  }

  __device__ Step begin() const { return steps().begin(); }
  __device__ bool valid(const Step& step) const { return steps().valid(step); }
  __device__ Step next(const Step& step) const { return steps().next(step); }

  __device__ void acquire(const Step& step) {
    if (step.row_tap != 0 || step.channel != 0) return;
    const Conv2dGatherTerm& term = operands_.p.term[step.term];
    for (int i = 0; i < kTile.pixels; ++i)
      shared_.source[i] = displaced(term.source, pixels_.source(i) * term.ld);
  }

  __device__ void multiply(const Step& step, int t, typename Tile::Storage& accumulator,
                           bool begins) {
    const int index = first_panel_ + t % Tile::kAcross;
    const int group = t / Tile::kAcross;
    const auto& at = pixels_.extent(group);
    if (index * kTile.panel >= operands_.outputs || at.count == 0) return;
    const GatherAxis& rows = operands_.rows;
    const bool columns_inside =
        at.first_column >= 0 && at.last_column + reach_ < operands_.columns.source_extent;
    for (int r = step.row_tap; r < step.row_tap + step.row_taps;) {
      const int shift = r * rows.source_tap_step;
      if (at.last_row + shift < 0 || at.first_row + shift >= rows.source_extent) {
        ++r;  // above or below the image: the whole row of taps is zero
      } else if (columns_inside && at.first_row + shift >= 0 &&
                 at.last_row + shift < rows.source_extent) {
        int count = 1;
        while (r + count < step.row_tap + step.row_taps &&
               at.last_row + (r + count) * rows.source_tap_step < rows.source_extent)
          ++count;
        multiply_inside(step, r, count, index, group, accumulator, begins);
        begins = false;
        r += count;
      } else {
        multiply_edge(step, r, index, group, accumulator, begins);
        begins = false;
        ++r;
      }
    }
    if (begins) Tile::clear(accumulator);
  }

  __device__ void release() {}

 private:
  __device__ GatherSteps steps() const { return {operands_, rows_per_step_, kTile.reduction}; }

  __device__ const float* panel(const Step& step, int row_tap, int column_tap, int index) const {
    return operands_.panel(step.term, index, operands_.panel_tap_of(row_tap, column_tap),
                           step.channel, kTile.panel);
  }

  /// Every tap of `count` rows of taps is inside for every pixel: read in place.
  __device__ void multiply_inside(const Step& step, int row_tap, int count, int index, int group,
                                  typename Tile::Storage& accumulator, bool begins) {
    const GatherAxis& columns = operands_.columns;
    const std::int64_t ld = operands_.p.term[step.term].ld;
    const std::int64_t row_stride =
        operands_.rows.source_tap_step * static_cast<std::int64_t>(columns.source_extent) * ld;
    using Runs = typename Tile::Runs;
    Runs runs{count,         row_stride,   panel_row_, columns.taps, columns.source_tap_step * ld,
              panel_column_, step.channels};
    // Taps of one row lie side by side in x and in the panel: one run for all of them.
    if (runs.a_column == runs.length && runs.b_column == runs.length * kTile.panel) {
      runs.length *= runs.columns;
      runs.columns = 1;
    }
    Tile::multiply_rows(accumulator, shared_.source + group * Tile::kRows,
                        row_tap * row_stride + step.channel, runs, panel(step, row_tap, 0, index),
                        begins);
  }

  /// Some taps are outside: a table of where each pixel finds each tap. The microtiles of a group
  /// come one after the other and share it.
  __device__ void multiply_edge(const Step& step, int row_tap, int index, int group,
                                typename Tile::Storage& accumulator, bool begins) {
    const int all = operands_.columns.taps;
    for (int tap = 0; tap < all; tap += kTableTaps) {
      const int taps = min_of(all - tap, kTableTaps);
      const TableKey key{step.term, row_tap, tap, step.channel, group};
      if (!(key == table_)) {
        fill_table(key, taps);
        table_ = key;
      }
      Tile::multiply_table(accumulator, shared_.table, {taps, panel_column_, step.channels},
                           panel(step, row_tap, tap, index), begins && tap == 0);
    }
  }

  __device__ void fill_table(const TableKey& key, int taps) {
    const GatherAxis& columns = operands_.columns;
    const std::int64_t ld = operands_.p.term[key.term].ld;
    const int row_shift = key.row_tap * operands_.rows.source_tap_step;
    const std::int64_t row_offset = static_cast<std::int64_t>(row_shift) * columns.source_extent;
    for (int tap = 0; tap < taps; ++tap) {
      const int column_shift = (key.first_tap + tap) * columns.source_tap_step;
      const std::int64_t offset = (row_offset + column_shift) * ld + key.channel;
      for (int i = 0; i < Tile::kRows; ++i) {
        const int pixel = key.group * Tile::kRows + i;
        const bool inside =
            operands_.inside(pixels_.row(pixel) + row_shift, pixels_.column(pixel) + column_shift);
        shared_.table[tap][i] = inside ? displaced(shared_.source[pixel], offset) : kZeros;
      }
    }
  }

  GatherOperands operands_;
  int first_panel_;
  const Pixels& pixels_;
  Shared& shared_;
  int reach_;                                // columns from the first tap to the last
  std::ptrdiff_t panel_column_, panel_row_;  // floats of a panel from one visited tap to the next
  int rows_per_step_;
  TableKey table_;
};

}  // namespace curvseg::CURVSEG_TARGET
