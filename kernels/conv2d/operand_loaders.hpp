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
  enum Group : std::int8_t { kInterior, kEdge, kNothing };

 public:
  struct Shared {
    const float* row[kTile.pixels];  // tap column 0 of the step's tap row; may point outside
    Group group[kGroups];
    float zeros[kTile.reduction];
  };
  struct Step {
    int term, row_tap, channel;
  };

  __device__ InPlaceGatherLoader(const Conv2dGather& p, const GatherAxis& rows,
                                 const GatherAxis& columns, int first_channel,
                                 const GatherPixels<kTile.pixels>& pixels, Shared& shared)
      : operands_(p, rows, columns, kTile.panel),
        first_panel_(first_channel / kTile.panel),
        pixels_(pixels),
        shared_(shared) {
    for (int i = 0; i < kTile.reduction; ++i) shared.zeros[i] = 0.0f;
  }

  __device__ Step begin() const {
    return {operands_.rows.taps > 0 && operands_.columns.taps > 0 && operands_.channels > 0
                ? 0
                : operands_.p.terms,
            0, 0};
  }
  __device__ bool valid(const Step& step) const { return step.term < operands_.p.terms; }
  __device__ Step next(Step step) const {
    step.channel += kTile.reduction;
    if (step.channel < operands_.channels) return step;
    step.channel = 0;
    if (++step.row_tap < operands_.rows.taps) return step;
    step.row_tap = 0;
    ++step.term;
    return step;
  }

  __device__ void acquire(const Step& step) {
    const Conv2dGatherTerm& term = operands_.p.term[step.term];
    const int reach = (operands_.columns.taps - 1) * operands_.columns.source_tap_step;
    for (int g = 0; g < kGroups; ++g) {
      bool interior = true, nothing = true;
      for (int i = g * Tile::kRows; i < (g + 1) * Tile::kRows; ++i) {
        const GatherPixel& pixel = pixels_.at[i];
        const int row = pixel.row + step.row_tap * operands_.rows.source_tap_step;
        const bool row_inside =
            static_cast<unsigned>(row) < static_cast<unsigned>(operands_.rows.source_extent);
        nothing &= !row_inside;
        interior &= row_inside && pixel.column >= 0 &&
                    pixel.column + reach < operands_.columns.source_extent;
        // As an integer: pointer arithmetic beyond an array is undefined even if never read.
        shared_.row[i] = reinterpret_cast<const float*>(
            reinterpret_cast<std::intptr_t>(term.source) +
            (operands_.offset(pixel.image, row, pixel.column, term.ld) + step.channel) *
                static_cast<std::intptr_t>(sizeof(float)));
      }
      shared_.group[g] = nothing ? kNothing : interior ? kInterior : kEdge;
    }
  }

  __device__ void multiply(const Step& step, int t, typename Tile::Storage& accumulator) {
    const int index = first_panel_ + t % Tile::kAcross;
    const int g = t / Tile::kAcross;
    if (index * kTile.panel >= operands_.outputs || shared_.group[g] == kNothing) return;
    const Conv2dGatherTerm& term = operands_.p.term[step.term];
    const int left = operands_.channels - step.channel;
    const int channels = left < kTile.reduction ? left : kTile.reduction;
    const float* const* rows = shared_.row + g * Tile::kRows;
    const GatherAxis& columns = operands_.columns;
    const std::int64_t tap_stride = columns.source_tap_step * term.ld;
    const bool interior = shared_.group[g] == kInterior;
    // Taps of one row lie side by side in x and in the panel: one run for all of them.
    if (interior && tap_stride == operands_.channels && channels == operands_.channels &&
        (columns.tap_step == 1 || columns.tap_step == -1)) {
      const float* b = operands_.panel(step.term, index, operands_.panel_tap_of(step.row_tap, 0), 0,
                                       kTile.panel);
      Tile::multiply_rows(accumulator, rows, 0, b, kTile.panel, columns.taps * channels);
      return;
    }
    for (int tap = 0; tap < columns.taps; ++tap) {
      const float* b = operands_.panel(step.term, index, operands_.panel_tap_of(step.row_tap, tap),
                                       step.channel, kTile.panel);
      if (interior) {
        Tile::multiply_rows(accumulator, rows, tap * tap_stride, b, kTile.panel, channels);
        continue;
      }
      const float* inside[Tile::kRows];
      for (int i = 0; i < Tile::kRows; ++i) {
        const GatherPixel& pixel = pixels_.at[g * Tile::kRows + i];
        const bool valid = operands_.inside(
            pixel.row + step.row_tap * operands_.rows.source_tap_step,
            pixel.column + tap * columns.source_tap_step);
        inside[i] = valid ? rows[i] + tap * tap_stride : shared_.zeros;
      }
      Tile::multiply_rows(accumulator, inside, 0, b, kTile.panel, channels);
    }
  }

  __device__ void release() {}

 private:
  GatherOperands operands_;
  int first_panel_;
  const GatherPixels<kTile.pixels>& pixels_;
  Shared& shared_;
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
    const float* from = operands_.panel(step.term, panel_,
                                        operands_.panel_tap_of(step.row_tap, step.column_tap),
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
          term.source +
          (valid ? operands_.offset(pixel.image, row, column, term.ld) + channel : 0);
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
using GatherLoader = std::conditional_t<kStagedOperands, StagedGatherLoader<Shape>,
                                        InPlaceGatherLoader<Shape>>;

}  // namespace curvseg::CURVSEG_TARGET
