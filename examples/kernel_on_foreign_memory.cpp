// One kernel on memory and a queue that belong to the application: a GPU's where EXAMPLE_ON_GPU is
// defined, the host's otherwise. The call is the same.
#include <curvseg/curvseg.hpp>

#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <memory>
#ifdef EXAMPLE_ON_GPU
#include <cuda_runtime.h>
#endif

namespace {

#ifdef EXAMPLE_ON_GPU
constexpr const char* kDevice = "cuda";
void* allocate(std::size_t bytes) {
  void* memory = nullptr;
  return cudaMallocManaged(&memory, bytes) == cudaSuccess ? memory : nullptr;
}
void release(void* memory) { cudaFree(memory); }
#else
constexpr const char* kDevice = "host";
void* allocate(std::size_t bytes) { return std::aligned_alloc(256, (bytes + 255) / 256 * 256); }
void release(void* memory) { std::free(memory); }
#endif

struct Release {
  void operator()(float* memory) const { release(memory); }
};
using Memory = std::unique_ptr<float[], Release>;

Memory make_memory(std::size_t bytes) { return Memory(static_cast<float*>(allocate(bytes))); }

/// y = x ⊛ w with as many pixels as x: enqueued on the application's stream, nothing waits.
/// `scratch` must hold as many bytes as conv2d_forward_workspace() says.
void filter_image(void* stream, const float* x, const float* w, float* y,
                  curvseg::Workspace scratch) {
  const curvseg::Shape shape{.n = 1, .h = 4, .w = 5, .c = 1};
  const auto queue = curvseg::Stream::wrap(curvseg::Device::open(kDevice), stream);
  curvseg::conv2d_forward(queue, {x, shape}, {w, 3, 3, 1, 1},
                          {.geometry = {.pad_h = 1, .pad_w = 1}}, scratch, {y, shape});
}

}  // namespace

int main() {
  void* stream = nullptr;
#ifdef EXAMPLE_ON_GPU
  cudaStream_t created = nullptr;
  if (cudaStreamCreate(&created) != cudaSuccess) {
    std::puts("skipped: there is no GPU here");
    return 77;
  }
  stream = created;
#endif
  const Memory x = make_memory(20 * sizeof(float));
  const Memory w = make_memory(9 * sizeof(float));
  const Memory y = make_memory(20 * sizeof(float));
  for (int i = 0; i < 20; ++i) x[i] = 1.0f;
  for (int i = 0; i < 9; ++i) w[i] = 1.0f;

  const std::size_t bytes = curvseg::conv2d_forward_workspace(
      curvseg::Device::open(kDevice), {.n = 1, .h = 4, .w = 5, .c = 1}, {w.get(), 3, 3, 1, 1},
      {.pad_h = 1, .pad_w = 1});
  const Memory scratch = make_memory(bytes);
  filter_image(stream, x.get(), w.get(), y.get(), {scratch.get(), bytes});
  curvseg::Stream::wrap(curvseg::Device::open(kDevice), stream).synchronise();

  // Each output counts its neighbours inside the image: 4 in the corners, 6 along the edges, 9.
  for (int i = 0; i < 20; ++i)
    std::printf("%g%s", static_cast<double>(y[i]), i % 5 == 4 ? "\n" : " ");
  return y[0] == 4.0f && y[1] == 6.0f && y[6] == 9.0f ? 0 : 1;
}
