// Bilinear resizing an axis at a time, for one thread a block: rows of a strip of columns are
// resized across once, into the first-level cache, and up or down in vectors that do not care how
// few channels there are. A GPU's threads would wait for each other at every row; they compute each
// element for itself (bilinear.cu).
//
//   forward:   t[h] = C·x[h] for the two rows h that output row p reads;  y[p] = Σ_h R(p,h)·t[h]
//   backward:  s = Σ_p R(p,h)·dy[p] for the output rows p that read input row h;  dx[h] = Cᵀ·s
#pragma once

#include "exec/pixel_walk.hpp"
#include "pool/gradient_epilogue.hpp"
#include "resize/resize.hpp"
#include "resize/resize_axis.hpp"

namespace curvseg::CURVSEG_TARGET {

inline constexpr int kRowFloats = 2048;     // 8 KiB: a few of them fit a first-level cache
inline constexpr int kMostRowReaders = 64;  // beyond, weights would be most of what is read

template <class Operation>
struct BilinearParams {
  Operation operation;
  ResizeAxis rows, columns;
  ImageWalkPlan walk;
};

/// f(e, count) for `elements` adjacent numbers where pixels leave no gap, else pixel by pixel.
template <int kWidth, class F>
__device__ __forceinline__ void for_each_in_row(bool dense, int pixels, int channels, const F& f) {
  if (dense) return for_each_run<kWidth>(pixels * channels, f);
  for (int pixel = 0; pixel < pixels; ++pixel)
    for_each_run<kWidth>(channels, [&](int c, auto count) { f(pixel * channels + c, count); });
}

// ---- forward -----------------------------------------------------------------------------------

struct ForwardRowShared {
  float row[2][kRowFloats];
  int left[kRowFloats], right[kRowFloats];  // where an element's neighbours are in a row of x
  float fraction[kRowFloats];
};

/// Output columns of a strip.
constexpr int forward_strip(int channels) { return kRowFloats / channels; }

__device__ __forceinline__ void place_columns(const BilinearParams<BilinearForward>& p, int first,
                                              int columns, ForwardRowShared& shared) {
  const BilinearForward& f = p.operation;
  const int channels = f.problem.c;
  for (int q = 0; q < columns; ++q) {
    const ResizeSample sample = p.columns.sample(first + q);
    const int left = sample.index * static_cast<int>(f.ldx);
    // Where the weight is 0 the neighbour may lie outside: the element itself stands in for it.
    const int right = left + (sample.fraction != 0.0f ? static_cast<int>(f.ldx) : 0);
    for (int c = 0; c < channels; ++c) {
      shared.left[q * channels + c] = left + c;
      shared.right[q * channels + c] = right + c;
      shared.fraction[q * channels + c] = sample.fraction;
    }
  }
}

/// Rows of x, resized across: the last one of either parity.
class HeldRows {
 public:
  __device__ __forceinline__ HeldRows(const BilinearParams<BilinearForward>& p, int elements,
                                      ForwardRowShared& shared)
      : p_(p), elements_(elements), shared_(shared) {}

  __device__ __forceinline__ const float* operator()(std::int64_t row) {
    float* const held = shared_.row[row % 2];
    if (holds_[row % 2] != row) {
      const float* const x = p_.operation.x + row * p_.columns.in() * p_.operation.ldx;
      for (int e = 0; e < elements_; ++e) {
        const float fraction = shared_.fraction[e];
        held[e] = (1.0f - fraction) * x[shared_.left[e]] + fraction * x[shared_.right[e]];
      }
      holds_[row % 2] = row;
    }
    return held;
  }

