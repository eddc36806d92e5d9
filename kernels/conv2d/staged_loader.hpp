// The operands of a gather copied to shared memory, a step ahead. Interface as in
// gather_operands.hpp.
#pragma once

#include "conv2d/gather_operands.hpp"
#include "conv2d/gather_pixels.hpp"
#include "conv2d/tiles.hpp"

namespace curvseg::CURVSEG_TARGET {

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
