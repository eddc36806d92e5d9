// Where the main loop of a gather finds its operands. Policies with one interface:
//
//   StagedGatherLoader   copies a step of source pixels and panel rows into shared memory, the next
//                        step's copy in flight while this one is multiplied (GPU block shapes)
//   InPlaceGatherLoader  hands out pointers: NHWC rows are contiguous in C, panels contiguous
//                        already, so a machine with caches copies nothing (host)
//   WindowGatherLoader   the same for windows three pixels wide (host, window_loader.hpp)
//   LineGatherLoader     the same for short sums (host, line_loader.hpp)
//
//   begin() valid(step) next(step)   walk the reduction: terms, filter taps, source channels
//   acquire(step)                    operands ready for every thread when it returns
//   multiply(step, t, accumulator, begins)
//                                    microtile t += its rows x its columns, or = if the sum begins
//                                    (a host's; those of a GPU are cleared before)
//   release()                        every thread is done with them
#pragma once

#include <type_traits>

#include "conv2d/conv2d.hpp"
#include "conv2d/gather_pixels.hpp"
#include "conv2d/pack_filter.hpp"
#include "conv2d/tiles.hpp"

namespace curvseg::CURVSEG_TARGET {

/// Rows of filter taps [first, last).
struct RowTaps {
  int first, last;
};

/// What all loaders know about the problem.
struct GatherOperands {
  __device__ GatherOperands(const Conv2dGather& gather, const GatherAxis& row_axis,
                            const GatherAxis& column_axis, int width)
      : p(gather), rows(row_axis), columns(column_axis) {
    const bool forward = p.direction == Conv2dDirection::kForward;
    channels = forward ? p.problem.c : p.problem.k;
    outputs = forward ? p.problem.k : p.problem.c;
    taps = p.problem.r * p.problem.s;
    term_floats = panel_floats(taps, channels, outputs, width);
  }

  __device__ int panel_tap_of(int row_tap, int column_tap) const {
    return panel_tap(p.direction, p.problem, rows.tap_start + row_tap * rows.tap_step,
                     columns.tap_start + column_tap * columns.tap_step);
  }
  __device__ bool inside(int row, int column) const {
    return static_cast<unsigned>(row) < static_cast<unsigned>(rows.source_extent) &&
           static_cast<unsigned>(column) < static_cast<unsigned>(columns.source_extent);
  }
  /// The offset of a source pixel; any integers, in bounds or not.
  __device__ std::int64_t offset(int image, int row, int column, std::int64_t ld) const {
    return ((static_cast<std::int64_t>(image) * rows.source_extent + row) * columns.source_extent +
            column) *
           ld;
  }
  /// Those of `all` that a pixel whose window begins in `row` sees inside the image.
  __device__ RowTaps rows_inside(int row, RowTaps all) const {
    const int step = rows.source_tap_step;
    while (all.first < all.last && row + all.first * step < 0) ++all.first;
    while (all.first < all.last && row + (all.last - 1) * step >= rows.source_extent) --all.last;
    return all;
  }
  __device__ const float* panel(int term, int index, int tap, int channel, int width) const {
    return p.workspace + term * term_floats +
           ((static_cast<std::int64_t>(index) * taps + tap) * channels + channel) * width;
  }

  const Conv2dGather& p;
  const GatherAxis& rows;
  const GatherAxis& columns;
  int channels;
  int outputs;
  int taps;
  std::int64_t term_floats;
};

/// The steps of a host's loaders: terms, then rows of taps, then channels, as many of each as fit.
class GatherSteps {
 public:
  struct Step {
    int term, row_tap, row_taps, channel, channels;
  };

  __device__ GatherSteps(const GatherOperands& operands, int row_taps, int channels)
      : operands_(operands), row_taps_(row_taps), channels_(channels) {}

  __device__ Step begin() const {
    if (operands_.rows.taps == 0 || operands_.columns.taps == 0 || operands_.channels == 0)
      return {operands_.p.terms, 0, 0, 0, 0};
    return sized({0, 0, 0, 0, 0});
  }
  __device__ bool valid(const Step& step) const { return step.term < operands_.p.terms; }
  __device__ Step next(Step step) const {
    step.channel += step.channels;
    if (step.channel < operands_.channels) return sized(step);
    step.channel = 0;
    step.row_tap += step.row_taps;
    if (step.row_tap < operands_.rows.taps) return sized(step);
    step.row_tap = 0;
    ++step.term;
    return sized(step);
  }

 private:
  __device__ Step sized(Step step) const {
    step.channels = min_of(operands_.channels - step.channel, channels_);
    step.row_taps = min_of(operands_.rows.taps - step.row_tap, row_taps_);
    return step;
  }

