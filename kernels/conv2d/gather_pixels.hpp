// The pixels of a gather's block tile: where each is written and where its source window begins.
// Three layouts with one interface, as the loaders want them:
//
//   StagedGatherPixels   a record a pixel; each thread places its own (GPU block shapes)
//   InPlaceGatherPixels  arrays, placed a microtile at a time: most microtiles lie within one line
//                        of the output, and then all their positions follow from the first (host)
//
//   LineGatherPixels     a record a microtile, whose pixels lie in one line of the output; the last
//                        microtile of a line may have fewer (host, windows)
//
//   count(n, rows, columns)           rows of all block tiles of one phase: pixels, with the line
//                                     layout those that are missing at the ends of lines too
//   locate(p, rows, columns, first)   for rows first, first + 1, … of one phase
//   out(i)                            index in the output tensor, -1 beyond the last pixel
//   kRuns, run(g)                     where a microtile is placed as a whole: its outputs as a run,
//                                     of none if they are none
#pragma once

#include <type_traits>

#include "conv2d/conv2d.hpp"
#include "conv2d/pixel_cursor.hpp"
#include "conv2d/tiles.hpp"
#include "exec/exec.hpp"

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

__device__ __forceinline__ GatherPixel gather_pixel(const Conv2dGather& p, const GatherAxis& rows,
                                                    const GatherAxis& columns,
                                                    const PixelCursor& cursor) {
  if (!cursor.valid()) return {-1, 0, kOutside, kOutside};
  const bool forward = p.direction == Conv2dDirection::kForward;
  const int out_h = forward ? p.problem.p : p.problem.h;
  const int out_w = forward ? p.problem.q : p.problem.w;
  const int y = rows.out_start + cursor.row() * rows.out_step;
  const int x = columns.out_start + cursor.column() * columns.out_step;
  return {(static_cast<std::int64_t>(cursor.image()) * out_h + y) * out_w + x, cursor.image(),
          cursor.row() * rows.source_step + rows.source_offset,
          cursor.column() * columns.source_step + columns.source_offset};
}

/// Outputs at out, out + step, …
struct PixelRun {
  std::int64_t out;
  int step, count;
};

/// `floats` of memory at `count` places, `distance` apart.
struct PlacesToAsk {
  const float* first = nullptr;
  std::int64_t distance = 0;
  int count = 0, floats = 0;
};
/// What storing a run of pixels touches.
struct StoredRun {
  PlacesToAsk out, mask;
};

/// Outputs of one phase.
inline __host__ __device__ std::int64_t phase_pixels(int n, const GatherAxis& rows,
                                                     const GatherAxis& columns) {
  return static_cast<std::int64_t>(n) * rows.outputs * columns.outputs;
}

template <int kPixels>
class StagedGatherPixels {
 public:
  static constexpr bool kRuns = false;
  static __host__ __device__ std::int64_t count(int n, const GatherAxis& rows,
                                                const GatherAxis& columns) {
    return phase_pixels(n, rows, columns);
  }
  __device__ void locate(const Conv2dGather& p, const GatherAxis& rows, const GatherAxis& columns,
                         std::int64_t first) {
    PixelCursor cursor(first + block_begin(), p.problem.n, rows.outputs, columns.outputs);
    for (int i = block_begin(); i < kPixels; i += block_step(), cursor.advance(block_step()))
      at_[i] = gather_pixel(p, rows, columns, cursor);
  }
  __device__ std::int64_t out(int i) const { return at_[i].out; }
  __device__ const GatherPixel& at(int i) const { return at_[i]; }

 private:
  GatherPixel at_[kPixels];
};

template <int kPixels, int kGroup>  // pixels of the block tile, of a microtile
class InPlaceGatherPixels {
 public:
  static constexpr bool kRuns = true;
  static __host__ __device__ std::int64_t count(int n, const GatherAxis& rows,
                                                const GatherAxis& columns) {
    return phase_pixels(n, rows, columns);
  }

  /// Source positions of tap (0, 0) over the pixels of one microtile; `count` of them exist.
  struct Extent {
    int count;
    int first_row, last_row, first_column, last_column;
  };

  __device__ void locate(const Conv2dGather& p, const GatherAxis& rows, const GatherAxis& columns,
                         std::int64_t first) {
    PixelCursor cursor(first, p.problem.n, rows.outputs, columns.outputs);
    for (int g = 0; g < kPixels / kGroup; ++g) {
      const GatherPixel pixel = gather_pixel(p, rows, columns, cursor);
      if (cursor.valid() && cursor.column() + kGroup <= columns.outputs) {
        place_line(g, rows, columns, pixel);
        cursor.advance(kGroup);
      } else {
        place_each(g, p, rows, columns, cursor);
      }
    }
  }

  __device__ std::int64_t out(int i) const { return out_[i]; }
  __device__ PixelRun run(int group) const { return run_[group]; }
  /// Index of the source pixel of tap (0, 0), in bounds or not.
  __device__ std::int64_t source(int i) const { return source_[i]; }
  __device__ int row(int i) const { return row_[i]; }
  __device__ int column(int i) const { return column_[i]; }
  __device__ const Extent& extent(int group) const { return extent_[group]; }

