// The host target: a thread block is one thread that loops, so barriers vanish and every
// cooperative loop runs from its first to its last index. Blocks are spread over cores by OpenMP;
// which block does what never depends on the number of cores, so neither do results.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <new>

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
  bool out_of_memory = false;
#pragma omp parallel for schedule(dynamic) if (blocks > 1) reduction(|| : out_of_memory)
  for (std::int64_t block = 0; block < blocks; ++block) {
    if (!block_arena().reserve(sizeof(Shared))) {
      out_of_memory = true;  // an exception must not cross the OpenMP region
      continue;
    }
    gridDim = grid;
    blockIdx = {static_cast<unsigned>(block % grid.x),
                static_cast<unsigned>(block % plane / grid.x),
                static_cast<unsigned>(block / plane)};
    Kernel(params);
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

// ---- SIMD register tile ------------------------------------------------------------------------

#if defined(__AVX512F__)
inline constexpr int kLanes = 16;
inline constexpr int kTileRows = 12;  // 24 accumulators, 2 operands, 6 registers to spare of 32
#elif defined(__AVX__)
inline constexpr int kLanes = 8;
inline constexpr int kTileRows = 6;  // 12 accumulators, 2 operands, 1 broadcast of 16 registers
#else
inline constexpr int kLanes = 4;
inline constexpr int kTileRows = 6;
#endif
inline constexpr int kTileVectors = 2;
inline constexpr int kTileColumns = kTileVectors * kLanes;

typedef float Vector __attribute__((vector_size(kLanes * sizeof(float))));
typedef float UnalignedVector
    __attribute__((vector_size(kLanes * sizeof(float)), aligned(4), may_alias));

__forceinline__ Vector load_vector(const float* from) {
  return *reinterpret_cast<const UnalignedVector*>(from);
}
__forceinline__ void store_vector(float* to, Vector value) {
  *reinterpret_cast<UnalignedVector*>(to) = value;
}
__forceinline__ Vector broadcast(float value) {
  return value - Vector{};  // minus zero is exact for every value, plus zero is not
}
__forceinline__ Vector fma(Vector a, Vector b, Vector c) {
#if defined(__AVX512F__)
  return _mm512_fmadd_ps(a, b, c);
#elif defined(__FMA__)
  return _mm256_fmadd_ps(a, b, c);
#else
  return a * b + c;
#endif
}

/// A block tile of `BlockRows` x `BlockColumns` accumulators, made of microtiles of kTileRows x
/// kTileColumns. A microtile is in registers for the length of one multiply; between multiplies it
/// lies in the block's shared struct, that is, in the first-level cache.
///
///   multiply_rows :  acc[i][j] += Σ_l rows[i][l] · b[l][j]      (rows of a: contiguous in l)
///   multiply_outer:  acc[i][j] += Σ_l a[l][i]    · b[l][j]      (a: contiguous in i)
template <int BlockRows, int BlockColumns>
struct BlockTile {
  static_assert(BlockRows % kTileRows == 0 && BlockColumns % kTileColumns == 0,
                "a block tile is made of whole microtiles");
  using Storage = float[kTileRows * kTileColumns];
  static constexpr int kRows = kTileRows;
  static constexpr int kGroups = 1;  // of adjacent columns
  static constexpr int kGroupColumns = kTileColumns;
  static constexpr int kAcross = BlockColumns / kTileColumns;
  static constexpr int kMicrotiles = BlockRows / kTileRows * kAcross;

  static constexpr int row(int microtile, int i) { return microtile / kAcross * kTileRows + i; }
  static constexpr int column(int microtile, int) { return microtile % kAcross * kTileColumns; }

  /// Runs of `length` adjacent elements of each row of a, and where the rows of b for them begin:
  /// `rows` x `columns` of them, a step apart. Rows of b are kTileColumns long.
  struct Runs {
    int rows;
    std::ptrdiff_t a_row, b_row;
    int columns;
    std::ptrdiff_t a_column, b_column;
    int length;
  };
  /// acc[i][:] += Σ_runs Σ_l row[i][offset + run + l] · b[run + l·kTileColumns + :]
  //
  // Never inlined: it needs every general register for its row pointers, and a caller's variables
  // among them cost a reload a step, a tenth of the speed.
  static __attribute__((noinline)) void multiply_rows(Storage& storage, const float* const* row,
                                                      std::ptrdiff_t offset, const Runs& runs,
                                                      const float* b) {
    const float* a[kTileRows];
    CURVSEG_UNROLL
    for (int i = 0; i < kTileRows; ++i) a[i] = row[i] + offset;
    Vector acc[kTileRows][kTileVectors];
    load(acc, storage);
    const std::ptrdiff_t next_row = runs.a_row - runs.columns * runs.a_column;
    for (int r = runs.rows; r > 0; --r) {
      const float* run = b;
      for (int c = runs.columns; c > 0; --c) {
        multiply_run(acc, a, run, runs.length);
        CURVSEG_UNROLL
        for (int i = 0; i < kTileRows; ++i) a[i] += runs.a_column;
        run += runs.b_column;
      }
      CURVSEG_UNROLL
      for (int i = 0; i < kTileRows; ++i) a[i] += next_row;
      b += runs.b_row;
    }
    store(storage, acc);
  }

  /// The same over `count` runs that begin at table[run][i].
  struct TableRuns {
    int count;
    std::ptrdiff_t b_step;
    int length;
  };
  static __attribute__((noinline)) void multiply_table(Storage& storage,
                                                       const float* const (*table)[kTileRows],
                                                       const TableRuns& runs, const float* b) {
    Vector acc[kTileRows][kTileVectors];
    load(acc, storage);
    for (int run = 0; run < runs.count; ++run, b += runs.b_step) {
      const float* a[kTileRows];
      CURVSEG_UNROLL
      for (int i = 0; i < kTileRows; ++i) a[i] = table[run][i];
      multiply_run(acc, a, b, runs.length);
    }
    store(storage, acc);
  }

  /// acc[i][:] += Σ_l a[l·lda + i] · b[l·ldb + :], for the first `rows` rows of the microtile.
  static __forceinline__ void multiply_outer(Storage& storage, const float* a, std::ptrdiff_t lda,
                                             int rows, const float* b, std::ptrdiff_t ldb,
                                             int length) {
    partial_outer<kTileRows>(storage, a, lda, rows, b, ldb, length);
  }

 private:
  template <int Rows>
  static __forceinline__ void load(Vector (&acc)[Rows][kTileVectors], const Storage& storage) {
    CURVSEG_UNROLL
    for (int i = 0; i < Rows; ++i) CURVSEG_UNROLL
    for (int v = 0; v < kTileVectors; ++v)
      acc[i][v] = load_vector(storage + i * kTileColumns + v * kLanes);
  }
  template <int Rows>
  static __forceinline__ void store(Storage& storage, const Vector (&acc)[Rows][kTileVectors]) {
    CURVSEG_UNROLL
    for (int i = 0; i < Rows; ++i) CURVSEG_UNROLL
    for (int v = 0; v < kTileVectors; ++v)
      store_vector(storage + i * kTileColumns + v * kLanes, acc[i][v]);
  }

  /// acc[i][:] += operand(i) · b[:]
  template <int Rows, class Operand>
  static __forceinline__ void step(Vector (&acc)[Rows][kTileVectors], const float* b,
                                   Operand operand) {
    Vector row[kTileVectors];
    CURVSEG_UNROLL
    for (int v = 0; v < kTileVectors; ++v) row[v] = load_vector(b + v * kLanes);
    CURVSEG_UNROLL
    for (int i = 0; i < Rows; ++i) {
      const Vector value = broadcast(operand(i));
      CURVSEG_UNROLL
      for (int v = 0; v < kTileVectors; ++v) acc[i][v] = fma(value, row[v], acc[i][v]);
    }
  }

  static __forceinline__ void multiply_run(Vector (&acc)[kTileRows][kTileVectors],
                                           const float* const (&a)[kTileRows], const float* b,
                                           std::ptrdiff_t length) {
    for (std::ptrdiff_t l = 0; l < length; ++l, b += kTileColumns)
      step(
          acc, b, [&](int i) __attribute__((always_inline)) { return a[i][l]; });
  }

  template <int Rows>
  static void partial_outer(Storage& storage, const float* a, std::ptrdiff_t lda, int rows,
                            const float* b, std::ptrdiff_t ldb, int length) {
    if constexpr (Rows > 1) {
      if (rows < Rows) return partial_outer<Rows - 1>(storage, a, lda, rows, b, ldb, length);
    }
    Vector acc[Rows][kTileVectors];
    load(acc, storage);
    for (int l = 0; l < length; ++l, a += lda, b += ldb)
      step(
          acc, b, [&](int i) __attribute__((always_inline)) { return a[i]; });
    store(storage, acc);
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
  __forceinline__ void clear(int count = Count) {
    std::memset(
        shared_.tile, 0,
        sizeof(typename Tile::Storage) * static_cast<std::size_t>(count * Tile::kMicrotiles));
  }
  __forceinline__ typename Tile::Storage& at(int microtile, int block_tile = 0) {
    return shared_.tile[block_tile * Tile::kMicrotiles + microtile];
  }

 private:
  Shared& shared_;
};

}  // namespace curvseg::CURVSEG_TARGET
