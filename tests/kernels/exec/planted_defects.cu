#include "planted_defects.hpp"

#include <cstring>
#include <stdexcept>

#include "exec/exec.hpp"

namespace curvseg::CURVSEG_TARGET {
namespace {

/// Of many blocks one runs the kernel.
template <auto Kernel>
__global__ void only_there(Planted p) {
  if (blockIdx.x == 1 && blockIdx.y == 2 && blockIdx.z == 3) Kernel(p);
}

template <auto Kernel, class Shared = NoShared, unsigned Blocks = 1, int Threads = 64>
void start(StreamHandle stream, const Planted& p, Where where) {
  if (where == Where::kFirstBlock)
    launch<Kernel, Shared>(stream, dim3{Blocks, 1, 1}, Threads, p);
  else
    launch<only_there<Kernel>, Shared>(stream, dim3{3, 4, 5}, Threads, p);
}

struct Words {
  float at[64];
};

__device__ __forceinline__ int thread() { return static_cast<int>(threadIdx.x); }

}  // namespace

// ---- races -------------------------------------------------------------------------------------

static __global__ void lost_update_global(Planted p) { p.a[0] += 1.0f; }
const PlantedDefect kLostUpdateGlobal = {"lost_update_global", &start<lost_update_global>,
                                         __LINE__ - 2, __LINE__ - 2};

static __global__ void lost_update_shared(Planted) {
  auto& s = block_shared<Words>();
  if (thread() == 0) s.at[5] = 0.0f;
  __syncthreads();
  s.at[5] += 1.0f;
}
const PlantedDefect kLostUpdateShared = {"lost_update_shared", &start<lost_update_shared, Words>,
                                         __LINE__ - 3, __LINE__ - 3};

static __global__ void missing_barrier(Planted p) {
  auto& s = block_shared<Words>();
  s.at[thread()] = 0.0f;
  __syncthreads();
  s.at[thread()] = 1.0f;
  p.a[thread()] = s.at[63 - thread()];
}
const PlantedDefect kMissingBarrier = {"missing_barrier", &start<missing_barrier, Words>,
                                       __LINE__ - 3, __LINE__ - 4};

static __global__ void warp_is_no_block(Planted p) {
  auto& s = block_shared<Words>();
  s.at[thread()] = 0.0f;
  __syncthreads();
  s.at[thread()] = 1.0f;
  __syncwarp();  // orders lanes, not the two warps
  p.a[thread()] = s.at[63 - thread()];
}
const PlantedDefect kWarpIsNoBlock = {"warp_is_no_block", &start<warp_is_no_block, Words>,
                                      __LINE__ - 3, __LINE__ - 5};

static __global__ void blocks_race(Planted p) {
  if (thread() == 7) p.a[0] = 3.0f;  // the same value from every block
}
const PlantedDefect kBlocksRace = {"blocks_race", &start<blocks_race, NoShared, 3>, __LINE__ - 2,
                                   __LINE__ - 3};

static __global__ void blocks_read_and_write(Planted p) {
  if (blockIdx.x == 1)
    p.a[thread()] = 1.0f;
  else
    p.b[static_cast<int>(blockIdx.x) * 64 + thread()] = p.a[thread()];
}
const PlantedDefect kBlocksReadAndWrite = {"blocks_read_and_write",
                                           &start<blocks_read_and_write, NoShared, 2>, __LINE__ - 5,
                                           __LINE__ - 4};

static __global__ void atomic_and_plain(Planted p) {
  atomicAdd(p.counter, 1u);
  p.a[thread()] = static_cast<float>(*p.counter);
}
const PlantedDefect kAtomicAndPlain = {"atomic_and_plain", &start<atomic_and_plain>, __LINE__ - 3,
                                       __LINE__ - 3};

static __global__ void byte_race(Planted p) { p.bytes[thread() / 2] = 1; }
const PlantedDefect kByteRace = {"byte_race", &start<byte_race>, __LINE__ - 1, __LINE__ - 1};

static __global__ void readers_then_writer(Planted p) {
  p.b[thread()] = p.a[0];
  if (thread() == 63) p.a[0] = 1.0f;
}
const PlantedDefect kReadersThenWriter = {"readers_then_writer", &start<readers_then_writer>,
                                          __LINE__ - 3, __LINE__ - 4};

// ---- bounds and state --------------------------------------------------------------------------

static __global__ void uninitialised_shared(Planted p) {
  auto& s = block_shared<Words>();
  if (thread() != 9) s.at[thread()] = 0.0f;
  __syncthreads();
  p.a[thread()] = s.at[thread()];
}
const PlantedDefect kUninitialisedShared = {"uninitialised_shared",
                                            &start<uninitialised_shared, Words>, __LINE__ - 3};

static __global__ void uninitialised_global(Planted p) { p.a[thread()] = p.b[thread()]; }
const PlantedDefect kUninitialisedGlobal = {"uninitialised_global", &start<uninitialised_global>,
                                            __LINE__ - 2};

static __global__ void uninitialised_memcpy(Planted p) {
  if (thread() == 0) std::memcpy(p.a, p.b, 256);
}
const PlantedDefect kUninitialisedMemcpy = {"uninitialised_memcpy", &start<uninitialised_memcpy>,
                                            __LINE__ - 3};

static __global__ void read_beyond_shared(Planted p) {
  auto& s = block_shared<Words>();
  s.at[thread()] = 0.0f;
  __syncthreads();
  p.a[thread()] = s.at[thread() + 1];
}
const PlantedDefect kReadBeyondShared = {"read_beyond_shared", &start<read_beyond_shared, Words>,
                                         __LINE__ - 3};

static __global__ void write_beyond_shared(Planted) {
  auto& s = block_shared<Words>();
  s.at[thread() + 1] = 0.0f;
}
const PlantedDefect kWriteBeyondShared = {"write_beyond_shared", &start<write_beyond_shared, Words>,
                                          __LINE__ - 3};

static __global__ void read_beyond_global(Planted p) { p.b[thread()] = p.a[thread() + 1]; }
const PlantedDefect kReadBeyondGlobal = {"read_beyond_global", &start<read_beyond_global>,
                                         __LINE__ - 2};

static __global__ void write_beyond_global(Planted p) { p.a[thread() + 1] = 0.0f; }
const PlantedDefect kWriteBeyondGlobal = {"write_beyond_global", &start<write_beyond_global>,
                                          __LINE__ - 2};

static __global__ void read_before_global(Planted p) { p.b[thread()] = p.a[thread() - 1]; }
const PlantedDefect kReadBeforeGlobal = {"read_before_global", &start<read_before_global>,
                                         __LINE__ - 2};

static __global__ void foreign_pointer(Planted p) { p.a[thread()] = p.foreign[thread()]; }
const PlantedDefect kForeignPointer = {"foreign_pointer", &start<foreign_pointer>, __LINE__ - 1};

struct Pointers {
  const float* at;
};
static __global__ void local_of_another_thread(Planted p) {
  auto& s = block_shared<Pointers>();
  float local = p.a[thread()];
  if (thread() == 0) s.at = &local;
  __syncthreads();
  p.b[thread()] = *s.at;
  __syncthreads();
}
const PlantedDefect kLocalOfAnotherThread = {
    "local_of_another_thread", &start<local_of_another_thread, Pointers>, __LINE__ - 4};

static __global__ void misaligned_vector(Planted p) {
  reinterpret_cast<Float4*>(p.b + thread())->at[0] = 1.0f;
}
const PlantedDefect kMisalignedVector = {"misaligned_vector",
                                         &start<misaligned_vector, NoShared, 1, 32>, __LINE__ - 3};

static __global__ void misaligned_word(Planted p) {
  p.a[thread()] = *reinterpret_cast<const float*>(p.bytes + thread() / 4 * 4 + thread() % 4);
}
const PlantedDefect kMisalignedWord = {"misaligned_word", &start<misaligned_word, NoShared, 1, 16>,
                                       __LINE__ - 3};

// ---- synchronisation ---------------------------------------------------------------------------

static __global__ void barrier_after_exit(Planted) {
  if (thread() == 3) return;
  __syncthreads();
}
const PlantedDefect kBarrierAfterExit = {"barrier_after_exit", &start<barrier_after_exit>,
                                         __LINE__ - 3};

static __global__ void two_barriers(Planted p) {
  if (thread() < 32) {
    p.a[thread()] = 1.0f;
    __syncthreads();
  } else {
    __syncthreads();
    p.a[thread()] = 2.0f;
  }
}
const PlantedDefect kTwoBarriers = {"two_barriers", &start<two_barriers>, __LINE__ - 6,
                                    __LINE__ - 5};

static __global__ void absent_lane(Planted p) {
  const float value = p.a[thread()];
  if (thread() >= 40) return;
  p.b[thread()] = __shfl_xor_sync(kAllLanes, value, 1);
}
const PlantedDefect kAbsentLane = {"absent_lane", &start<absent_lane>, __LINE__ - 2};

static __global__ void lane_at_barrier(Planted) {
  if (thread() == 5) __syncthreads();
  __syncwarp();
  __syncthreads();
}
const PlantedDefect kLaneAtBarrier = {"lane_at_barrier", &start<lane_at_barrier>, __LINE__ - 3,
                                      __LINE__ - 5};

static __global__ void outside_its_mask(Planted) { __syncwarp(0xffff); }
const PlantedDefect kOutsideItsMask = {"outside_its_mask", &start<outside_its_mask>, __LINE__ - 1};

static __global__ void shuffle_from_outside(Planted p) {
  if (thread() < 8) p.b[thread()] = __shfl_sync(0xff, p.a[thread()], 8);
}
const PlantedDefect kShuffleFromOutside = {"shuffle_from_outside", &start<shuffle_from_outside>,
                                           __LINE__ - 3};

// ---- asynchronous copies -----------------------------------------------------------------------

struct alignas(16) Tile {
  float at[256];
};

static __global__ void read_before_wait(Planted p) {
  auto& s = block_shared<Tile>();
  copy_async<1>(s.at + thread(), p.a + thread(), true);
  commit_copies();
  p.b[thread()] = s.at[thread()];
  wait_copies<0>();
}
const PlantedDefect kReadBeforeWait = {"read_before_wait", &start<read_before_wait, Tile>,
                                       __LINE__ - 4, __LINE__ - 6};

static __global__ void write_before_wait(Planted p) {
  auto& s = block_shared<Tile>();
  copy_async<1>(s.at + thread(), p.a + thread(), true);
  commit_copies();
  s.at[thread()] = 0.0f;
  wait_copies<0>();
}
const PlantedDefect kWriteBeforeWait = {"write_before_wait", &start<write_before_wait, Tile>,
                                        __LINE__ - 4, __LINE__ - 6};

static __global__ void wait_without_barrier(Planted p) {
  auto& s = block_shared<Tile>();
  copy_async<1>(s.at + thread(), p.a + thread(), true);
  commit_copies();
  wait_copies<0>();
  p.b[thread()] = s.at[63 - thread()];
}
const PlantedDefect kWaitWithoutBarrier = {"wait_without_barrier",
                                           &start<wait_without_barrier, Tile>, __LINE__ - 3};

static __global__ void next_tile_without_barrier(Planted p) {
  auto& s = block_shared<Tile>();
  s.at[thread()] = 0.0f;  // the tile before
  __syncthreads();
  copy_async<1>(s.at + thread(), p.a + thread(), true);
  commit_copies();
  wait_copies<0>();
  p.b[thread()] = s.at[63 - thread()];
}
const PlantedDefect kNextTileWithoutBarrier = {"next_tile_without_barrier",
                                               &start<next_tile_without_barrier, Tile>,
                                               __LINE__ - 4, __LINE__ - 7};

static __global__ void source_changed(Planted p) {
  auto& s = block_shared<Tile>();
  copy_async<1>(s.at + thread(), p.a + thread(), true);
  commit_copies();
  __syncthreads();
  p.a[63 - thread()] = 0.0f;
  __syncthreads();
  wait_copies<0>();
}
const PlantedDefect kSourceChanged = {"source_changed", &start<source_changed, Tile>, __LINE__ - 7,
                                      __LINE__ - 5};

static __global__ void uncommitted_copy(Planted p) {
  auto& s = block_shared<Tile>();
  copy_async<1>(s.at + thread(), p.a + thread(), true);
  wait_copies<0>();  // waits for committed groups only
  p.b[thread()] = s.at[thread()];
}
const PlantedDefect kUncommittedCopy = {"uncommitted_copy", &start<uncommitted_copy, Tile>,
                                        __LINE__ - 3, __LINE__ - 5};

static __global__ void misaligned_copy(Planted p) {
  auto& s = block_shared<Tile>();
  copy_async<4>(s.at + 4 * thread(), p.a + 2, true);
  commit_copies();
  wait_copies<0>();
}
const PlantedDefect kMisalignedCopy = {"misaligned_copy", &start<misaligned_copy, Tile>,
                                       __LINE__ - 5};

static __global__ void copy_into_global(Planted p) {
  copy_async<1>(p.b + thread(), p.a + thread(), true);
  commit_copies();
  wait_copies<0>();
}
const PlantedDefect kCopyIntoGlobal = {"copy_into_global", &start<copy_into_global>, __LINE__ - 4};

static __global__ void copy_beyond_global(Planted p) {
  auto& s = block_shared<Tile>();
  copy_async<4>(s.at + 4 * thread(), p.a + 4 * thread(), true);
  commit_copies();
  wait_copies<0>();
}
const PlantedDefect kCopyBeyondGlobal = {"copy_beyond_global", &start<copy_beyond_global, Tile>,
                                         __LINE__ - 5};

static __global__ void throws(Planted) {
  if (thread() == 2) throw std::runtime_error("not in a kernel");
}
const PlantedDefect kThrows = {"throws", &start<throws>, 0};

// ---- streams and launches ----------------------------------------------------------------------

struct Run {
  const float* from;
  float* to;
  int n;
};
static __global__ void write_all_kernel(Run p) {
  for (const std::int64_t i : grid_range(p.n)) p.to[i] = static_cast<float>(i);
}
const int kWriteAllLine = __LINE__ - 2;
void write_all(StreamHandle stream, float* to, int n) {
  launch<write_all_kernel>(stream, dim3{2, 1, 1}, kStreamThreads, Run{nullptr, to, n});
}
const int kWriteAllLaunchLine = __LINE__ - 2;

static __global__ void read_all_kernel(Run p) {
  for (const std::int64_t i : grid_range(p.n)) p.to[i] = p.from[i];
}
const int kReadAllLine = __LINE__ - 2;
void read_all(StreamHandle stream, const float* from, float* to, int n) {
  launch<read_all_kernel>(stream, dim3{2, 1, 1}, kStreamThreads, Run{from, to, n});
}

static __global__ void nothing(Planted) {}
void launch_shape(StreamHandle stream, LaunchShape shape) {
  launch<nothing>(stream, dim3{shape.x, shape.y, shape.z}, shape.threads, Planted{});
}
const int kLaunchShapeLine = __LINE__ - 2;
template <int Bytes>
struct SharedOf {
  unsigned char at[Bytes];
};
void launch_too_much_shared(StreamHandle stream) {
  launch<nothing, SharedOf<163 * 1024 + 1>>(stream, dim3{}, 32, Planted{});
}
const int kTooMuchSharedLine = __LINE__ - 2;
using AllShared = SharedOf<163 * 1024>;
static __global__ void use_all_shared(Planted p) {
  auto& s = block_shared<AllShared>();
  for (int i = block_begin(); i < 163 * 1024; i += block_step())
    s.at[i] = static_cast<unsigned char>(i);
  __syncthreads();
  if (thread() == 0) p.a[0] = s.at[163 * 1024 - 1];
}
void launch_all_shared(StreamHandle stream, float* to) {
  Planted p;
  p.a = to;
  launch<use_all_shared, AllShared>(stream, dim3{}, 1024, p);
}

}  // namespace curvseg::CURVSEG_TARGET
