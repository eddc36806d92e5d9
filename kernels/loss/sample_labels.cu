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
};

__global__ void __launch_bounds__(kNarrow.threads) narrow_sample_labels_kernel(SampleLabels f) {
  auto& shared = block_shared<NarrowSampleShared>();
  const SoftmaxCrossEntropy& p = f.at;
  const Smoothing smoothing(p);
  const std::uint64_t seed = *f.seed;
  const Span tiles = block_span(divide_up(p.pixels, kNarrow.pixels));
  for (std::int64_t tile = tiles.first; tile < tiles.last; ++tile) {
    const std::int64_t first = tile * kNarrow.pixels;
    const int pixels =
        static_cast<int>(p.pixels - first < kNarrow.pixels ? p.pixels - first : kNarrow.pixels);
    for_each_element(kNarrow.pixels, p.classes, [&](int pixel, int c) {
      shared.value[c][pixel] = pixel < pixels ? p.x[(first + pixel) * p.ldx + c] : 0.0f;
    });
    __syncthreads();
    OwnPixels own;
    find_peaks(p, shared.value, own);
    read_labels(p, first, pixels, shared.value, own);
    sum_exponentials(p, smoothing, shared.value, own);
    float threshold[kOwnPixels], sum[kOwnPixels];
    int sampled[kOwnPixels];  // classes whose running sum is not beyond the threshold
    for (int i = 0; i < kOwnPixels; ++i) {
      threshold[i] = uniform_of_pixel(seed, f.stream, first + own_pixel(i)) * own.sum[i];
      sum[i] = 0.0f;
      sampled[i] = 0;
    }
    for (int c = 0; c < p.classes - 1; ++c)
      for (int i = 0; i < kOwnPixels; ++i) {
        sum[i] += shared.value[c][own_pixel(i)];
        sampled[i] += sum[i] > threshold[i] ? 0 : 1;
      }
    for (int i = 0; i < kOwnPixels; ++i)
      if (own_pixel(i) < pixels)
        f.sampled[first + own_pixel(i)] = own.label[i] >= 0 ? sampled[i] : kIgnoreLabel;
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
