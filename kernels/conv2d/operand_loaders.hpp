// Where the main loop of a gather finds its operands. Two policies with one interface:
//
//   StagedGatherLoader   copies a step of source pixels and panel rows into shared memory, the next
//                        step's copy in flight while this one is multiplied (GPU block shapes)
//   InPlaceGatherLoader  hands out pointers: NHWC rows are contiguous in C, panels contiguous
//                        already, so a machine with caches copies nothing (host)
//
//   begin() valid(step) next(step)   walk the reduction: terms, filter taps, source channels
//   acquire(step)                    operands ready for every thread when it returns
//   multiply(step, t, accumulator)   microtile t += its rows x its columns
//   release()                        every thread is done with them
#pragma once

#include <type_traits>

#include "conv2d/conv2d.hpp"
#include "conv2d/pack_filter.hpp"
#include "conv2d/pixel_cursor.hpp"
#include "conv2d/tiles.hpp"

namespace curvseg::CURVSEG_TARGET {

inline constexpr int kOutside = -(1 << 29);  // a source row no tap can bring back inside

/// A pixel of the block tile. `out`: its index in the output tensor, -1 beyond the last one.
/// `row`, `column`: the source position of tap (0, 0).
struct GatherPixel {
  std::int64_t out;
  int image;
  int row;
  int column;
};

template <int kPixels>
struct GatherPixels {
  GatherPixel at[kPixels];
};

/// What both loaders know about the problem.
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
  /// Successive row taps lie one filter row apart in a panel.
  __device__ bool rows_adjacent() const { return rows.tap_step == 1 || rows.tap_step == -1; }
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

// ---- in place ----------------------------------------------------------------------------------

template <class Shape>
class InPlaceGatherLoader {
  static constexpr GatherTile kTile = Shape::kTile;
  using Tile = BlockTile<kTile.pixels, kTile.channels>;
  static constexpr int kGroups = kTile.pixels / Tile::kRows;
  static constexpr int kWindow = 1024;  // floats of one pixel's padded window

  /// Source positions of tap (0, 0) over the pixels of one microtile.
  struct Extent {
    int first_row, last_row, first_column, last_column;
  };

 public:
  struct Shared {
    const float* source[kTile.pixels];  // of tap (0, 0), one term; may point outside
    Extent extent[kGroups];
    alignas(64) float window[Tile::kRows * kWindow];
  };
  struct Step {
    int term, row_tap, row_taps, channel, channels;
  };

  __device__ InPlaceGatherLoader(const Conv2dGather& p, const GatherAxis& rows,
                                 const GatherAxis& columns, int first_channel,
                                 const GatherPixels<kTile.pixels>& pixels, Shared& shared)
      : operands_(p, rows, columns, kTile.panel),
        first_panel_(first_channel / kTile.panel),
        pixels_(pixels),
        shared_(shared) {
    for (int g = 0; g < kGroups; ++g) shared.extent[g] = extent_of(g);
    reach_ = (columns.taps - 1) * columns.source_tap_step;
    panel_tap_stride_ =
        columns.taps > 1 ? operands_.panel_tap_of(0, 1) - operands_.panel_tap_of(0, 0) : 1;
    // As many filter rows a step as leave a panel's share in half of the first-level cache.
    constexpr int kPanelFloats = 4096;
    const int row = columns.taps * operands_.channels * kTile.panel;
    rows_per_step_ = row > 0 && row < kPanelFloats ? kPanelFloats / row : 1;
  }

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

  __device__ void acquire(const Step& step) {
    if (step.row_tap != 0 || step.channel != 0) return;
    const Conv2dGatherTerm& term = operands_.p.term[step.term];
    for (int i = 0; i < kTile.pixels; ++i) {
      // Pixels beyond the last one are never stored; they read what the last one reads.
      if (pixels_.at[i].out < 0) {
        shared_.source[i] = i > 0 ? shared_.source[i - 1] : term.source;
        continue;
      }
      const GatherPixel& pixel = pixels_.at[i];
      // As an integer: pointer arithmetic beyond an array is undefined even if never read.
      shared_.source[i] = reinterpret_cast<const float*>(
          reinterpret_cast<std::intptr_t>(term.source) +
          operands_.offset(pixel.image, pixel.row, pixel.column, term.ld) *
              static_cast<std::intptr_t>(sizeof(float)));
    }
  }

