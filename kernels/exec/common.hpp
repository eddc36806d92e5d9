// Helpers with one text for every target, built on the target's own few names.
#pragma once

namespace curvseg::CURVSEG_TARGET {

/// Thread `threadIdx.x`'s share of [0, n): `for (int i = block_begin(); i < n; i += block_step())`.
__device__ __forceinline__ int block_begin() { return static_cast<int>(threadIdx.x); }
__device__ __forceinline__ int block_step() { return static_cast<int>(blockDim.x); }

constexpr __host__ __device__ std::int64_t divide_up(std::int64_t a, std::int64_t b) {
  return (a + b - 1) / b;
}

constexpr __host__ __device__ int min_of(int a, int b) { return a < b ? a : b; }
constexpr __host__ __device__ int max_of(int a, int b) { return a > b ? a : b; }

/// Adds to a counter in the block's shared struct.
__device__ __forceinline__ void add_in_block(unsigned* counter, unsigned value) {
  if constexpr (kStagedOperands)
    atomicAdd(counter, value);
  else
    *counter += value;  // one thread a block
}

/// Where the first largest of `count` > 0 numbers is, or the first that is not a number.
__device__ __forceinline__ int first_largest_by_one(const float* x, int count) {
  float best = x[0];
  int at = 0;
  for (int i = 1; i < count; ++i) {
    const float value = x[i];
    const bool wins = value > best || (value != value && best == best);
    best = wins ? value : best;
    at = wins ? i : at;
  }
  return at;
}

/// `from` + `floats`, as integers: pointer arithmetic beyond an array is undefined even if the
/// result is never read.
__device__ __forceinline__ const float* displaced(const float* from, std::int64_t floats) {
  // NOLINTNEXTLINE(performance-no-int-to-ptr)
  return reinterpret_cast<const float*>(reinterpret_cast<std::intptr_t>(from) +
                                        floats * static_cast<std::intptr_t>(sizeof(float)));
}

/// The indices of [0, n) that belong to one thread of the grid, in ascending order:
/// `for (const std::int64_t i : grid_range(n))`. Neighbouring lanes of a GPU get neighbouring
/// indices; a block of the host gets one contiguous run, which vectorises.
class IndexRange {
 public:
  class Iterator {
   public:
    __device__ __forceinline__ Iterator(std::int64_t at, std::int64_t step)
        : at_(at), step_(step) {}
    __device__ __forceinline__ std::int64_t operator*() const { return at_; }
    __device__ __forceinline__ Iterator& operator++() {
      at_ += kStagedOperands ? step_ : 1;
      return *this;
    }
    __device__ __forceinline__ bool operator!=(const Iterator& end) const { return at_ < end.at_; }

   private:
    std::int64_t at_, step_;
  };
  __device__ __forceinline__ IndexRange(std::int64_t first, std::int64_t last, std::int64_t step)
      : first_(first), last_(last), step_(step) {}
  __device__ __forceinline__ Iterator begin() const { return {first_, step_}; }
  __device__ __forceinline__ Iterator end() const { return {last_, step_}; }

 private:
  std::int64_t first_, last_, step_;
};

__device__ __forceinline__ IndexRange grid_range(std::int64_t n) {
  if constexpr (kStagedOperands) {
    return {static_cast<std::int64_t>(blockIdx.x) * blockDim.x + threadIdx.x, n,
            static_cast<std::int64_t>(gridDim.x) * blockDim.x};
  } else {
    // n · blocks stays below 2^63: grid_for() never asks for more than kGridBlocks.
    return {n * blockIdx.x / gridDim.x, n * (blockIdx.x + std::int64_t{1}) / gridDim.x, 1};
  }
}

inline constexpr int kGridThreads = kStagedOperands ? 256 : 1;

/// The grid of a kernel that walks grid_range(n); at least one block.
inline dim3 grid_for(std::int64_t n) {
  // GPU: 4 elements a thread and at most 4096 blocks, some 30 a multiprocessor. Host: 16 Ki
  // elements a block, 64 KiB: cheap to start, small enough to balance.
  constexpr std::int64_t kElements = kStagedOperands ? 4 * kGridThreads : 16384;
  constexpr std::int64_t kGridBlocks = kStagedOperands ? 4096 : 65536;
  std::int64_t blocks = divide_up(n, kElements);
  blocks = blocks < 1 ? 1 : blocks < kGridBlocks ? blocks : kGridBlocks;
  return dim3{static_cast<unsigned>(blocks), 1, 1};
}

}  // namespace curvseg::CURVSEG_TARGET
