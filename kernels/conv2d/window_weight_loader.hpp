// The operands of a weight gradient whose taps are three adjacent pixels of a line, all three of a
// row of taps at once: a pixel of x meets three pixels of dy, so that what is read is used three
// times. Interface as in weight_loaders.hpp, but that `tap` is the first of a row of taps and
// `accumulators` are those of its three.
#pragma once

#include "conv2d/conv2d.hpp"
#include "conv2d/pixel_cursor.hpp"
#include "conv2d/tiles.hpp"
#include "conv2d/weight_loaders.hpp"

namespace curvseg::CURVSEG_TARGET {

template <class Shape>
class WindowWeightLoader {
  static constexpr WeightTile kTile = Shape::kTile;
  using Tile = WeightBlockTile<Shape>;

 public:
  struct Shared {
    alignas(64) float dy_tail[kTile.pixels * Tile::kGroupColumns];
  };
  /// `lines` runs of `length` pixels: a part of one line, or whole lines of one image.
  struct Step {
    int term;
    std::int64_t pixel;
    int image, row, column;  // of `pixel`
    int lines, length;
  };

  __device__ WindowWeightLoader(const Conv2dWeightGradient& p, const WeightRange& range,
                                Shared& shared)
      : p_(p), range_(range), shared_(shared) {}

  __device__ Step begin() const { return sized({0, range_.first_pixel, 0, 0, 0, 0, 0}); }
  __device__ bool valid(const Step& step) const {
    return step.term < p_.terms && step.lines * step.length > 0;
  }
  __device__ Step next(Step step) const {
    step.pixel += step.lines * step.length;
    if (step.pixel >= range_.last_pixel) {
      ++step.term;
      step.pixel = range_.first_pixel;
    }
    return sized(step);
  }

  __device__ void acquire(const Step& step, int tap) {
    const int outputs = p_.problem.k;
    if (tap == 0)
      copy_tail<Shape>(p_.term[step.term], outputs - range_.first_output, outputs, step.pixel,
                       step.lines * step.length, shared_.dy_tail);
  }

  __device__ void multiply(const Step& step, int tap, int t, typename Tile::Storage* accumulators) {
    const Conv2dProblem& c = p_.problem;
    const Conv2dWeightTerm& term = p_.term[step.term];
    const int row = step.row * c.stride_h + tap_shift(c, range_.first_tap + tap).row;
    int first = 0, last = step.lines;  // that read a line of x
    while (first < last && row + first * c.stride_h < 0) ++first;
    while (first < last && row + (last - 1) * c.stride_h >= c.h) --last;
    if (first == last) return;
    const int channel = range_.first_channel + Tile::row(t, 0);
    const int output = range_.first_output + Tile::column(t, 0);
    const bool tail = output + Tile::kGroupColumns > c.k;
    const std::int64_t ldy = tail ? Tile::kGroupColumns : term.ldy;
    const float* dy = tail ? shared_.dy_tail : term.dy + step.pixel * term.ldy + output;
    const int column = step.column - c.pad_w;  // where the first window begins, may be outside
    const std::int64_t pixel =
        (static_cast<std::int64_t>(step.image) * c.h + row + first * c.stride_h) * c.w + column;
    typename Tile::OuterWindow window;
    window.lines = last - first;
    window.length = step.length;
    window.first = max_of(-column, 0);
    window.last = min_of(c.w - column, step.length + 2);
    window.rows = min_of(c.c - channel, Tile::kRows);
    window.a_pixel = term.ldx;
    window.a_line = static_cast<std::int64_t>(c.stride_h) * c.w * term.ldx;
    window.b_pixel = ldy;
    window.b_line = step.length * ldy;
    Tile::multiply_outer_window(accumulators, displaced(term.x, pixel * term.ldx + channel),
                                dy + first * step.length * ldy, window);
  }

  __device__ void release() {}

 private:
  __device__ Step sized(Step step) const {
    const Conv2dProblem& c = p_.problem;
    const PixelCursor at(step.pixel, c.n, c.p, c.q);
    step.image = at.image();
    step.row = at.row();
    step.column = at.column();
    const std::int64_t left = range_.last_pixel - step.pixel;
    step.lines = 1;
    step.length = min_of(c.q - step.column, kTile.pixels);
    if (left < step.length) {
      step.length = static_cast<int>(left);
    } else if (step.length == c.q) {
      const int fit = min_of(kTile.pixels / c.q, c.p - step.row);
      step.lines = left / c.q < fit ? static_cast<int>(left / c.q) : fit;
    }
    return step;
  }

  const Conv2dWeightGradient& p_;
  const WeightRange& range_;
  Shared& shared_;
};

}  // namespace curvseg::CURVSEG_TARGET
