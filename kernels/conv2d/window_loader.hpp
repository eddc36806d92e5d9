// The operands of a gather whose taps are three adjacent pixels of a line: a microtile is a run of
// pixels of one line, which the taps slide over, so that what is read is used three times.
// Interface as in gather_operands.hpp.
//
//   inside the image                  pointers into x
//   at its left and right edges, and where a line ends within a microtile
//                                     a copy of the microtile's windows with zeros around them, one
//                                     for all panels
//
// Sums run over rows of taps, then channels, then the three taps, the same for every pixel. Taps
// above and below the image are left out.
#pragma once

#include "conv2d/conv2d.hpp"
#include "conv2d/gather_operands.hpp"
#include "conv2d/gather_pixels.hpp"
#include "conv2d/tiles.hpp"

namespace curvseg::CURVSEG_TARGET {

template <class Shape>
class WindowGatherLoader {
  static constexpr GatherTile kTile = Shape::kTile;
  using Tile = GatherBlockTile<Shape>;
  using Pixels = GatherPixels<Shape>;
  using Group = typename Pixels::Group;
  static constexpr int kPixels = kTile.rows + 2;  // of a microtile's windows
  static constexpr int kRowTaps = 3;              // of a step, at most

  /// What the copy holds.
  struct CopyKey {
    int term = -1, row_tap = 0, channel = 0, group = 0;
    bool operator==(const CopyKey&) const = default;
  };

 public:
  struct Shared {
    float copy[kRowTaps * kPixels * kTile.reduction];
  };
  using Step = GatherSteps::Step;

  __device__ WindowGatherLoader(const Conv2dGather& p, const GatherAxis& rows,
                                const GatherAxis& columns, int first_channel, const Pixels& pixels,
                                Shared& shared)
      : operands_(p, rows, columns, kTile.panel),
        first_panel_(first_channel / kTile.panel),
        pixels_(pixels),
        shared_(shared),
        panel_tap_(static_cast<std::ptrdiff_t>(operands_.channels) * kTile.panel),
        panel_row_(panel_tap_ * (rows.taps > 1
                                     ? operands_.panel_tap_of(1, 0) - operands_.panel_tap_of(0, 0)
                                     : 1)) {}

  __device__ Step begin() const { return steps().begin(); }
  __device__ bool valid(const Step& step) const { return steps().valid(step); }
  __device__ Step next(const Step& step) const { return steps().next(step); }

  __device__ void acquire(const Step&) {}

  /// Asks for what the next line of outputs will read and this one does not, since caches prefetch
  /// along a line by themselves, but each line begins anew, and a window asks for many at once; and
  /// for `stored`, which the last step's multiply is followed by.
  __device__ void multiply(const Step& step, int t, typename Tile::Storage& accumulator,
                           bool begins, const StoredRun& stored) {
    const int index = first_panel_ + t % Tile::kAcross;
    const int group = t / Tile::kAcross;
    const Group& at = pixels_.group(group);
    if (index * kTile.panel >= operands_.outputs || at.count == 0) return;
    const GatherAxis& rows = operands_.rows;
    const auto [first, last] =
        operands_.rows_inside(at.row, {step.row_tap, step.row_tap + step.row_taps});
    if (first == last) {
      if (begins) Tile::clear(accumulator);
      return;
    }
    const float* panel = operands_.panel(step.term, index, operands_.panel_tap_of(first, 0),
                                         step.channel, kTile.panel);
    const Conv2dGatherTerm& term = operands_.p.term[step.term];
    PlacesToAsk next;
    if (index == first_panel_ && at.row + last * rows.source_tap_step < rows.source_extent)
      next = {source(term, at, last, step.channel) + term.ld, term.ld, kTile.rows, step.channels};
    // A row of taps each, as far as there are as many.
    const int lines = last - first;
    const SpreadPrefetch read = spread(next, step.channels, panel),
                         write = spread(stored.out, lines > 1 ? step.channels : 0, panel),
                         mask = spread(stored.mask, lines > 2 ? step.channels : 0, panel);
    if (at.column >= 0 && at.column + kPixels <= operands_.columns.source_extent) {
      const std::int64_t row = static_cast<std::int64_t>(rows.source_tap_step) *
                               operands_.columns.source_extent * term.ld;
      Tile::multiply_window(
          accumulator, source(term, at, first, step.channel),
          {lines, row, panel_row_, term.ld, panel_tap_, step.channels, {read, write, mask}}, panel,
          begins);
      return;
    }
    const CopyKey key{step.term, step.row_tap, step.channel, group};
    if (!(key == copied_)) {
      for (int r = first; r < last; ++r) copy_row(step, term, at, r);
      copied_ = key;
    }
    const std::ptrdiff_t row = static_cast<std::ptrdiff_t>(kPixels) * step.channels;
    Tile::multiply_window(
        accumulator, shared_.copy + (first - step.row_tap) * row,
        {lines, row, panel_row_, step.channels, panel_tap_, step.channels, {read, write, mask}},
        panel, begins);
  }

  __device__ void release() {}

 private:
  __device__ GatherSteps steps() const { return {operands_, kRowTaps, kTile.reduction}; }

  /// Of the first window of a microtile under row `row_tap` of taps; may be outside.
  __device__ const float* source(const Conv2dGatherTerm& term, const Group& at, int row_tap,
                                 int channel) const {
    const int row = at.row + row_tap * operands_.rows.source_tap_step;
    return displaced(term.source, operands_.offset(at.image, row, at.column, term.ld) + channel);
  }

  /// What asks for a line of `places` in each of `steps`; where these are too few it is asked for
  /// at once. As reads: a line that no other core has is as good for writing. `nothing` is memory
  /// that is in the cache.
  static __device__ SpreadPrefetch spread(const PlacesToAsk& places, int steps,
                                          const float* nothing) {
    if (places.count == 0) return {nothing, 0};
    const int floats = places.count * places.floats;
    if (places.distance == places.floats && floats <= kLineFloats * steps)
      return {places.first, divide_up(floats, steps)};
    if (places.floats <= kLineFloats && places.count <= steps)
      return {places.first, places.distance};
    const float* from = places.first;
    for (int i = 0; i < places.count; ++i, from += places.distance)
      prefetch_to_read(from, places.floats);
    return {nothing, 0};
  }

  __device__ void copy_row(const Step& step, const Conv2dGatherTerm& term, const Group& at,
                           int row_tap) {
    const int channels = step.channels;
    float* to = shared_.copy + (row_tap - step.row_tap) * kPixels * channels;
    const int first = min_of(max_of(-at.column, 0), kPixels);
    const int last = min_of(max_of(operands_.columns.source_extent - at.column, first), kPixels);
    for (int e = 0; e < first * channels; ++e) to[e] = 0.0f;
    for (int e = last * channels; e < kPixels * channels; ++e) to[e] = 0.0f;
    const float* from = source(term, at, row_tap, step.channel);
    for (int pixel = first; pixel < last; ++pixel) {
      const float* in = displaced(from, pixel * term.ld);
      for (int channel = 0; channel < channels; ++channel)
        to[pixel * channels + channel] = in[channel];
    }
  }

  GatherOperands operands_;
  int first_panel_;
  const Pixels& pixels_;
  Shared& shared_;
  std::ptrdiff_t panel_tap_, panel_row_;  // floats of a panel from a tap, a row of taps to the next
  CopyKey copied_;
};

}  // namespace curvseg::CURVSEG_TARGET
