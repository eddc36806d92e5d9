// Where the main loop of a weight gradient finds its operands: x and dy, both contiguous in their
// channels, summed over pixels. Two policies with one interface, as in gather_operands.hpp:
//
//   StagedWeightLoader   pixels of x (shifted by the block's tap) and dy through shared memory
//   InPlaceWeightLoader  pointers into x and dy; x is packed only where output lines are too short
//                        for a run along one of them to pay
//   WindowWeightLoader   three taps at a time (window_weight_loader.hpp)
//
//   begin() valid(step) next(step)      walk terms and pixels of this block's split
//   acquire(step, tap)                  operands ready for every thread when it returns
//   multiply(step, tap, t, accumulators) microtile t += its channels x its outputs
//   release()                           every thread is done with them
#pragma once

#include <type_traits>

#include "conv2d/conv2d.hpp"
#include "conv2d/pixel_cursor.hpp"
#include "conv2d/tiles.hpp"

namespace curvseg::CURVSEG_TARGET {

/// This block's share of the work.
struct WeightRange {
  int first_channel, first_output;
  int first_tap, taps;
  std::int64_t first_pixel, last_pixel;  // of [N, P, Q]
};

/// Source row and column of filter tap `tap` at output (row, column).
struct TapShift {
  int row, column;
};
__device__ __forceinline__ TapShift tap_shift(const Conv2dProblem& c, int tap) {
  return {tap / c.s * c.dilation_h - c.pad_h, tap % c.s * c.dilation_w - c.pad_w};
}

/// Pixel index in x that a tap reads at output pixel `at`, -1 outside.
__device__ __forceinline__ std::int64_t source_pixel(const Conv2dProblem& c, const PixelCursor& at,
                                                     TapShift shift) {
  const int row = at.row() * c.stride_h + shift.row;
  const int column = at.column() * c.stride_w + shift.column;
  const bool inside = static_cast<unsigned>(row) < static_cast<unsigned>(c.h) &&
                      static_cast<unsigned>(column) < static_cast<unsigned>(c.w);
  return inside ? (static_cast<std::int64_t>(at.image()) * c.h + row) * c.w + column : -1;
}

/// Outputs behind the last whole group of a microtile's columns, for `count` pixels, filled up with
/// zeros. `left`: outputs from the block's first one on.
template <class Shape>
__device__ __forceinline__ void copy_tail(const Conv2dWeightTerm& term, int left, int outputs,
                                          std::int64_t first, int count, float* to) {
  constexpr int kColumns = WeightBlockTile<Shape>::kGroupColumns;
  const int tail = left % kColumns;
  if (tail == 0 || left >= Shape::kTile.outputs) return;
  const float* dy = term.dy + first * term.ldy + (outputs - tail);
  for (int i = 0; i < count; ++i, dy += term.ldy)
    for (int j = 0; j < kColumns; ++j) *to++ = j < tail ? dy[j] : 0.0f;
}

// ---- in place ----------------------------------------------------------------------------------

template <class Shape>
class InPlaceWeightLoader {
  static constexpr WeightTile kTile = Shape::kTile;
  using Tile = WeightBlockTile<Shape>;
  static constexpr int kShortLine = 48;  // below this, a run of one line is mostly overhead

 public:
  struct Shared {
    alignas(64) float x[kTile.pixels * kTile.channels];
    alignas(64) float dy_tail[kTile.pixels * Tile::kGroupColumns];
  };
  struct Step {
    int term;
    std::int64_t pixel;
    int image, row, column;  // of `pixel`
    int count;
  };

  __device__ InPlaceWeightLoader(const Conv2dWeightGradient& p, const WeightRange& range,
                                 Shared& shared)
      : p_(p), range_(range), shared_(shared), packed_(p.problem.q < kShortLine) {}

