// The emulated target: the block shapes of the GPU on any machine, under checks. Every CUDA thread
// is a fiber; the compiler's thread-sanitizer instrumentation shows every load and store to the
// runtime under emulated/, which docs/emulated.md describes.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "exec/emulated/device_api.hpp"
#include "exec/emulated/redirect.hpp"
#include "exec/stream.hpp"

#define __global__
#define __device__
#define __host__
#define __launch_bounds__(...)
#define __forceinline__ inline __attribute__((always_inline))
// Nothing: 2048 fused multiply-adds in a row take a compiler minutes and run no faster than a loop
// between whose iterations the checks are called.
#define CURVSEG_UNROLL

// Macros, not variables: a variable would be read through a checked load at every use.
#define threadIdx (::curvseg::emulation::thread_index())
#define blockIdx (::curvseg::emulation::block_index())
#define blockDim (::curvseg::emulation::block_extent())
#define gridDim (::curvseg::emulation::grid_extent())

namespace curvseg::CURVSEG_TARGET {

using dim3 = emulation::Dim3;

struct NoShared {};

template <class Shared>
__forceinline__ Shared& block_shared() {
  return *static_cast<Shared*>(emulation::shared_memory());
}

__forceinline__ bool is_aligned(const void* address, unsigned bytes) {
  return reinterpret_cast<std::uintptr_t>(address) % bytes == 0;
}

__forceinline__ float fma(float a, float b, float c) {
#if defined(CURVSEG_COUNT_FLOPS)
  emulation::count_multiply_add();
#endif
#if defined(__FMA__)
  return __builtin_fmaf(a, b, c);
#else
  return static_cast<float>(static_cast<double>(a) * b + c);
#endif
}

// ---- synchronisation ---------------------------------------------------------------------------

inline constexpr unsigned kAllLanes = 0xffffffffu;

__forceinline__ void __syncthreads() { emulation::block_barrier(); }
__forceinline__ void __syncwarp(unsigned mask = kAllLanes) {
  emulation::warp_exchange(emulation::WarpOperation::kSync, mask, 0, threadIdx.x % 32);
}

/// What a shuffle moves: any trivially copyable value of up to 8 bytes.
template <class Value>
__forceinline__ Value exchange_lanes(unsigned mask, Value value, unsigned source) {
  static_assert(sizeof(Value) == 4 || sizeof(Value) == 8, "a shuffle moves 4 or 8 bytes");
  using Bits = std::conditional_t<sizeof(Value) == 4, std::uint32_t, std::uint64_t>;
  return std::bit_cast<Value>(static_cast<Bits>(emulation::warp_exchange(
      emulation::WarpOperation::kShuffle, mask, std::bit_cast<Bits>(value), source)));
}

template <class Value>
__forceinline__ Value __shfl_sync(unsigned mask, Value value, int source, int width = 32) {
  const unsigned lane = threadIdx.x % 32, last = static_cast<unsigned>(width) - 1;
  return exchange_lanes(mask, value, (lane & ~last) | (static_cast<unsigned>(source) & last));
}
template <class Value>
__forceinline__ Value __shfl_xor_sync(unsigned mask, Value value, int lanes, int width = 32) {
  const unsigned lane = threadIdx.x % 32, segment_end = (lane | (static_cast<unsigned>(width) - 1));
  const unsigned source = lane ^ static_cast<unsigned>(lanes);
  return exchange_lanes(mask, value, source <= segment_end ? source : lane);
}
template <class Value>
__forceinline__ Value __shfl_down_sync(unsigned mask, Value value, unsigned by, int width = 32) {
  const unsigned lane = threadIdx.x % 32, segment_end = (lane | (static_cast<unsigned>(width) - 1));
  return exchange_lanes(mask, value, lane + by <= segment_end ? lane + by : lane);
}
template <class Value>
__forceinline__ Value __shfl_up_sync(unsigned mask, Value value, unsigned by, int width = 32) {
  const unsigned lane = threadIdx.x % 32, segment = lane & ~(static_cast<unsigned>(width) - 1);
  return exchange_lanes(mask, value, lane >= segment + by ? lane - by : lane);
}

__forceinline__ unsigned __ballot_sync(unsigned mask, int predicate) {
  return emulation::warp_vote(mask, predicate != 0);
}
__forceinline__ int __any_sync(unsigned mask, int predicate) {
  return emulation::warp_vote(mask, predicate != 0) != 0;
}
__forceinline__ int __all_sync(unsigned mask, int predicate) {
  return emulation::warp_vote(mask, predicate != 0) == mask;
}
__forceinline__ unsigned __activemask() { return emulation::active_lanes(); }

// ---- memory ------------------------------------------------------------------------------------

template <class Value>
__forceinline__ Value atomicAdd(Value* address, Value value) {
  static_assert(std::is_same_v<Value, int> || std::is_same_v<Value, unsigned> ||
                    std::is_same_v<Value, unsigned long long>,
                "atomicAdd takes int, unsigned and unsigned long long: no floating-point atomics");
  using Bits = std::make_unsigned_t<Value>;
  return static_cast<Value>(
      emulation::atomic_add(address, sizeof(Value), static_cast<Bits>(value)));
}

/// Copies `Floats` floats into shared memory; zeros instead where `valid` is false. The data
/// arrives at the wait and not before.
template <int Floats>
__forceinline__ void copy_async(float* to, const float* from, bool valid) {
  static_assert(Floats == 1 || Floats == 4, "cp.async moves 4 or 16 bytes here");
  emulation::copy_async(to, from, Floats * sizeof(float), valid);
}
__forceinline__ void commit_copies() { emulation::commit_copies(); }
/// Waits until at most `Pending` of this thread's committed groups are in flight.
template <int Pending>
__forceinline__ void wait_copies() {
  emulation::wait_copies(Pending);
}

// ---- launch ------------------------------------------------------------------------------------

/// The compiler's text of this function names the kernel; the report cuts it out.
template <auto Kernel>
constexpr const char* kernel_name() {
  return __PRETTY_FUNCTION__;
}

template <auto Kernel, class Params>
void run_thread(const void* params) {
  Kernel(*static_cast<const Params*>(params));
}

/// An address in the code around it, which a report turns into a line.
__attribute__((noinline)) inline const void* this_place() { return __builtin_return_address(0); }

/// Queues `grid` blocks of `threads` threads of `Kernel(params)` on `stream`. Inlined, so that the
/// place is in the launcher.
template <auto Kernel, class Shared = NoShared, class Params>
__forceinline__ void launch(StreamHandle stream, dim3 grid, int threads, const Params& params) {
  static_assert(std::is_trivially_copyable_v<Params>, "kernel parameters are copied as bytes");
  static_assert(alignof(Params) <= 16 && alignof(Shared) <= 128,
                "the runtime aligns parameters to 16 bytes, shared memory to 128");
  emulation::enqueue(
      stream, {kernel_name<Kernel>(), grid, threads, std::is_empty_v<Shared> ? 0 : sizeof(Shared),
               &params, sizeof(Params), &run_thread<Kernel, Params>, this_place()});
}

}  // namespace curvseg::CURVSEG_TARGET

#include "exec/gpu_tile.hpp"
