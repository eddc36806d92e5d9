// Predictions and their confusion with the truth:
//
//   label[p] = argmax_c x[p, c]                                    overwrites
//   matrix[t, c] += #{p : truth[p] = t and prediction[p] = c}      accumulates
//
// Of equal values the first wins, and the first NaN wins over every number (as torch.argmax).
// Labels outside [0, classes) are left out. Counts are integers, so atomic additions in any order
// give the same matrix.
#include "exec/lanes.hpp"
#include "metrics/launchers.hpp"

namespace curvseg::CURVSEG_TARGET {
namespace {

__global__ void argmax_kernel(Argmax p) {
  for (const std::int64_t pixel : grid_range(p.pixels))
    p.label[pixel] = first_largest(p.x + pixel * p.ldx, p.classes);
}

struct ConfusionTile {
  int threads;
  std::int64_t pixels;  // of a block: many, so that emptying its table is a small part of the work
  int classes;          // whose table fits the shared struct
  int tables;  // neighbours mostly meet in one counter: one thread adds to several in turn,
               // so that it need not wait for its last addition
};
constexpr ConfusionTile kTile =
    kStagedOperands ? ConfusionTile{256, 8192, 32, 1} : ConfusionTile{1, 65536, 32, 4};

struct ConfusionShared {
  // A block has fewer than 2^32 pixels: it would take 2^42 of them, 16 TiB of labels, to have more.
  unsigned count[kTile.tables][kTile.classes * kTile.classes];
};

/// The position of pixel's pair in the matrix, or −1.
__device__ __forceinline__ std::int64_t pair_of(const ConfusionMatrix& p, std::int64_t pixel) {
  // Negative labels are beyond all classes as well.
  const auto truth = static_cast<unsigned>(p.truth[pixel]);
  const auto prediction = static_cast<unsigned>(p.prediction[pixel]);
  const auto classes = static_cast<unsigned>(p.classes);
  return truth < classes && prediction < classes
             ? static_cast<std::int64_t>(truth) * classes + prediction
             : -1;
}

/// Few classes: a block counts in its own table first, since all pixels meet in few counters.
__global__ void confusion_matrix_kernel(ConfusionMatrix p) {
  auto& count = block_shared<ConfusionShared>().count;
  const int pairs = p.classes * p.classes;
  for (auto& table : count)
    for (int i = block_begin(); i < pairs; i += block_step()) table[i] = 0;
  __syncthreads();
  for (const std::int64_t pixel : grid_range(p.pixels)) {
    const std::int64_t pair = pair_of(p, pixel);
    if (pair >= 0) add_in_block(&count[pixel & (kTile.tables - 1)][pair], 1u);
  }
  __syncthreads();
  for (int i = block_begin(); i < pairs; i += block_step()) {
    unsigned long long sum = 0;
    for (const auto& table : count) sum += table[i];
    if (sum != 0) atomicAdd(&p.matrix[i], sum);
  }
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