  __device__ void multiply(const Step& step, int t, typename Tile::Storage& accumulator) {
    const int index = first_panel_ + t % Tile::kAcross;
    if (index * kTile.panel >= operands_.outputs) return;
    const int group = t / Tile::kAcross;
    const Extent& at = shared_.extent[group];
    const GatherAxis& rows = operands_.rows;
    const bool columns_inside =
        at.first_column >= 0 && at.last_column + reach_ < operands_.columns.source_extent;
    for (int r = step.row_tap; r < step.row_tap + step.row_taps;) {
      const int shift = r * rows.source_tap_step;
      if (at.last_row + shift < 0 || at.first_row + shift >= rows.source_extent) {
        ++r;  // above or below the image: the whole row of taps is zero
      } else if (columns_inside && at.first_row + shift >= 0 &&
                 at.last_row + shift < rows.source_extent) {
        r += multiply_inside(step, r, index, group, accumulator);
      } else {
        multiply_edge(step, r, index, group, accumulator);
        ++r;
      }
    }
  }

  __device__ void release() {}

 private:
  __device__ Step sized(Step step) const {
    const int channels = operands_.channels - step.channel;
    step.channels = channels < kTile.reduction ? channels : kTile.reduction;
    const int rows = operands_.rows.taps - step.row_tap;
    step.row_taps = rows < rows_per_step_ ? rows : rows_per_step_;
    return step;
  }

  __device__ Extent extent_of(int group) const {
    Extent e{kOutside, kOutside, kOutside, kOutside};
    for (int i = group * Tile::kRows; i < (group + 1) * Tile::kRows; ++i) {
      const GatherPixel& pixel = pixels_.at[i];
      if (pixel.out < 0) break;
      const bool first = i == group * Tile::kRows;
      e.first_row = first || pixel.row < e.first_row ? pixel.row : e.first_row;
      e.last_row = first || pixel.row > e.last_row ? pixel.row : e.last_row;
      e.first_column = first || pixel.column < e.first_column ? pixel.column : e.first_column;
      e.last_column = first || pixel.column > e.last_column ? pixel.column : e.last_column;
    }
    return e;
  }

  /// Every tap of every pixel is inside: read in place. Returns the rows of taps it did.
  __device__ __forceinline__ int multiply_inside(const Step& step, int row_tap, int index,
                                                 int group, typename Tile::Storage& accumulator) {
    const GatherAxis& columns = operands_.columns;
    const std::int64_t ld = operands_.p.term[step.term].ld;
    const std::int64_t tap_stride = columns.source_tap_step * ld;
    const std::int64_t row_stride =
        operands_.rows.source_tap_step * static_cast<std::int64_t>(columns.source_extent) * ld;
    const float* b = operands_.panel(step.term, index, operands_.panel_tap_of(row_tap, 0),
                                     step.channel, kTile.panel);
    const float* const* sources = shared_.source + group * Tile::kRows;
    const std::int64_t offset = row_tap * row_stride + step.channel;
    const std::int64_t panel_row = static_cast<std::int64_t>(operands_.channels) * kTile.panel;
    // Taps of one row lie side by side in x and in the panel: one run for all of them.
    if (tap_stride == operands_.channels && step.channels == operands_.channels &&
        panel_tap_stride_ == 1) {
      const bool rows_adjoin = columns.taps == operands_.p.problem.s && operands_.rows_adjacent();
      const Extent& at = shared_.extent[group];
      int count = 1;
      if (rows_adjoin)
        while (row_tap + count < step.row_tap + step.row_taps &&
               at.last_row + (row_tap + count) * operands_.rows.source_tap_step <
                   operands_.rows.source_extent)
          ++count;
      Tile::multiply_rows(
          accumulator, sources, offset,
          {count, row_stride, columns.taps * panel_row, columns.taps * step.channels}, b,
          kTile.panel);
      return count;
    }
    Tile::multiply_rows(accumulator, sources, offset,
                        {columns.taps, tap_stride, panel_tap_stride_ * panel_row, step.channels}, b,
                        kTile.panel);
    return 1;
  }

