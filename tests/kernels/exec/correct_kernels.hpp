// Kernels that use every feature of the emulated target as a GPU allows.
#pragma once

#include <cstdint>

#include "exec/stream.hpp"

namespace curvseg::target_emulated {

/// to[0] = Σ from[i], i < 256: shuffles, one shared value a warp, one barrier.
void block_sum(StreamHandle stream, const float* from, float* to);

/// to[i] = 2·from[i] + from[(i + 1) % tile], tile by tile through two buffers of asynchronous
/// copies; `n` a multiple of kPipelineTile.
inline constexpr int kPipelineTile = 128;
void pipeline(StreamHandle stream, const float* from, float* to, int n);

/// counts[v] += how often v occurs, v < 16: shared, then global atomics, from several blocks.
void histogram(StreamHandle stream, const std::uint8_t* values, int n, unsigned long long* counts);

/// to[i] = fma(scale, from[i], to[i]) over a grid that is smaller than n.
void scale_and_add(StreamHandle stream, float scale, const float* from, float* to, int n);

/// The indices that each thread of grid_range(n) takes: counts[thread], and their sum modulo 2^64
/// in sums[thread]. `threads` of them.
void walk_range(StreamHandle stream, std::int64_t n, std::int64_t* counts, std::uint64_t* sums);
std::int64_t range_threads(std::int64_t n);

/// bytes[i] = i % 251: neighbouring threads write bytes of one word.
void write_bytes(StreamHandle stream, std::uint8_t* bytes, int n);

/// Warps exchange through shared memory with __syncwarp() alone, halves of warps with half masks;
/// to[i] is the value of lane i ^ 1, plus 100 times that of the other half's mirror lane.
void warp_exchange(StreamHandle stream, float* to);
inline constexpr int kWarpThreads = 96;

/// results[0..5]: __ballot_sync of odd lanes, any, all, shuffle down, up, index of lane 3.
void votes_and_shuffles(StreamHandle stream, int* results);

/// to[block] = its linear index, over a grid of three dimensions.
void grid_of_three(StreamHandle stream, int* to, unsigned x, unsigned y, unsigned z);

/// Both branches meet at barriers of one source line, in a loop that compilers like to duplicate.
void barrier_in_loop(StreamHandle stream, float* to, int rounds);

/// Copies what a table of constants and a struct hold, by assignment and by memcpy.
struct Record {
  float values[9];
  int tag;
};
void copy_records(StreamHandle stream, const Record* from, Record* to, int n);

}  // namespace curvseg::target_emulated
