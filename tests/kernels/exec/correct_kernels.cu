#include "correct_kernels.hpp"

#include <cstring>

#include "exec/exec.hpp"

namespace curvseg::CURVSEG_TARGET {

struct Run {
  const float* from;
  float* to;
  int n;
  float scale;
};

// ---- reduction ---------------------------------------------------------------------------------

struct WarpSums {
  float at[8];
};

static __device__ float warp_sum(float value) {
  for (int lanes = 16; lanes > 0; lanes /= 2) value += __shfl_xor_sync(kAllLanes, value, lanes);
  return value;
}

static __global__ void block_sum_kernel(Run p) {
  auto& shared = block_shared<WarpSums>();
  const float sum = warp_sum(p.from[threadIdx.x]);
  if (threadIdx.x % 32 == 0) shared.at[threadIdx.x / 32] = sum;
  __syncthreads();
  if (threadIdx.x < 32) {
    const float total = warp_sum(threadIdx.x < 8 ? shared.at[threadIdx.x] : 0.0f);
    if (threadIdx.x == 0) p.to[0] = total;
  }
}
void block_sum(StreamHandle stream, const float* from, float* to) {
  launch<block_sum_kernel, WarpSums>(stream, dim3{}, 256, Run{from, to, 256, 0.0f});
}

// ---- double-buffered asynchronous copies -------------------------------------------------------

struct Buffers {
  alignas(16) float at[2][kPipelineTile];
};

static __global__ void pipeline_kernel(Run p) {
  auto& shared = block_shared<Buffers>();
  const int thread = static_cast<int>(threadIdx.x);
  const int tiles = p.n / kPipelineTile;
  const auto copy = [&](int tile) {
    copy_async<4>(shared.at[tile % 2] + 4 * thread, p.from + tile * kPipelineTile + 4 * thread,
                  true);
    commit_copies();
  };
  copy(0);
  for (int tile = 0; tile < tiles; ++tile) {
    if (tile + 1 < tiles) {
      copy(tile + 1);
      wait_copies<1>();
    } else {
      wait_copies<0>();
    }
    __syncthreads();
    for (int i = thread; i < kPipelineTile; i += static_cast<int>(blockDim.x))
      p.to[tile * kPipelineTile + i] =
          2.0f * shared.at[tile % 2][i] + shared.at[tile % 2][(i + 1) % kPipelineTile];
    __syncthreads();
  }
}
void pipeline(StreamHandle stream, const float* from, float* to, int n) {
  launch<pipeline_kernel, Buffers>(stream, dim3{}, kPipelineTile / 4, Run{from, to, n, 0.0f});
}

// ---- atomics -----------------------------------------------------------------------------------

struct Histogram {
  const std::uint8_t* values;
  int n;
  unsigned long long* counts;
};
struct Counts {
  unsigned at[16];
  unsigned char odd_size;
};

static __global__ void histogram_kernel(Histogram p) {
  auto& shared = block_shared<Counts>();
  if (threadIdx.x < 16) shared.at[threadIdx.x] = 0;
  __syncthreads();
  for (const std::int64_t i : grid_range(p.n)) atomicAdd(&shared.at[p.values[i]], 1u);
  __syncthreads();
  if (threadIdx.x < 16)
    atomicAdd(&p.counts[threadIdx.x], static_cast<unsigned long long>(shared.at[threadIdx.x]));
}
void histogram(StreamHandle stream, const std::uint8_t* values, int n, unsigned long long* counts) {
  launch<histogram_kernel, Counts>(stream, dim3{5, 1, 1}, 96, Histogram{values, n, counts});
}

// ---- grid strides, bytes, grids ----------------------------------------------------------------

static __global__ void scale_and_add_kernel(Run p) {
  for (const std::int64_t i : grid_range(p.n)) p.to[i] = fma(p.scale, p.from[i], p.to[i]);
}
void scale_and_add(StreamHandle stream, float scale, const float* from, float* to, int n) {
  launch<scale_and_add_kernel>(stream, dim3{3, 1, 1}, 64, Run{from, to, n, scale});
}

struct Bytes {
  std::uint8_t* at;
  int n;
};
static __global__ void write_bytes_kernel(Bytes p) {
  for (const std::int64_t i : grid_range(p.n)) p.at[i] = static_cast<std::uint8_t>(i % 251);
}
void write_bytes(StreamHandle stream, std::uint8_t* bytes, int n) {
  launch<write_bytes_kernel>(stream, dim3{3, 1, 1}, 33, Bytes{bytes, n});
}

struct Ints {
  int* at;
};
static __global__ void grid_of_three_kernel(Ints p) {
  const unsigned block = (blockIdx.z * gridDim.y + blockIdx.y) * gridDim.x + blockIdx.x;
  if (threadIdx.x == 0) p.at[block] = static_cast<int>(block);
}
void grid_of_three(StreamHandle stream, int* to, unsigned x, unsigned y, unsigned z) {
  launch<grid_of_three_kernel>(stream, dim3{x, y, z}, 2, Ints{to});
}

// ---- warps -------------------------------------------------------------------------------------

struct Lanes {
  float at[kWarpThreads];
};
static __global__ void warp_exchange_kernel(Run p) {
  auto& shared = block_shared<Lanes>();
  const unsigned thread = threadIdx.x, lane = thread % 32;
  shared.at[thread] = static_cast<float>(lane);
  __syncwarp();
  const float neighbour = shared.at[thread ^ 1];
  __syncwarp();
  // Half a warp at a time: lanes of the other half may be anywhere.
  const unsigned half = lane < 16 ? 0xffffu : 0xffff0000u;
  shared.at[thread] = neighbour + 1.0f;
  __syncwarp(half);
  const float mirrored = shared.at[thread / 16 * 16 + 15 - thread % 16];
  __syncwarp(half);
  shared.at[thread] = mirrored;
  __syncwarp();
  p.to[thread] = neighbour + 100.0f * shared.at[thread ^ 16];
}
void warp_exchange(StreamHandle stream, float* to) {
  launch<warp_exchange_kernel, Lanes>(stream, dim3{}, kWarpThreads, Run{nullptr, to, 0, 0.0f});
}

static __global__ void votes_kernel(Ints p) {
  const int lane = static_cast<int>(threadIdx.x);
  const unsigned odd = __ballot_sync(kAllLanes, lane % 2);
  const int any = __any_sync(kAllLanes, lane == 31);
  const int all = __all_sync(kAllLanes, lane < 31);
  const int down = __shfl_down_sync(kAllLanes, lane, 4, 8);
  const int up = __shfl_up_sync(kAllLanes, lane, 4, 8);
  const long long third = __shfl_sync(kAllLanes, 10LL * lane, 3);
  if (lane == 5) {
    p.at[0] = static_cast<int>(odd);
    p.at[1] = any;
    p.at[2] = all;
    p.at[3] = down;  // 9 is beyond its group of 8: its own value
    p.at[4] = up;
    p.at[5] = static_cast<int>(third);
  }
}
void votes_and_shuffles(StreamHandle stream, int* results) {
  launch<votes_kernel>(stream, dim3{}, 32, Ints{results});
}

// ---- barriers and copies -----------------------------------------------------------------------

static __global__ void barrier_in_loop_kernel(Run p) {
  auto& shared = block_shared<Lanes>();
  const int thread = static_cast<int>(threadIdx.x);
  shared.at[thread] = 0.0f;
  for (int round = 0; round < p.n; ++round) {
    __syncthreads();
    const float next = shared.at[(thread + 1) % kWarpThreads] + static_cast<float>(thread % 2);
    __syncthreads();
    shared.at[thread] = next;
  }
  p.to[thread] = shared.at[thread];
}
void barrier_in_loop(StreamHandle stream, float* to, int rounds) {
  launch<barrier_in_loop_kernel, Lanes>(stream, dim3{}, kWarpThreads,
                                        Run{nullptr, to, rounds, 0.0f});
}

struct Records {
  const Record* from;
  Record* to;
  int n;
};
static constexpr int kTags[4] = {10, 20, 30, 40};
static __global__ void copy_records_kernel(Records p) {
  for (const std::int64_t i : grid_range(p.n)) {
    if (i % 2 == 0)
      p.to[i] = p.from[i];
    else
      std::memcpy(&p.to[i], &p.from[i], sizeof(Record));
    p.to[i].tag = kTags[p.from[i].tag % 4];
  }
}
void copy_records(StreamHandle stream, const Record* from, Record* to, int n) {
  launch<copy_records_kernel>(stream, dim3{2, 1, 1}, 32, Records{from, to, n});
}

// ---- long ranges -------------------------------------------------------------------------------

struct WalkRange {
  std::int64_t n;
  std::int64_t* counts;
  std::uint64_t* sums;
};

static __global__ void walk_range_kernel(WalkRange p) {
  std::int64_t count = 0;
  std::uint64_t sum = 0;
  for (const std::int64_t i : grid_range(p.n)) {
    ++count;
    sum += static_cast<std::uint64_t>(i);
  }
  const std::int64_t thread = static_cast<std::int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  p.counts[thread] = count;
  p.sums[thread] = sum;
}
std::int64_t range_threads(std::int64_t n) {
  return static_cast<std::int64_t>(grid_for(n).x) * kGridThreads;
}
void walk_range(StreamHandle stream, std::int64_t n, std::int64_t* counts, std::uint64_t* sums) {
  launch<walk_range_kernel>(stream, grid_for(n), kGridThreads, WalkRange{n, counts, sums});
}

}  // namespace curvseg::CURVSEG_TARGET
