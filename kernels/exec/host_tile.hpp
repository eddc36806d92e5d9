// The matrix atom of the host: SIMD register tiles. Operands are read where they are.
#pragma once

#include <cstddef>
#include <cstring>
#include <type_traits>

#include "exec/host_microtile.hpp"
#include "exec/host_outer_tile.hpp"

namespace curvseg::CURVSEG_TARGET {

/// A block tile of `BlockRows` x `BlockColumns` accumulators, made of microtiles of `Rows` x
/// `Columns`. A microtile is in registers for the length of one multiply; between multiplies it
/// lies in the block's shared struct, that is, in the first-level cache. Where a multiply is told
/// that the sum begins, it does not read that memory, so nobody has to clear it.
///
///   multiply_rows :  acc[i][j] += Σ_l rows[i][l] · b[l][j]      (rows of a: contiguous in l)
///   multiply_outer:  acc[i][j] += Σ_l a[l][i]    · b[l][j]      (a: contiguous in i)
///   multiply_window: acc[i][j] += Σ_l Σ_s a[i + s][l] · b[s][l][j],  s = 0, 1, 2
///   multiply_line:   as multiply_rows for rows at one distance, as many as a line has
///   multiply_outer_window: acc[s][i][j] += Σ_l a[l + s][i] · b[l][j]
template <int BlockRows, int BlockColumns, int Rows = kTileRows, int Columns = kTileColumns>
struct BlockTile : OuterTile<Rows, Columns> {
  static_assert(BlockRows % Rows == 0 && BlockColumns % Columns == 0,
                "a block tile is made of whole microtiles");
  using typename OuterTile<Rows, Columns>::Storage;
  static constexpr int kRows = Rows;
  static constexpr int kGroups = 1;  // of adjacent columns
  static constexpr int kGroupColumns = Columns;
  static constexpr int kAcross = BlockColumns / Columns;
  static constexpr int kMicrotiles = BlockRows / Rows * kAcross;

  static constexpr int row(int microtile, int i) { return microtile / kAcross * Rows + i; }
  static constexpr int column(int microtile, int) { return microtile % kAcross * Columns; }

  /// Runs of `length` adjacent elements of each row of a, and where the rows of b for them begin:
  /// `rows` x `columns` of them, a step apart. Rows of b are `Columns` long.
  struct Runs {
    int rows;
    std::ptrdiff_t a_row, b_row;
    int columns;
    std::ptrdiff_t a_column, b_column;
    int length;
  };
  /// acc[i][:] += Σ_runs Σ_l row[i][offset + run + l] · b[run + l·Columns + :]
  //
  // Never inlined: it needs every general register for its row pointers, and a caller's variables
  // among them cost a reload a step, a tenth of the speed.
  static __attribute__((noinline)) void multiply_rows(Storage& storage, const float* const* row,
                                                      std::ptrdiff_t offset, const Runs& runs,
                                                      const float* b, bool begins) {
    const float* a[kRows];
    CURVSEG_UNROLL
    for (int i = 0; i < kRows; ++i) a[i] = row[i] + offset;
    Vector acc[kRows][kVectors];
    begin_microtile(acc, storage, begins);
    const std::ptrdiff_t ahead = kRows * (row[1] - row[0]);
    const std::ptrdiff_t next_row = runs.a_row - runs.columns * runs.a_column;
    for (int r = runs.rows; r > 0; --r) {
      const float* run = b;
      for (int c = runs.columns; c > 0; --c) {
        multiply_run(acc, a, run, runs.length, a[0] + ahead);
        CURVSEG_UNROLL
        for (int i = 0; i < kRows; ++i) a[i] += runs.a_column;
        run += runs.b_column;
      }
      CURVSEG_UNROLL
      for (int i = 0; i < kRows; ++i) a[i] += next_row;
      b += runs.b_row;
    }
    store_microtile(storage, acc);
  }

  /// The same over `count` runs that begin at table[run][i].
  struct TableRuns {
    int count;
    std::ptrdiff_t b_step;
    int length;
  };
  static __attribute__((noinline)) void multiply_table(Storage& storage,
                                                       const float* const (*table)[kRows],
                                                       const TableRuns& runs, const float* b,
                                                       bool begins) {
    Vector acc[kRows][kVectors];
    begin_microtile(acc, storage, begins);
    for (int run = 0; run < runs.count; ++run, b += runs.b_step) {
      const float* a[kRows];
      CURVSEG_UNROLL
      for (int i = 0; i < kRows; ++i) a[i] = table[run][i];
      multiply_run(acc, a, b, runs.length, a[0]);  // at an edge nothing is asked for
    }
    store_microtile(storage, acc);
  }

