#define CURVSEG_COUNT_FLOPS  // see exec/emulated.hpp
#include "counted_kernels.hpp"

#include "exec/exec.hpp"

namespace curvseg::CURVSEG_TARGET {

struct Counted {
  const float* from;
  float* to;
  int stride;
};

static __global__ void strided_read_kernel(Counted p) {
  const int i = static_cast<int>(threadIdx.x);
  p.to[i] = p.from[i * p.stride];
}
void strided_read(StreamHandle stream, const float* from, float* to, int stride) {
  launch<strided_read_kernel>(stream, dim3{}, kCountedThreads, Counted{from, to, stride});
}

static __global__ void vector_copy_kernel(Counted p) {
  const int i = static_cast<int>(threadIdx.x);
  reinterpret_cast<Float4*>(p.to)[i] = reinterpret_cast<const Float4*>(p.from)[i];
}
void vector_copy(StreamHandle stream, const float* from, float* to) {
  launch<vector_copy_kernel>(stream, dim3{}, kCountedThreads, Counted{from, to, 0});
}

struct CountedShared {
  alignas(16) float at[kCountedThreads * 36];
};

static __global__ void shared_stride_kernel(Counted p) {
  auto& shared = block_shared<CountedShared>();
  const int i = static_cast<int>(threadIdx.x);
  shared.at[i * p.stride] = 1.0f;
  __syncthreads();
  p.to[i] = shared.at[i * p.stride];
}
void shared_stride(StreamHandle stream, float* to, int stride) {
  launch<shared_stride_kernel, CountedShared>(stream, dim3{}, kCountedThreads,
                                              Counted{nullptr, to, stride});
}

static __global__ void shared_vectors_kernel(Counted p) {
  auto& shared = block_shared<CountedShared>();
  for (int i = block_begin(); i < kCountedThreads * 36; i += block_step()) shared.at[i] = 1.0f;
  __syncthreads();
  const int i = static_cast<int>(threadIdx.x);
  reinterpret_cast<Float4*>(p.to)[i] = *reinterpret_cast<const Float4*>(shared.at + i * p.stride);
}
void shared_vectors(StreamHandle stream, float* to, int stride) {
  launch<shared_vectors_kernel, CountedShared>(stream, dim3{}, kCountedThreads,
                                               Counted{nullptr, to, stride});
}

static __global__ void multiply_adds_kernel(Counted p) {
  float sum = 0.0f;
  for (int round = 0; round < p.stride; ++round) {
    sum = fma(2.0f, 3.0f, sum);
    __syncthreads();
  }
  p.to[blockIdx.x * blockDim.x + threadIdx.x] = sum;
}
void multiply_adds(StreamHandle stream, float* to, int rounds) {
  launch<multiply_adds_kernel>(stream, dim3{3, 1, 1}, kCountedThreads,
                               Counted{nullptr, to, rounds});
}

}  // namespace curvseg::CURVSEG_TARGET
