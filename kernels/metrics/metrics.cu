// Predictions and their confusion with the truth:
//
//   label[p] = argmax_c x[p, c]                                    overwrites
//   matrix[t, c] += #{p : truth[p] = t and prediction[p] = c}      accumulates
//
// Of equal values the first wins, and the first NaN wins over every number (as torch.argmax).
// Labels outside [0, classes) are left out. Counts are integers, so atomic additions in any order
// give the same matrix.
#include "exec/exec.hpp"
#include "metrics/launchers.hpp"

namespace curvseg::CURVSEG_TARGET {
namespace {

__device__ __forceinline__ bool is_nan(float value) { return value != value; }

__global__ void argmax_kernel(Argmax p) {
  for (const std::int64_t pixel : grid_range(p.pixels)) {
    const float* x = p.x + pixel * p.ldx;
    float best = x[0];
    int label = 0;
    for (int c = 1; c < p.classes; ++c) {
      const float value = x[c];
      const bool wins = value > best || (is_nan(value) && !is_nan(best));
      best = wins ? value : best;
      label = wins ? c : label;
    }
    p.label[pixel] = label;
  }
}

struct ConfusionTile {
  int threads;
  std::int64_t pixels;  // of a block: many, so that emptying its table is a small part of the work
  int classes;          // whose table fits the shared struct
};
constexpr ConfusionTile kTile =
    kStagedOperands ? ConfusionTile{256, 8192, 32} : ConfusionTile{1, 65536, 32};

struct ConfusionShared {
  // A block has fewer than 2^32 pixels: it would take 2^42 of them, 16 TiB of labels, to have more.
  unsigned count[kTile.classes * kTile.classes];
};

/// The position of pixel's pair in the matrix, or −1.
__device__ __forceinline__ std::int64_t pair_of(const ConfusionMatrix& p, std::int64_t pixel) {
  const std::int64_t truth = p.truth[pixel];
  const std::int64_t prediction = p.prediction[pixel];
  const bool inside = truth >= 0 && truth < p.classes && prediction >= 0 && prediction < p.classes;
  return inside ? truth * p.classes + prediction : -1;
}

/// Few classes: a block counts in its own table first, since all pixels meet in few counters.
__global__ void confusion_matrix_kernel(ConfusionMatrix p) {
  unsigned* count = block_shared<ConfusionShared>().count;
  const int pairs = p.classes * p.classes;
  for (int i = block_begin(); i < pairs; i += block_step()) count[i] = 0;
  __syncthreads();
  for (const std::int64_t pixel : grid_range(p.pixels)) {
    const std::int64_t pair = pair_of(p, pixel);
    if (pair >= 0) atomicAdd(&count[pair], 1u);
  }
  __syncthreads();
  for (int i = block_begin(); i < pairs; i += block_step())
    if (count[i] != 0) atomicAdd(&p.matrix[i], static_cast<unsigned long long>(count[i]));
}

/// Many classes: pixels spread over many counters by themselves.
__global__ void wide_confusion_matrix_kernel(ConfusionMatrix p) {
  for (const std::int64_t pixel : grid_range(p.pixels)) {
    const std::int64_t pair = pair_of(p, pixel);
    if (pair >= 0) atomicAdd(&p.matrix[pair], 1ull);
  }
}

}  // namespace

void argmax(StreamHandle stream, const Argmax& p) {
  if (p.pixels == 0 || p.classes == 0) return;
  launch<argmax_kernel>(stream, grid_for(p.pixels), kGridThreads, p);
}

void confusion_matrix(StreamHandle stream, const ConfusionMatrix& p) {
  if (p.pixels == 0 || p.classes == 0) return;
  constexpr std::int64_t kBlocks = 1024;
  const std::int64_t blocks = divide_up(p.pixels, kTile.pixels);
  const dim3 grid{static_cast<unsigned>(blocks < kBlocks ? blocks : kBlocks), 1, 1};
  if (p.classes <= kTile.classes)
    launch<confusion_matrix_kernel, ConfusionShared>(stream, grid, kTile.threads, p);
  else
    launch<wide_confusion_matrix_kernel>(stream, grid, kTile.threads, p);
}

}  // namespace curvseg::CURVSEG_TARGET