 private:
  static __device__ std::int64_t source_index(const GatherAxis& rows, const GatherAxis& columns,
                                              const GatherPixel& pixel) {
    return (static_cast<std::int64_t>(pixel.image) * rows.source_extent + pixel.row) *
               columns.source_extent +
           pixel.column;
  }

  __device__ void place_line(int g, const GatherAxis& rows, const GatherAxis& columns,
                             const GatherPixel& pixel) {
    const std::int64_t source = source_index(rows, columns, pixel);
    CURVSEG_UNROLL
    for (int i = 0; i < kGroup; ++i) {
      out_[g * kGroup + i] = pixel.out + i * columns.out_step;
      source_[g * kGroup + i] = source + i * columns.source_step;
      row_[g * kGroup + i] = pixel.row;
      column_[g * kGroup + i] = pixel.column + i * columns.source_step;
    }
    run_[g] = {pixel.out, columns.out_step, kGroup};
    extent_[g] = {kGroup, pixel.row, pixel.row, pixel.column,
                  pixel.column + (kGroup - 1) * columns.source_step};
  }

  __device__ void place_each(int g, const Conv2dGather& p, const GatherAxis& rows,
                             const GatherAxis& columns, PixelCursor& cursor) {
    GatherPixel pixel = gather_pixel(p, rows, columns, cursor);
    Extent e{0, pixel.row, pixel.row, pixel.column, pixel.column};
    for (int i = g * kGroup; i < (g + 1) * kGroup; ++i, cursor.advance(1)) {
      if (cursor.valid()) {
        pixel = gather_pixel(p, rows, columns, cursor);
        ++e.count;
        e.first_row = min_of(e.first_row, pixel.row);
        e.last_row = max_of(e.last_row, pixel.row);
        e.first_column = min_of(e.first_column, pixel.column);
        e.last_column = max_of(e.last_column, pixel.column);
        out_[i] = pixel.out;
      } else {
        out_[i] = -1;  // never stored; it reads what the last pixel reads
      }
      source_[i] = source_index(rows, columns, pixel);
      row_[i] = pixel.row;
      column_[i] = pixel.column;
    }
    run_[g] = {-1, 0, 0};
    extent_[g] = e;
  }

  std::int64_t out_[kPixels];
  std::int64_t source_[kPixels];
  int row_[kPixels], column_[kPixels];
  Extent extent_[kPixels / kGroup];
  PixelRun run_[kPixels / kGroup];
};

template <int kPixels, int kGroup>
class LineGatherPixels {
 public:
  /// `out` of the first of `count` pixels of a microtile, and where the first window begins.
  struct Group {
    std::int64_t out;
    int count, image, row, column;
  };
  static constexpr bool kRuns = true;

  static __host__ __device__ std::int64_t count(int n, const GatherAxis& rows,
                                                const GatherAxis& columns) {
    return static_cast<std::int64_t>(n) * rows.outputs * groups(columns) * kGroup;
  }

  __device__ void locate(const Conv2dGather& p, const GatherAxis& rows, const GatherAxis& columns,
                         std::int64_t first) {
    out_step_ = columns.out_step;
    // A column of this cursor is a microtile.
    PixelCursor cursor(first / kGroup, p.problem.n, rows.outputs, groups(columns));
    for (Group& group : group_) {
      group = {-1, 0, 0, 0, 0};
      if (cursor.valid()) {
        const int column = cursor.column() * kGroup;
        const GatherPixel pixel =
            gather_pixel(p, rows, columns,
                         PixelCursor(cursor.image(), cursor.row(), column, p.problem.n,
                                     rows.outputs, columns.outputs));
        group = {pixel.out, min_of(columns.outputs - column, kGroup), pixel.image, pixel.row,
                 pixel.column};
        cursor.advance(1);
      }
    }
  }

  __device__ std::int64_t out(int i) const {
    const Group& group = group_[i / kGroup];
    return i % kGroup < group.count ? group.out + i % kGroup * out_step_ : -1;
  }
  __device__ PixelRun run(int i) const { return {group_[i].out, out_step_, group_[i].count}; }
  __device__ const Group& group(int i) const { return group_[i]; }

 private:
  static __host__ __device__ int groups(const GatherAxis& columns) {
    return static_cast<int>(divide_up(columns.outputs, kGroup));
  }

  Group group_[kPixels / kGroup];
  int out_step_;
};

template <class Shape>
using HostGatherPixels =
    std::conditional_t<kIsWindow<Shape> || kIsLine<Shape>,
                       LineGatherPixels<Shape::kTile.pixels, Shape::kTile.rows>,
                       InPlaceGatherPixels<Shape::kTile.pixels, Shape::kTile.rows>>;
template <class Shape>
using GatherPixels = std::conditional_t<kStagedOperands, StagedGatherPixels<Shape::kTile.pixels>,
                                        HostGatherPixels<Shape>>;

}  // namespace curvseg::CURVSEG_TARGET