  /// Some taps are outside: a padded copy of each pixel's window, then as if inside.
  __device__ void multiply_edge(const Step& step, int row_tap, int index, int group,
                                typename Tile::Storage& accumulator) {
    const GatherAxis& columns = operands_.columns;
    const std::int64_t panel_row = static_cast<std::int64_t>(operands_.channels) * kTile.panel;
    const int batch = kWindow / step.channels;
    const float* rows[Tile::kRows];
    for (int i = 0; i < Tile::kRows; ++i) rows[i] = shared_.window + i * kWindow;
    for (int tap = 0; tap < columns.taps; tap += batch) {
      const int taps = columns.taps - tap < batch ? columns.taps - tap : batch;
      for (int i = 0; i < Tile::kRows; ++i) copy_window(step, row_tap, tap, taps, group, i);
      const float* b = operands_.panel(step.term, index, operands_.panel_tap_of(row_tap, tap),
                                       step.channel, kTile.panel);
      Tile::multiply_rows(accumulator, rows, 0,
                          {taps, step.channels, panel_tap_stride_ * panel_row, step.channels}, b,
                          kTile.panel);
    }
  }

  __device__ void copy_window(const Step& step, int row_tap, int first_tap, int taps, int group,
                              int i) {
    const GatherAxis& columns = operands_.columns;
    const std::int64_t ld = operands_.p.term[step.term].ld;
    const GatherPixel& pixel = pixels_.at[group * Tile::kRows + i];
    const int row = pixel.row + row_tap * operands_.rows.source_tap_step;
    float* to = shared_.window + i * kWindow;
    for (int tap = first_tap; tap < first_tap + taps; ++tap, to += step.channels) {
      const int column = pixel.column + tap * columns.source_tap_step;
      const bool inside = operands_.inside(row, column);
      const float* from = operands_.p.term[step.term].source + step.channel +
                          (inside ? operands_.offset(pixel.image, row, column, ld) : 0);
      for (int c = 0; c < step.channels; ++c) to[c] = inside ? from[c] : 0.0f;
    }
  }

  GatherOperands operands_;
  int first_panel_;
  const GatherPixels<kTile.pixels>& pixels_;
  Shared& shared_;
  int reach_;             // columns from the first tap to the last
  int panel_tap_stride_;  // taps of a panel from one visited column tap to the next
  int rows_per_step_;
};

// ---- staged ------------------------------------------------------------------------------------

template <class Shape>
class StagedGatherLoader {
  static constexpr GatherTile kTile = Shape::kTile;
  using Tile = BlockTile<kTile.pixels, kTile.channels>;
  static_assert(kTile.panel == kTile.channels, "a block reads one panel");
  // Four floats of padding: rows start 16-byte aligned and four banks apart.
  static constexpr int kLd = kTile.reduction + 4;

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
                                const GatherPixels<kTile.pixels>& pixels, Shared& shared)
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

  __device__ void multiply(const Step& step, int t, typename Tile::Storage& accumulator) {
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
      const GatherPixel& pixel = pixels_.at[e / kAcross];
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
  const GatherPixels<kTile.pixels>& pixels_;
  Shared& shared_;
  bool vectors_;
};

template <class Shape>
using GatherLoader =
    std::conditional_t<kStagedOperands, StagedGatherLoader<Shape>, InPlaceGatherLoader<Shape>>;

}  // namespace curvseg::CURVSEG_TARGET
