// The cuda target: CUDA itself, with the few names that the other targets define for themselves.
#pragma once

#include <cuda_runtime.h>

#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <string>

#include "exec/stream.hpp"

#define CURVSEG_UNROLL _Pragma("unroll")

namespace curvseg::CURVSEG_TARGET {

struct NoShared {};

__host__ __device__ __forceinline__ bool is_aligned(const void* address, unsigned bytes) {
  return reinterpret_cast<std::uintptr_t>(address) % bytes == 0;
}

template <class Shared>
__device__ __forceinline__ Shared& block_shared() {
  extern __shared__ __align__(128) unsigned char block_memory[];
  return *reinterpret_cast<Shared*>(block_memory);
}

__device__ __forceinline__ float fma(float a, float b, float c) { return __fmaf_rn(a, b, c); }

/// Copies `Floats` floats (4 or 16 bytes) into shared memory without passing through registers;
/// zeros instead where `valid` is false (`from` is then not read). In flight until waited for.
template <int Floats>
__device__ __forceinline__ void copy_async(float* to, const float* from, bool valid) {
  static_assert(Floats == 1 || Floats == 4, "cp.async moves 4 or 16 bytes here");
  const unsigned address = static_cast<unsigned>(__cvta_generic_to_shared(to));
  const int bytes = valid ? Floats * 4 : 0;
  if constexpr (Floats == 4)
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(address), "l"(from),
                 "r"(bytes)
                 : "memory");
  else
    asm volatile("cp.async.ca.shared.global [%0], [%1], 4, %2;" ::"r"(address), "l"(from),
                 "r"(bytes)
                 : "memory");
}
__device__ __forceinline__ void commit_copies() {
  asm volatile("cp.async.commit_group;" ::: "memory");
}
/// Waits until at most `Pending` of this thread's committed groups are in flight.
template <int Pending>
__device__ __forceinline__ void wait_copies() {
  asm volatile("cp.async.wait_group %0;" ::"n"(Pending) : "memory");
}

inline void check(cudaError_t status, const char* what) {
  if (status != cudaSuccess)
    throw std::runtime_error(std::string(what) + ": " + cudaGetErrorString(status));
}

/// Starts `grid` blocks of `threads` threads of `Kernel(params)` on `stream`.
template <auto Kernel, class Shared = NoShared, class Params>
void launch(StreamHandle stream, dim3 grid, int threads, const Params& params) {
  constexpr std::size_t kStatic = 48 * 1024;  // beyond this a kernel has to opt in
  if constexpr (sizeof(Shared) > kStatic)
    check(cudaFuncSetAttribute(Kernel, cudaFuncAttributeMaxDynamicSharedMemorySize,
                               static_cast<int>(sizeof(Shared))),
          "kernel attribute");
  Kernel<<<grid, dim3(static_cast<unsigned>(threads)), sizeof(Shared),
           static_cast<cudaStream_t>(stream)>>>(params);
  check(cudaGetLastError(), "kernel launch");
}

}  // namespace curvseg::CURVSEG_TARGET

#include "exec/gpu_tile.hpp"
