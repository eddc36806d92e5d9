// The host target: a thread block is one thread that loops, so barriers vanish and every
// cooperative loop runs from its first to its last index. Blocks are spread over cores by OpenMP;
// which block does what never depends on the number of cores, so neither do results.
#pragma once

#include <omp.h>

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <new>
#include <type_traits>

#include "exec/stream.hpp"

#if defined(__AVX2__) || defined(__AVX512F__) || defined(__SSE2__)
#include <immintrin.h>
#endif

#define __global__
#define __device__
#define __host__
#define __launch_bounds__(...)
#define __forceinline__ inline __attribute__((always_inline))
#if defined(__clang__)
#define CURVSEG_UNROLL _Pragma("unroll")
#else
#define CURVSEG_UNROLL _Pragma("GCC unroll 16")
#endif

namespace curvseg::CURVSEG_TARGET {

struct dim3 {
  unsigned x = 1, y = 1, z = 1;
};

namespace {
// One copy per translation unit: the launcher that sets it and the kernel that reads it are always
// in the same one, and nothing is left for the linker to merge across instruction sets.
thread_local dim3 blockIdx;
thread_local dim3 gridDim;
constexpr dim3 threadIdx{0, 0, 0};
constexpr dim3 blockDim{1, 1, 1};
}  // namespace

inline constexpr bool kStagedOperands = false;  // operands are read in place, see Microtile
inline constexpr int kWarpSize = 1;

__forceinline__ void __syncthreads() {}
__forceinline__ void __syncwarp(unsigned = 0xffffffffu) {}

/// Blocks run on several cores. Integers only: their sum does not depend on the order.
__forceinline__ unsigned atomicAdd(unsigned* address, unsigned value) {
  return __atomic_fetch_add(address, value, __ATOMIC_RELAXED);
}
__forceinline__ unsigned long long atomicAdd(unsigned long long* address,
                                             unsigned long long value) {
  return __atomic_fetch_add(address, value, __ATOMIC_RELAXED);
}

/// Memory of the blocks that one worker runs, one after the other: grown, never shrunk.
class BlockArena {
 public:
  BlockArena() = default;
  BlockArena(const BlockArena&) = delete;
  BlockArena& operator=(const BlockArena&) = delete;
  ~BlockArena() { std::free(memory_); }

  bool reserve(std::size_t bytes) {
    if (bytes <= bytes_) return true;
    std::free(memory_);
    memory_ = std::aligned_alloc(kAlignment, (bytes + kAlignment - 1) / kAlignment * kAlignment);
    bytes_ = memory_ ? bytes : 0;
    return memory_ != nullptr;
  }
  void* get() const { return memory_; }

 private:
  static constexpr std::size_t kAlignment = 64;
  void* memory_ = nullptr;
  std::size_t bytes_ = 0;
};

inline BlockArena& block_arena() {
  thread_local BlockArena arena;
  return arena;
}

template <class Shared>
__forceinline__ Shared& block_shared() {
  return *static_cast<Shared*>(block_arena().get());
}

struct NoShared {};

__forceinline__ bool is_aligned(const void* address, unsigned bytes) {
  return reinterpret_cast<std::uintptr_t>(address) % bytes == 0;
}

/// Runs `grid.x * grid.y * grid.z` blocks of `Kernel(params)`, x fastest. Asynchronous by contract,
/// finished on return in fact.
template <auto Kernel, class Shared = NoShared, class Params>
void launch(StreamHandle, dim3 grid, int /*threads*/, const Params& params) {
  const std::int64_t plane = static_cast<std::int64_t>(grid.x) * grid.y;
  const std::int64_t blocks = plane * grid.z;
  // Not inlined: the two loops below share one copy of the kernel.
  const auto run_block = [&](std::int64_t block) __attribute__((noinline)) {
    if (!block_arena().reserve(sizeof(Shared))) return false;
    gridDim = grid;
    blockIdx = {static_cast<unsigned>(block % grid.x),
                static_cast<unsigned>(block % plane / grid.x),
                static_cast<unsigned>(block / plane)};
    Kernel(params);
    return true;
  };
  // An `if` clause would not do: libgomp takes a team of one thread from the heap in every launch.
  if (blocks <= 1 || omp_get_max_threads() == 1) {
    for (std::int64_t block = 0; block < blocks; ++block)
      if (!run_block(block)) throw std::bad_alloc();
    return;
  }
  // Set atomically rather than by a reduction, for which libomp exports a lock from this object.
  bool out_of_memory = false;
  // Neighbouring blocks share what they read and write adjacent memory, so a worker takes runs of
  // them; short enough that workers end together where others use the machine too.
  constexpr std::int64_t kRunsEach = 16;
  const std::int64_t run = (blocks - 1) / (kRunsEach * omp_get_max_threads()) + 1;
#pragma omp parallel
  {
    // By every worker, also one that gets no block: else which later launch takes it from the heap
    // would be chance.
    block_arena().reserve(sizeof(Shared));
#pragma omp for schedule(dynamic, run) nowait
    for (std::int64_t block = 0; block < blocks; ++block)
      // An exception must not cross the OpenMP region.
      if (!run_block(block)) __atomic_store_n(&out_of_memory, true, __ATOMIC_RELAXED);
  }
  if (out_of_memory) throw std::bad_alloc();
}

__forceinline__ float fma(float a, float b, float c) {
#ifdef __FMA__
  return __builtin_fmaf(a, b, c);
#else
  return a * b + c;
#endif
}

/// Copies into the block's shared struct: nothing to overlap with, so they are done at once.
template <int Floats>
__forceinline__ void copy_async(float* to, const float* from, bool valid) {
  for (int i = 0; i < Floats; ++i) to[i] = valid ? from[i] : 0.0f;
}
__forceinline__ void commit_copies() {}
template <int Pending>
__forceinline__ void wait_copies() {}

}  // namespace curvseg::CURVSEG_TARGET

#include "exec/host_tile.hpp"
