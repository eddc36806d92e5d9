// Index arithmetic of bilinear resizing, an axis at a time. Plain C++; brute-force tested in
// tests/kernels/resize/resize_axis_test.cpp.
#pragma once

#include <cstdint>
#include <numeric>

#include "exec/divider.hpp"

namespace curvseg {

/// An output samples (1 − fraction)·x[index] + fraction·x[index + 1]; with a fraction of 0,
/// index + 1 may be outside and is not to be read.
struct ResizeSample {
  int index;
  float fraction;
};

/// The outputs that may read an input: `count` of them from `first` on.
struct ResizeReaders {
  int first, count;
};

/// Output o of `out` samples input coordinate (o + ½)·in/out − ½, clamped to [0, in − 1].
///
/// With in and out divided by their common factor that is ((2o + 1)·in' − out') / (2·out'), a
/// quotient of integers: the index is exact whatever the sizes, the fraction rounded once or twice.
class ResizeAxis {
 public:
  constexpr ResizeAxis(int in, int out) : in_(in), out_(out) {
    if (in == 0 || out == 0) return;
    const int factor = std::gcd(in, out);
    reduced_in_ = in / factor;
    reduced_out_ = out / factor;
    by_twice_out_ = Divider(2 * reduced_out_);
    by_twice_in_ = Divider(2 * reduced_in_);
    unit_ = 1.0f / static_cast<float>(2 * reduced_out_);
  }

  constexpr int in() const { return in_; }
  constexpr int out() const { return out_; }

  constexpr ResizeSample sample(int o) const {
    const std::int64_t at = position(o);
    if (at <= 0) return {0, 0.0f};
    const std::int64_t index = by_twice_out_.divide(at);
    if (index >= in_ - 1) return {in_ - 1, 0.0f};
    return {static_cast<int>(index), static_cast<float>(at - index * 2 * reduced_out_) * unit_};
  }

  /// Outputs whose coordinate lies strictly between i − 1 and i + 1, clamping included.
  constexpr ResizeReaders readers(int i) const {
    const std::int64_t below = (2 * std::int64_t{i} - 1) * reduced_out_ - reduced_in_;
    const std::int64_t above = (2 * std::int64_t{i} + 3) * reduced_out_ - reduced_in_;
    const std::int64_t first = below < 0 ? 0 : by_twice_in_.divide(below) + 1;
    const std::int64_t last = above <= 0 ? -1 : by_twice_in_.divide(above - 1);
    const std::int64_t end = last < out_ ? last + 1 : out_;
    return {static_cast<int>(first), first < end ? static_cast<int>(end - first) : 0};
  }

 private:
  friend class ResizeWeights;

  /// The coordinate of output `o` in units of 1 / (2·out').
  constexpr std::int64_t position(int o) const {
    return (2 * std::int64_t{o} + 1) * reduced_in_ - reduced_out_;
  }

  int in_, out_;
  std::int64_t reduced_in_ = 1, reduced_out_ = 1;
  Divider by_twice_out_, by_twice_in_;
  float unit_ = 0.5f;
};

/// What the readers of input `i` take of it, one after the other: the weights of sample(), without
/// its division, for the loops that gather. Distances between a reader and its input are below
/// 2·out', so 32 bits do for extents below 2^29, and registers are what the gather runs short of.
class ResizeWeights {
 public:
  constexpr ResizeWeights(const ResizeAxis& axis, const ResizeReaders& readers, int i)
      : beyond_(static_cast<int>(axis.position(readers.first) - i * 2 * axis.reduced_out_)),
        step_(static_cast<int>(2 * axis.reduced_in_)),
        whole_(static_cast<int>(2 * axis.reduced_out_)),
        unit_(axis.unit_),
        first_(i == 0),
        last_(i == axis.in_ - 1) {}

  constexpr float value() const {
    if (beyond_ < 0) return first_ ? 1.0f : static_cast<float>(beyond_ + whole_) * unit_;
    return last_ ? 1.0f : 1.0f - static_cast<float>(beyond_) * unit_;
  }
  constexpr void advance() { beyond_ += step_; }

 private:
  int beyond_;  // from i to the reader's coordinate, in units of 1 / whole
  int step_, whole_;
  float unit_;
  bool first_, last_;
};

}  // namespace curvseg
