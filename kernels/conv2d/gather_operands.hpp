// What the loaders of a gather's operands share: where sources and panels lie, and the steps of a
// reduction. The main loop of a gather finds its operands by one of four policies:
//
//   StagedGatherLoader   copies a step of source pixels and panel rows into shared memory, the next
//                        step's copy in flight while this one is multiplied (GPU block shapes)
//   InPlaceGatherLoader  hands out pointers: NHWC rows are contiguous in C, panels contiguous
//                        already, so a machine with caches copies nothing (host)
//   WindowGatherLoader   the same for windows three pixels wide (host)
//   LineGatherLoader     the same for short sums (host)
//
// They have one interface:
//
//   begin() valid(step) next(step)   walk the reduction: terms, filter taps, source channels
//   acquire(step)                    operands ready for every thread when it returns
//   multiply(step, t, accumulator, begins)
//                                    microtile t += its rows x its columns, or = if the sum begins
//                                    (a host's; those of a GPU are cleared before)
//   release()                        every thread is done with them
#pragma once

#include "conv2d/conv2d.hpp"
#include "conv2d/pack_filter.hpp"

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

}  // namespace curvseg::CURVSEG_TARGET