  /// Rows of a window: kRows + 2 pixels of a, `a_pixel` apart, under three taps of b, `b_tap`
  /// apart. At most three rows, of which row r asks for memory at ahead[r].
  struct Window {
    int rows;
    std::ptrdiff_t a_row, b_row;
    std::ptrdiff_t a_pixel, b_tap;
    int length;
    SpreadPrefetch ahead[3];
  };
  /// acc[i][:] += Σ_row Σ_l Σ_s a[row][i + s][l] · b[row][s][l][:], one term after the other
  //
  // A value of a is broadcast once for the three outputs that see it: a third of the loads, and
  // fewer of the bank conflicts of pixels whose distance is a power of two. What is needed next is
  // asked for a line a step: all at once it is more than a processor has requests for, which waits.
  static __attribute__((noinline)) void multiply_window(Storage& storage, const float* a,
                                                        const Window& window, const float* b,
                                                        bool begins) {
    Vector acc[kRows][kVectors];
    begin_microtile(acc, storage, begins);
    for (int row = 0; row < window.rows; ++row) {
      window_row(acc, a, window.a_pixel, b, window.b_tap, window.length, window.ahead[row]);
      a += window.a_row;
      b += window.b_row;
    }
    store_microtile(storage, acc);
  }

  /// `pixels` of a, whole registers of them, `a_pixel` apart, each with `rows` runs of `length`
  /// adjacent elements.
  struct Line {
    int pixels;
    std::ptrdiff_t a_pixel;
    int rows;
    std::ptrdiff_t a_row, b_row;
    int length;
  };
  static constexpr int kHeldRows = Columns == kLanes ? kSlimTileRows : kTileRows;
  /// acc[first + i][:] += Σ_row Σ_l a[row][i·a_pixel + l] · b[row][l][:]
  //
  // A microtile is longer than the registers: what a call and its surroundings cost is shared by a
  // line where a sum is short.
  static __attribute__((noinline)) void multiply_line(Storage& storage, int first, const float* a,
                                                      const Line& line, const float* b,
                                                      bool begins) {
    float* to = storage + first * Columns;
    for (int i = 0; i < line.pixels; i += kHeldRows, to += kHeldRows * Columns) {
      Vector acc[kHeldRows][kVectors];
      begin_microtile(acc, to, begins);
      const float* from = a;
      const float* with = b;
      for (int row = 0; row < line.rows; ++row) {
        // Three taps of one channel or of three: the filters of first layers.
        if (line.length == 3)
          line_row(acc, from, line.a_pixel, with, std::integral_constant<int, 3>());
        else if (line.length == 9)
          line_row(acc, from, line.a_pixel, with, std::integral_constant<int, 9>());
        else
          line_row(acc, from, line.a_pixel, with, line.length);
        from += line.a_row;
        with += line.b_row;
      }
      store_microtile(to, acc);
      a += kHeldRows * line.a_pixel;
    }
  }

  /// to[e] = from[e] for e in [first, last), 0 for the other e < count and some beyond, less than
  /// kLanes. Nothing outside [first, last) is read.
  static __forceinline__ void copy_part(float* to, const float* from, int first, int last,
                                        int count) {
    for (int e = 0; e < count; e += kLanes)
      store_vector(to + e, load_part(from + e, first - e, last - e));
  }

  static void clear(Storage& storage) {
    for (int e = 0; e < Rows * Columns; e += kLanes) store_vector(storage + e, Vector{});
  }

 private:
  static constexpr int kVectors = Columns / kLanes;

  /// `ahead`: where the next microtile's rows begin, as many floats as these have if they touch
  /// each other. A microtile goes over all of its rows at once, a line of each after the other,
  /// which no processor foresees; so it asks for the next one's, a row's share a step.
  static __forceinline__ void multiply_run(Vector (&acc)[kRows][kVectors],
                                           const float* const (&a)[kRows], const float* b,
                                           std::ptrdiff_t length, const float* ahead) {
    for (std::ptrdiff_t l = 0; l < length; ++l, b += Columns, ahead += kRows) {
      prefetch_near(ahead);
      microtile_step(
          acc, b, [&](int i) __attribute__((always_inline)) { return a[i][l]; });
    }
  }

