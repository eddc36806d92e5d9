// Labels drawn from a softmax, a class a pixel: with e = exp(x − max x), the first c for which
//
//   Σ_{k≤c} e_k > u·Σ_k e_k,   u = 2^-23 · (word 0 of Philox((pixel, stream), seed[0]) >> 9)
//
// Overwrites. Pixels without a valid label get kIgnoreLabel. u has 23 bits, so that u·Σ e is less
// than Σ e after rounding too: the class is always found, and never one with e = 0. Exponentials,
// and sums in the order of classes, have the same bits on every target, so have the labels.
//
// Tiles and the split by number of classes are those of softmax_tiles.hpp, except that a thread
// takes a pixel whatever the number: sums in order leave a warp nothing to share.
#include "loss/launchers.hpp"
#include "loss/softmax_tiles.hpp"
#include "random/philox.hpp"

namespace curvseg::CURVSEG_TARGET {
namespace {

/// Uniform in [0, 1), a multiple of 2^-23.
__device__ __forceinline__ float uniform_of_pixel(std::uint64_t seed, std::uint64_t stream,
                                                  std::int64_t pixel) {
  const auto low = [](std::uint64_t word) { return static_cast<std::uint32_t>(word); };
  const auto high = [](std::uint64_t word) { return static_cast<std::uint32_t>(word >> 32); };
  const auto counter = static_cast<std::uint64_t>(pixel);
  const Words4 words =
      philox({{low(counter), high(counter), low(stream), high(stream)}}, low(seed), high(seed));
  return static_cast<float>(static_cast<std::int32_t>(words.at[0] >> 9)) * 0x1p-23f;
}

struct NarrowSampleShared {
  NarrowRows value;  // [class][pixel]: logits, then exponentials
  float weights[kNarrow.classes];
  float uniform[kNarrow.pixels];
};

/// Classes whose running sum is not beyond the threshold, for a group of pixels.
__device__ __forceinline__ PixelInts own_samples(const NarrowSampleShared& shared, int classes,
                                                 int at, const OwnPixels& own) {
  const auto uniform = load_group<kPixelLanes>(&shared.uniform[at], kPixelLanes);
  const PixelFloats threshold = uniform * own.sum;
  PixelFloats sum = same_in_lanes(0.0f);
  PixelInts sampled = fill_lanes<kPixelLanes>(0);
  for (int c = 0; c < classes - 1; ++c) {
    sum = sum + load_row(shared.value, c, at);
    sampled =
        sampled + select(threshold < sum, fill_lanes<kPixelLanes>(0), fill_lanes<kPixelLanes>(1));
  }
  return select(own.label > -1, sampled, fill_lanes<kPixelLanes>(kIgnoreLabel));
}

__global__ void __launch_bounds__(kNarrow.threads) narrow_sample_labels_kernel(SampleLabels f) {
  auto& shared = block_shared<NarrowSampleShared>();
  const SoftmaxCrossEntropy& p = f.at;
  Smoothing smoothing(p);
  read_class_weights(p, smoothing, shared.weights);
  const std::uint64_t seed = *f.seed;
  const Span tiles = block_span(divide_up(p.pixels, kNarrow.pixels));
  for (std::int64_t i = tiles.first; i < tiles.last; ++i) {
    const PixelTile tile(p, i);
    const TilePrefetch prefetch{tile.next(p.x, p.ldx), nullptr, nullptr};
    load_tile(tile, p.x, p.ldx, p.classes, shared.value);
    for (int pixel = block_begin(); pixel < kNarrow.pixels; pixel += block_step())
      shared.uniform[pixel] = uniform_of_pixel(seed, f.stream, tile.first + pixel);
    __syncthreads();
    for_each_group([&](int at) {
      const OwnPixels own =
          own_exponentials(p, smoothing, shared.weights, tile, at, prefetch, shared.value);
      store_group(f.sampled + tile.first + at, own_samples(shared, p.classes, at, own),
                  tile.pixels - at);
    });
    __syncthreads();  // before the next tile overwrites this one
  }
}

/// Calls f(c, exp(x[c] − peak)) for ascending c until it returns false.
template <class Function>
__device__ __forceinline__ void for_each_exponential(const float* x, int classes, float peak,
                                                     const Function& f) {
  constexpr int kParallel = kStagedOperands ? 1 : 32;  // the host's exponentials vectorise
  for (int first = 0; first < classes; first += kParallel) {
    const int count = min_of(classes - first, kParallel);
    float e[kParallel];
    for (int j = 0; j < count; ++j) e[j] = exp_float(x[first + j] - peak);
    for (int j = 0; j < count; ++j)
      if (!f(first + j, e[j])) return;
  }
}

__global__ void __launch_bounds__(kGridThreads) wide_sample_labels_kernel(SampleLabels f) {
  const SoftmaxCrossEntropy& p = f.at;
  const std::uint64_t seed = *f.seed;
  for (const std::int64_t pixel : grid_range(p.pixels)) {
    const std::int32_t label = p.labels[pixel];
    if (label < 0 || label >= p.classes) {
      f.sampled[pixel] = kIgnoreLabel;
      continue;
    }
    const float* x = p.x + pixel * p.ldx;
    float peak = x[0];
    for (int c = 1; c < p.classes; ++c) peak = x[c] > peak ? x[c] : peak;
    float all = 0.0f;
    for_each_exponential(x, p.classes, peak, [&](int, float e) {
      all += e;
      return true;
    });
    const float threshold = uniform_of_pixel(seed, f.stream, pixel) * all;
    float sum = 0.0f;
    int sampled = p.classes - 1;  // for logits that are NaN
    for_each_exponential(x, p.classes, peak, [&](int c, float e) {
      sum += e;
      const bool found = sum > threshold;
      if (found) sampled = c;
      return !found;
    });
    f.sampled[pixel] = sampled;
  }
}

}  // namespace

void sample_labels(StreamHandle stream, const SampleLabels& params) {
  SampleLabels f = params;
  f.at.class_weights = nullptr;  // the model knows nothing of either
  f.at.label_smoothing = 0.0f;
  if (f.at.pixels == 0 || f.at.classes <= 0) return;
  if (f.at.classes <= kNarrow.classes)
    launch<narrow_sample_labels_kernel, NarrowSampleShared>(
        stream, dim3{static_cast<unsigned>(cross_entropy_blocks(f.at)), 1, 1}, kNarrow.threads, f);
  else
    launch<wide_sample_labels_kernel>(stream, grid_for(f.at.pixels), kGridThreads, f);
}

}  // namespace curvseg::CURVSEG_TARGET