  __device__ Step begin() const { return sized({0, range_.first_pixel, 0, 0, 0, 0}); }
  __device__ bool valid(const Step& step) const { return step.term < p_.terms && step.count > 0; }
  __device__ Step next(Step step) const {
    step.pixel += step.count;
    if (step.pixel >= range_.last_pixel) {
      ++step.term;
      step.pixel = range_.first_pixel;
    }
    return sized(step);
  }

  __device__ void acquire(const Step& step, int tap) {
    const Conv2dProblem& c = p_.problem;
    const Conv2dWeightTerm& term = p_.term[step.term];
    const int left = min_of(c.c - range_.first_channel, kTile.channels);
    if (packed_) {
      PixelCursor at(step.image, step.row, step.column, c.n, c.p, c.q);
      const TapShift shift = tap_shift(c, range_.first_tap + tap);
      for (int i = 0; i < step.count; ++i, at.advance(1)) {
        const std::int64_t pixel = source_pixel(c, at, shift);
        float* to = shared_.x + i * kTile.channels;
        if (pixel >= 0) {
          const float* from = term.x + pixel * term.ldx + range_.first_channel;
          for (int j = 0; j < left; ++j) to[j] = from[j];
        } else {
          for (int j = 0; j < left; ++j) to[j] = 0.0f;
        }
      }
    }
    if (tap == 0)
      copy_tail<Shape>(term, c.k - range_.first_output, c.k, step.pixel, step.count,
                       shared_.dy_tail);
  }

  __device__ void multiply(const Step& step, int tap, int t, typename Tile::Storage* accumulators) {
    typename Tile::Storage& accumulator = *accumulators;
    const Conv2dProblem& c = p_.problem;
    const Conv2dWeightTerm& term = p_.term[step.term];
    const int channel = range_.first_channel + Tile::row(t, 0);
    const int output = range_.first_output + Tile::column(t, 0);
    const int rows = min_of(c.c - channel, Tile::kRows);
    const bool tail = output + Tile::kGroupColumns > c.k;
    const float* dy = tail ? shared_.dy_tail : term.dy + step.pixel * term.ldy + output;
    const std::int64_t ldy = tail ? Tile::kGroupColumns : term.ldy;
    if (packed_) {
      Tile::multiply_outer(accumulator, shared_.x + Tile::row(t, 0), kTile.channels, rows, dy, ldy,
                           step.count);
      return;
    }
    // One line: the columns whose source lies inside are one run.
    const TapShift shift = tap_shift(c, range_.first_tap + tap);
    const int row = step.row * c.stride_h + shift.row;
    if (static_cast<unsigned>(row) >= static_cast<unsigned>(c.h)) return;
    int first = step.column, last = step.column + step.count;
    const int skip = shift.column < 0 ? (-shift.column + c.stride_w - 1) / c.stride_w : 0;
    const int reach = c.w - 1 - shift.column;
    const int end = reach < 0 ? 0 : reach / c.stride_w + 1;
    first = first > skip ? first : skip;
    last = min_of(last, end);
    if (first >= last) return;
    const std::int64_t pixel = (static_cast<std::int64_t>(step.image) * c.h + row) * c.w +
                               static_cast<std::int64_t>(first) * c.stride_w + shift.column;
    Tile::multiply_outer(accumulator, term.x + pixel * term.ldx + channel, c.stride_w * term.ldx,
                         rows, dy + (first - step.column) * ldy, ldy, last - first);
  }

  __device__ void release() {}

 private:
  __device__ Step sized(Step step) const {
    const Conv2dProblem& c = p_.problem;
    const PixelCursor at(step.pixel, c.n, c.p, c.q);
    step.image = at.image();
    step.row = at.row();
    step.column = at.column();
    std::int64_t count = range_.last_pixel - step.pixel;
    if (!packed_ && c.q - step.column < count) count = c.q - step.column;
    step.count = count < kTile.pixels ? static_cast<int>(count) : kTile.pixels;
    return step;
  }

  const Conv2dWeightGradient& p_;
  const WeightRange& range_;
  Shared& shared_;
  bool packed_;
};

// ---- staged ------------------------------------------------------------------------------------

template <class Shape>
class StagedWeightLoader {
  static constexpr WeightTile kTile = Shape::kTile;
  using Tile = WeightBlockTile<Shape>;

