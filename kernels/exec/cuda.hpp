// The cuda target: CUDA itself, with the few names that the other targets define for themselves.
#pragma once

#include <cuda_runtime.h>

#include <cstddef>
#include <cstdint>
#include <string>

#include "curvseg/error.hpp"
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

/// \throws TargetError naming the kernel.
inline void check_launch(cudaError_t status, const void* kernel) {
  if (status == cudaSuccess) return;
  cudaGetLastError();  // it is told here, and not to whoever asks next
  const char* name = nullptr;
  if (cudaFuncGetName(&name, kernel) != cudaSuccess) name = "?";
  throw TargetError(std::string("cuda: kernel ") + name + ": " + cudaGetErrorString(status));
}

/// Starts `grid` blocks of `threads` threads of `Kernel(params)` on `stream`. The status is that of
/// this launch: an error that the application has pending stays the application's.
template <auto Kernel, class Shared = NoShared, class Params>
void launch(StreamHandle stream, dim3 grid, int threads, const Params& params) {
  constexpr std::size_t kStatic = 48 * 1024;  // beyond this a kernel has to opt in
  const void* kernel = reinterpret_cast<const void*>(Kernel);
  if constexpr (sizeof(Shared) > kStatic)
    check_launch(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize,
                                      static_cast<int>(sizeof(Shared))),
                 kernel);
  void* arguments[] = {const_cast<Params*>(&params)};
  check_launch(cudaLaunchKernel(kernel, grid, dim3(static_cast<unsigned>(threads)), arguments,
                                sizeof(Shared), static_cast<cudaStream_t>(stream)),
               kernel);
}

}  // namespace curvseg::CURVSEG_TARGET

#include "exec/gpu_tile.hpp"