 private:
  const BilinearParams<BilinearForward>& p_;
  int elements_;
  ForwardRowShared& shared_;
  std::int64_t holds_[2] = {-1, -1};
};

template <int kWidth>
__global__ void bilinear_forward_rows_kernel(BilinearParams<BilinearForward> p) {
  auto& shared = block_shared<ForwardRowShared>();
  const BilinearForward& f = p.operation;
  const int channels = f.problem.c;
  const int strip = forward_strip(channels);
  for (int first = 0; first < p.columns.out(); first += strip) {
    const int columns = min_of(strip, p.columns.out() - first);
    place_columns(p, first, columns, shared);
    HeldRows held(p, columns * channels, shared);
    for (ImageWalk<kWidth> at(p.walk); at.valid(); at.advance()) {
      const ResizeSample row = p.rows.sample(at.row());
      const std::int64_t above = static_cast<std::int64_t>(at.image()) * p.rows.in() + row.index;
      const float* const x0 = held(above);
      const float* const x1 = held(above + (row.fraction != 0.0f ? 1 : 0));
      const float up_weight = 1.0f - row.fraction;
      const std::int64_t line = static_cast<std::int64_t>(at.image()) * p.rows.out() + at.row();
      float* const y = f.y + (line * p.columns.out() + first) * f.ldy;
      for_each_in_row<kWidth>(f.ldy == channels, columns, channels, [&](int e, auto count) {
        const auto value = up_weight * load_lanes<kWidth>(x0 + e, count) +
                           row.fraction * load_lanes<kWidth>(x1 + e, count);
        const std::int64_t gap = f.ldy == channels ? 0 : e / channels * (f.ldy - channels);
        store_lanes(y + gap + e, value, count);
      });
    }
  }
}

// ---- backward ----------------------------------------------------------------------------------

struct BackwardRowShared {
  float row[kRowFloats];         // s
  float gradient[kRowFloats];    // dx
  float across[2 * kRowFloats];  // weights of the readers of column 0, then of column 1, …
  int first[kRowFloats], count[kRowFloats];  // readers of a column, from those of the strip on
  float down[kMostRowReaders];
};

/// Input columns [first, last) of a strip and the output columns from `read` on that read them.
struct ColumnStrip {
  int first, last;
  int read, reads;
};

/// A strip from `first` on, as wide as it may be, and its weights.
__device__ __forceinline__ ColumnStrip place_strip(const BilinearParams<BilinearBackward>& p,
                                                   int first, BackwardRowShared& shared) {
  const int channels = p.operation.problem.c;
  const int most = kRowFloats / channels;
  ColumnStrip strip{first, first, p.columns.readers(first).first, 0};
  int weights = 0;
  for (; strip.last < p.columns.in() && strip.last - first < most; ++strip.last) {
    const ResizeReaders readers = p.columns.readers(strip.last);
    const int reads = readers.first + readers.count - strip.read;
    if (reads > most || weights + readers.count > 2 * kRowFloats) break;
    strip.reads = max_of(strip.reads, reads);
    const int column = strip.last - first;
    shared.first[column] = readers.first - strip.read;
    shared.count[column] = readers.count;
    ResizeWeights across(p.columns, readers, strip.last);
    for (int j = 0; j < readers.count; ++j, across.advance())
      shared.across[weights++] = across.value();
  }
  return strip;
}

/// Whether a strip has a column at least, wherever it begins.
inline bool rows_fit(const ResizeAxis& rows, const ResizeAxis& columns, int channels) {
  const auto readers = [](const ResizeAxis& axis) {  // at most
    return 2 * divide_up(axis.out(), axis.in()) + 2;
  };
  return readers(rows) <= kMostRowReaders && readers(columns) * channels <= kRowFloats;
}

template <int kWidth>
__device__ __forceinline__ void reduce_down(const BilinearParams<BilinearBackward>& p,
                                            const ColumnStrip& strip, int image, int h,
                                            BackwardRowShared& shared) {
  const BilinearBackward& f = p.operation;
  const int channels = f.problem.c;
  const ResizeReaders rows = p.rows.readers(h);
  ResizeWeights down(p.rows, rows, h);
  for (int i = 0; i < rows.count; ++i, down.advance()) shared.down[i] = down.value();
  const std::int64_t first_row = static_cast<std::int64_t>(image) * p.rows.out() + rows.first;
  const std::int64_t stride = p.columns.out() * f.ldy;
  const float* const dy = f.dy + first_row * stride + strip.read * f.ldy;
  for_each_in_row<kWidth>(f.ldy == channels, strip.reads, channels, [&](int e, auto count) {
    const std::int64_t gap = f.ldy == channels ? 0 : e / channels * (f.ldy - channels);
    auto sum = fill_lanes<kWidth>(0.0f);
    for (int i = 0; i < rows.count; ++i)
      sum = sum + shared.down[i] * load_lanes<kWidth>(dy + i * stride + gap + e, count);
    store_lanes(shared.row + e, sum, count);
  });
}

template <int kWidth>
__device__ __forceinline__ void reduce_across(const ColumnStrip& strip, int channels,
                                              BackwardRowShared& shared) {
  const float* weights = shared.across;
  for (int w = 0; w < strip.last - strip.first; weights += shared.count[w], ++w) {
    const float* const row = shared.row + shared.first[w] * channels;
    const int readers = shared.count[w];
    float* const gradient = shared.gradient + w * channels;
    if (channels < kWidth) {
      for (int c = 0; c < channels; ++c) {
        float sum = 0.0f;
        for (int j = 0; j < readers; ++j) sum += weights[j] * row[j * channels + c];
        gradient[c] = sum;
      }
    } else {
      for_each_run<kWidth>(channels, [&](int c, auto count) {
        auto sum = fill_lanes<kWidth>(0.0f);
        for (int j = 0; j < readers; ++j)
          sum = sum + weights[j] * load_lanes<kWidth>(row + j * channels + c, count);
        store_lanes(gradient + c, sum, count);
      });
    }
  }
}

template <int kWidth>
__global__ void bilinear_backward_rows_kernel(BilinearParams<BilinearBackward> p) {
  auto& shared = block_shared<BackwardRowShared>();
  const BilinearBackward& f = p.operation;
  const int channels = f.problem.c;
  const bool dense =
      f.ldx == channels && (f.epilogue.mask == nullptr || f.epilogue.ld_mask == channels);
  for (int first = 0; first < p.columns.in();) {
    const ColumnStrip strip = place_strip(p, first, shared);
    for (ImageWalk<kWidth> at(p.walk); at.valid(); at.advance()) {
      reduce_down<kWidth>(p, strip, at.image(), at.row(), shared);
      reduce_across<kWidth>(strip, channels, shared);
      const std::int64_t line = static_cast<std::int64_t>(at.image()) * p.rows.in() + at.row();
      const std::int64_t pixel = line * p.columns.in() + strip.first;
      for_each_in_row<kWidth>(dense, strip.last - strip.first, channels, [&](int e, auto count) {
        const int w = dense ? 0 : e / channels;
        const int c = dense ? e : e % channels;
        const auto gradient = load_lanes<kWidth>(shared.gradient + e, count);
        store_gradient(f.epilogue, gradient, f.dx + (pixel + w) * f.ldx + c, pixel + w, c, count);
      });
    }
    first = strip.last;
  }
}

}  // namespace curvseg::CURVSEG_TARGET