 public:
  struct Shared {
    alignas(16) float x[2][kTile.pixels * kTile.channels];
    alignas(16) float dy[2][kTile.pixels * kTile.outputs];
  };
  struct Step {
    int term;
    std::int64_t pixel;
    int buffer;
  };

  __device__ StagedWeightLoader(const Conv2dWeightGradient& p, const WeightRange& range,
                                Shared& shared)
      : p_(p), range_(range), shared_(shared), shift_(tap_shift(p.problem, range.first_tap)) {
    vectors_ = p.problem.c % 4 == 0 && p.problem.k % 4 == 0;
    for (int t = 0; t < p.terms; ++t)
      vectors_ = vectors_ && p.term[t].ldx % 4 == 0 && p.term[t].ldy % 4 == 0 &&
                 is_aligned(p.term[t].x, 16) && is_aligned(p.term[t].dy, 16);
  }

  __device__ Step begin() const {
    return {range_.first_pixel < range_.last_pixel ? 0 : p_.terms, range_.first_pixel, 0};
  }
  __device__ bool valid(const Step& step) const { return step.term < p_.terms; }
  __device__ Step next(Step step) const {
    step.buffer ^= 1;
    step.pixel += kTile.pixels;
    if (step.pixel < range_.last_pixel) return step;
    ++step.term;
    step.pixel = range_.first_pixel;
    return step;
  }

  __device__ void acquire(const Step& step, int /*tap: one a block*/) {
    if (step.term == 0 && step.pixel == range_.first_pixel) copy(step);
    const Step following = next(step);
    if (valid(following)) {
      copy(following);
      wait_copies<1>();
    } else {
      wait_copies<0>();
    }
    __syncthreads();
  }

  __device__ void multiply(const Step& step, int, int t, typename Tile::Storage* accumulators) {
    Tile::template multiply_outer<kTile.channels, kTile.pixels>(
        *accumulators, t, shared_.x[step.buffer], shared_.dy[step.buffer]);
  }

  __device__ void release() { __syncthreads(); }

 private:
  __device__ void copy(const Step& step) {
    if (vectors_)
      copy_pixels<4>(step);
    else
      copy_pixels<1>(step);
    commit_copies();
  }

  template <int kFloats>
  __device__ void copy_pixels(const Step& step) {
    const Conv2dProblem& c = p_.problem;
    const Conv2dWeightTerm& term = p_.term[step.term];
    constexpr int kAcrossX = kTile.channels / kFloats;
    for (int e = block_begin(); e < kTile.pixels * kAcrossX; e += block_step()) {
      const std::int64_t output = step.pixel + e / kAcrossX;
      const int channel = range_.first_channel + e % kAcrossX * kFloats;
      const std::int64_t pixel = output < range_.last_pixel && channel < c.c
                                     ? source_pixel(c, PixelCursor(output, c.n, c.p, c.q), shift_)
                                     : -1;
      copy_async<kFloats>(shared_.x[step.buffer] + kFloats * e,
                          term.x + (pixel >= 0 ? pixel * term.ldx + channel : 0), pixel >= 0);
    }
    constexpr int kAcrossDy = kTile.outputs / kFloats;
    for (int e = block_begin(); e < kTile.pixels * kAcrossDy; e += block_step()) {
      const std::int64_t pixel = step.pixel + e / kAcrossDy;
      const int output = range_.first_output + e % kAcrossDy * kFloats;
      const bool valid = pixel < range_.last_pixel && output < c.k;
      copy_async<kFloats>(shared_.dy[step.buffer] + kFloats * e,
                          term.dy + (valid ? pixel * term.ldy + output : 0), valid);
    }
  }

  const Conv2dWeightGradient& p_;
  const WeightRange& range_;
  Shared& shared_;
  TapShift shift_;
  bool vectors_;
};

}  // namespace curvseg::CURVSEG_TARGET