  const GatherOperands& operands_;
  int row_taps_, channels_;
};

// ---- in place ----------------------------------------------------------------------------------

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

// ---- staged ------------------------------------------------------------------------------------

template <class Shape>
class StagedGatherLoader {
  static constexpr GatherTile kTile = Shape::kTile;
  using Tile = GatherBlockTile<Shape>;
  static_assert(kTile.panel == kTile.channels, "a block reads one panel");
  // No padding: eight lanes copy two rows, 128 bytes, all banks once; and eight lanes that multiply
  // read one address.
  static constexpr int kLd = kTile.reduction;

 public:
  struct Shared {
    alignas(16) float a[2][kTile.pixels * kLd];
    alignas(16) float b[2][kTile.reduction * kTile.channels];
  };
  struct Step {
    int term, row_tap, column_tap, channel, buffer;
  };

  __device__ StagedGatherLoader(const Conv2dGather& p, const GatherAxis& rows,
                                const GatherAxis& columns, int first_channel,
                                const GatherPixels<Shape>& pixels, Shared& shared)
      : operands_(p, rows, columns, kTile.panel),
        panel_(first_channel / kTile.panel),
        pixels_(pixels),
        shared_(shared) {
    vectors_ = operands_.channels % 4 == 0;
    for (int t = 0; t < p.terms; ++t)
      vectors_ = vectors_ && p.term[t].ld % 4 == 0 && is_aligned(p.term[t].source, 16);
  }

  __device__ Step begin() const {
    return {operands_.rows.taps > 0 && operands_.columns.taps > 0 && operands_.channels > 0
                ? 0
                : operands_.p.terms,
            0, 0, 0, 0};
  }
  __device__ bool valid(const Step& step) const { return step.term < operands_.p.terms; }
  __device__ Step next(Step step) const {
    step.buffer ^= 1;
    step.channel += kTile.reduction;
    if (step.channel < operands_.channels) return step;
    step.channel = 0;
    if (++step.column_tap < operands_.columns.taps) return step;
    step.column_tap = 0;
    if (++step.row_tap < operands_.rows.taps) return step;
    step.row_tap = 0;
    ++step.term;
    return step;
  }

  __device__ void acquire(const Step& step) {
    const bool first =
        step.term == 0 && step.row_tap == 0 && step.column_tap == 0 && step.channel == 0;
    if (first) copy(step);
    const Step following = next(step);
    if (valid(following)) {
      copy(following);
      wait_copies<1>();
    } else {
      wait_copies<0>();
    }
    __syncthreads();
  }

  __device__ void multiply(const Step& step, int t, typename Tile::Storage& accumulator,
                           bool /*begins*/) {
    Tile::template multiply_rows<kLd, kTile.reduction>(accumulator, t, shared_.a[step.buffer],
                                                       shared_.b[step.buffer]);
  }

  __device__ void release() { __syncthreads(); }

 private:
  __device__ void copy(const Step& step) {
    const Conv2dGatherTerm& term = operands_.p.term[step.term];
    float* a = shared_.a[step.buffer];
    if (vectors_)
      copy_rows<4>(step, term, a);
    else
      copy_rows<1>(step, term, a);
    float* b = shared_.b[step.buffer];
    const float* from =
        operands_.panel(step.term, panel_, operands_.panel_tap_of(step.row_tap, step.column_tap),
                        step.channel, kTile.panel);
    constexpr int kVectors = kTile.channels / 4;
    for (int e = block_begin(); e < kTile.reduction * kVectors; e += block_step()) {
      const bool valid = step.channel + e / kVectors < operands_.channels;
      copy_async<4>(b + 4 * e, valid ? from + 4 * e : from, valid);
    }
    commit_copies();
  }

  /// Lanes of a warp run along channels: adjacent addresses, whole sectors.
  template <int kFloats>
  __device__ void copy_rows(const Step& step, const Conv2dGatherTerm& term, float* a) {
    constexpr int kAcross = kTile.reduction / kFloats;
    for (int e = block_begin(); e < kTile.pixels * kAcross; e += block_step()) {
      const GatherPixel& pixel = pixels_.at(e / kAcross);
      const int channel = step.channel + e % kAcross * kFloats;
      const int row = pixel.row + step.row_tap * operands_.rows.source_tap_step;
      const int column = pixel.column + step.column_tap * operands_.columns.source_tap_step;
      const bool valid = channel < operands_.channels && operands_.inside(row, column);
      const float* from =
          term.source + (valid ? operands_.offset(pixel.image, row, column, term.ld) + channel : 0);
      copy_async<kFloats>(a + e / kAcross * kLd + e % kAcross * kFloats, from, valid);
    }
  }

  GatherOperands operands_;
  int panel_;
  const GatherPixels<Shape>& pixels_;
  Shared& shared_;
  bool vectors_;
};

}  // namespace curvseg::CURVSEG_TARGET
