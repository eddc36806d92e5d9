// Outer products on microtiles of the host: both operands contiguous along the tile, the sum over
// their rows.
#pragma once

#include "exec/host_microtile.hpp"

namespace curvseg::CURVSEG_TARGET {

/// Microtiles of up to `Rows` rows. BlockTile has these functions.
template <int Rows, int Columns>
struct OuterTile {
  static_assert(Columns % kLanes == 0, "a row of a microtile is made of whole vectors");
  using Storage = float[Rows * Columns];

  /// acc[i][:] += Σ_l a[l·lda + i] · b[l·ldb + :], for the first `rows` rows of the microtile.
  static __forceinline__ void multiply_outer(Storage& storage, const float* a, std::ptrdiff_t lda,
                                             int rows, const float* b, std::ptrdiff_t ldb,
                                             int length) {
    partial_outer<Rows>(storage, a, lda, rows, b, ldb, length);
  }

  /// `lines` runs of `length` pixels of b, each under `length` + 2 pixels of a, of which those in
  /// [first, last) exist. For the first `rows` rows of the microtile.
  struct OuterWindow {
    int lines, length;
    int first, last;
    int rows;
    std::ptrdiff_t a_pixel, a_line, b_pixel, b_line;
  };
  /// acc[s][i][:] += Σ_line Σ_l a[line][l + s][i] · b[line][l][:] for s = 0, 1, 2, in the order of
  /// l
  static void multiply_outer_window(Storage* storage, const float* a, const float* b,
                                    const OuterWindow& window) {
    partial_outer_window<Rows>(storage, a, b, window);
  }

 private:
  static constexpr int kVectors = Columns / kLanes;

  template <int Count>
  using ThreeTaps = Vector[3][Count][kVectors];

  /// What pixel `a` adds to the taps of `kTaps`, a bit each; `b` is the pixel under tap 0.
  template <int Count, unsigned kTaps>
  static __forceinline__ void outer_window_step(ThreeTaps<Count>& acc, const float* a,
                                                const float* b, std::ptrdiff_t b_pixel) {
    Vector row[3][kVectors];
    CURVSEG_UNROLL
    for (int s = 0; s < 3; ++s) CURVSEG_UNROLL
    for (int v = 0; v < kVectors; ++v)
      if ((kTaps >> s & 1u) != 0) row[s][v] = load_vector(b - s * b_pixel + v * kLanes);
    CURVSEG_UNROLL
    for (int i = 0; i < Count; ++i) {
      const Vector value = broadcast(a[i]);
      CURVSEG_UNROLL
      for (int s = 0; s < 3; ++s) CURVSEG_UNROLL
      for (int v = 0; v < kVectors; ++v)
        if ((kTaps >> s & 1u) != 0) acc[s][i][v] = fma(value, row[s][v], acc[s][i][v]);
    }
  }

  /// Pixels [first, last) of a, some of which lie under fewer than three.
  template <int Count>
  static __forceinline__ void outer_window_end(ThreeTaps<Count>& acc, const float* a,
                                               const float* b, const OuterWindow& window, int first,
                                               int last) {
    for (int pixel = first; pixel < last; ++pixel) {
      const float* from = a + pixel * window.a_pixel;
      const float* with = b + pixel * window.b_pixel;
      const unsigned taps = (pixel < window.length ? 1u : 0u) |
                            (pixel >= 1 && pixel <= window.length ? 2u : 0u) |
                            (pixel >= 2 ? 4u : 0u);
      if (taps == 1u) outer_window_step<Count, 1>(acc, from, with, window.b_pixel);
      if (taps == 2u) outer_window_step<Count, 2>(acc, from, with, window.b_pixel);
      if (taps == 3u) outer_window_step<Count, 3>(acc, from, with, window.b_pixel);
      if (taps == 4u) outer_window_step<Count, 4>(acc, from, with, window.b_pixel);
      if (taps == 6u) outer_window_step<Count, 6>(acc, from, with, window.b_pixel);
      if (taps == 7u) outer_window_step<Count, 7>(acc, from, with, window.b_pixel);
    }
  }

  template <int Count>
  static void partial_outer_window(Storage* storage, const float* a, const float* b,
                                   const OuterWindow& window) {
    if constexpr (Count > 1) {
      if (window.rows < Count) return partial_outer_window<Count - 1>(storage, a, b, window);
    }
    ThreeTaps<Count> acc;
    CURVSEG_UNROLL
    for (int s = 0; s < 3; ++s) load_microtile(acc[s], storage[s]);
    int begin = window.first > 2 ? window.first : 2;  // of those that lie under three
    if (begin > window.last) begin = window.last;
    int end = window.length < window.last ? window.length : window.last;
    if (end < begin) end = begin;
    // What as many lines further on will be asked of, as in partial_outer().
    const std::ptrdiff_t a_ahead = window.lines * window.a_line,
                         b_ahead = window.lines * window.b_line;
    for (int line = 0; line < window.lines; ++line, a += window.a_line, b += window.b_line) {
      outer_window_end<Count>(acc, a, b, window, window.first, begin);
      const float* from = a + begin * window.a_pixel;
      const float* with = b + begin * window.b_pixel;
      for (int pixel = begin; pixel < end; ++pixel) {
        prefetch_further<Count>(from + a_ahead);
        prefetch_further<Columns>(with + b_ahead);
        outer_window_step<Count, 7>(acc, from, with, window.b_pixel);
        from += window.a_pixel;
        with += window.b_pixel;
      }
      outer_window_end<Count>(acc, a, b, window, end, window.last);
    }
    CURVSEG_UNROLL
    for (int s = 0; s < 3; ++s) store_microtile(storage[s], acc[s]);
  }

  template <int Count>
  static void partial_outer(Storage& storage, const float* a, std::ptrdiff_t lda, int rows,
                            const float* b, std::ptrdiff_t ldb, int length) {
    if constexpr (Count > 1) {
      if (rows < Count) return partial_outer<Count - 1>(storage, a, lda, rows, b, ldb, length);
    }
    Vector acc[Count][kVectors];
    load_microtile(acc, storage);
    // What as many rows further on will be asked of: a microtile reads a part of every row, lines
    // far from each other, which no processor foresees.
    const std::ptrdiff_t a_ahead = length * lda, b_ahead = length * ldb;
    for (int l = 0; l < length; ++l, a += lda, b += ldb) {
      prefetch_further<Count>(a + a_ahead);
      prefetch_further<Columns>(b + b_ahead);
      microtile_step(
          acc, b, [&](int i) __attribute__((always_inline)) { return a[i]; });
    }
    store_microtile(storage, acc);
  }
};

}  // namespace curvseg::CURVSEG_TARGET