  /// Rows a_pixel apart, the next microtile's asked for as in multiply_run. The addresses p, p + S
  /// and p + 2·S need but one more register.
  template <class Length>
  static __forceinline__ void line_row(Vector (&acc)[kHeldRows][kVectors], const float* a,
                                       std::ptrdiff_t a_pixel, const float* b,
                                       [[maybe_unused]] Length length) {
    static_assert(kHeldRows % 3 == 0, "a pointer for three rows");
    constexpr int kPointers = kHeldRows / 3;
    const float* p[kPointers];
    CURVSEG_UNROLL
    for (int k = 0; k < kPointers; ++k) p[k] = a + 3 * k * a_pixel;
    if constexpr (!std::is_same_v<Length, int>) {
      constexpr int kLength = Length::value;
      CURVSEG_UNROLL
      for (int l = 0; l < kLength; ++l, b += Columns)
        microtile_step(
            acc,
            b, [&](int i) __attribute__((always_inline)) { return p[i / 3][i % 3 * a_pixel + l]; });
    } else {
      const float* ahead = a + kHeldRows * a_pixel;
      for (int l = 0; l < length; ++l, b += Columns, ahead += kHeldRows) {
        prefetch_near(ahead);
        microtile_step(
            acc,
            b, [&](int i) __attribute__((always_inline)) { return p[i / 3][i % 3 * a_pixel]; });
        CURVSEG_UNROLL
        for (int k = 0; k < kPointers; ++k) {
          asm("" : "+r"(p[k]));  // opaque, as in window_row
          ++p[k];
        }
      }
    }
  }

  static __forceinline__ void window_row(Vector (&acc)[kRows][kVectors], const float* a,
                                         std::ptrdiff_t a_pixel, const float* b,
                                         std::ptrdiff_t b_tap, int length,
                                         const SpreadPrefetch& prefetch) {
    // A pointer for three pixels: the addresses p, p + S and p + 2·S need but one more register.
    constexpr int kPixels = kRows + 2, kPointers = (kPixels + 2) / 3;
    const float* p[kPointers];
    CURVSEG_UNROLL
    for (int k = 0; k < kPointers; ++k) p[k] = a + 3 * k * a_pixel;
    const float* ahead = prefetch.from;
    for (int l = 0; l < length; ++l, b += Columns, ahead += prefetch.step) {
      prefetch_near(ahead);
      Vector tap[3][kVectors];
      CURVSEG_UNROLL
      for (int s = 0; s < 3; ++s) CURVSEG_UNROLL
      for (int v = 0; v < kVectors; ++v) tap[s][v] = load_vector(b + s * b_tap + v * kLanes);
      CURVSEG_UNROLL
      for (int k = 0; k < kPointers; ++k) {
        CURVSEG_UNROLL
        for (int d = 0; d < 3; ++d) {
          const int pixel = 3 * k + d;
          if (pixel >= kPixels) continue;
          const Vector value = broadcast(p[k][d * a_pixel]);
          CURVSEG_UNROLL
          for (int s = 0; s < 3; ++s) {
            const int i = pixel - s;
            if (i < 0 || i >= kRows) continue;
            CURVSEG_UNROLL
            for (int v = 0; v < kVectors; ++v) acc[i][v] = fma(value, tap[s][v], acc[i][v]);
          }
        }
        // Opaque: compilers would rather keep a pointer for every pixel than add.
        asm("" : "+r"(p[k]));
        ++p[k];
      }
    }
  }
};

/// The accumulators of `Count` block tiles: in the shared struct, since one thread owns them all.
template <class Tile, int Count = 1>
class Accumulators {
 public:
  struct Shared {
    alignas(64) typename Tile::Storage tile[Count * Tile::kMicrotiles];
  };
  explicit Accumulators(Shared& shared) : shared_(shared) {}
  /// A microtile of the first `count` block tiles.
  __forceinline__ void clear(int microtile, int count = Count) {
    std::memset(shared_.tile + microtile * Count, 0,
                sizeof(typename Tile::Storage) * static_cast<std::size_t>(count));
  }
  // A microtile's block tiles side by side: a whole block tile apart, those of narrow layers would
  // meet in few sets of the first-level cache.
  __forceinline__ typename Tile::Storage& at(int microtile, int block_tile = 0) {
    return shared_.tile[microtile * Count + block_tile];
  }

 private:
  Shared& shared_;
};

}  // namespace curvseg::CURVSEG_TARGET
