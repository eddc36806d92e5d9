// Memory and streams of the cuda target.
#include "exec/cuda_runtime.hpp"

#include <cuda_runtime.h>

#include <string>

namespace curvseg {
namespace {

void check(cudaError_t status, const char* what) {
  if (status == cudaSuccess) return;
  (void)cudaGetLastError();  // a sticky copy would be blamed on the next launch
  throw TargetError(std::string("cuda: ") + what + ": " + cudaGetErrorString(status));
}

int set_device(int device) {
  int previous = 0;
  check(cudaGetDevice(&previous), "current device");
  if (previous != device) check(cudaSetDevice(device), "set device");
  return previous;
}

/// Makes a device current for one call.
class Current {
 public:
  explicit Current(int device) : device_(device), previous_(set_device(device)) {}
  // Unasked, a set would make a context on a device that the application does not use.
  ~Current() {
    if (previous_ != device_) (void)cudaSetDevice(previous_);
  }
  Current(const Current&) = delete;
  Current& operator=(const Current&) = delete;

 private:
  int device_, previous_;
};

int device_count() {
  int count = 0;
  // No driver, or no GPU, is an answer and not a failure.
  if (cudaGetDeviceCount(&count) != cudaSuccess) {
    (void)cudaGetLastError();
    return 0;
  }
  return count;
}

DeviceProperties properties(int device) {
  cudaDeviceProp p;
  check(cudaGetDeviceProperties(&p, device), "device properties");
  return {p.name, "sm_" + std::to_string(10 * p.major + p.minor), p.multiProcessorCount,
          p.totalGlobalMem};
}

void* allocate(int device, std::size_t bytes) {
  const Current current(device);
  void* memory = nullptr;
  const cudaError_t status = cudaMalloc(&memory, bytes ? bytes : 1);
  if (status != cudaSuccess)
    check(status, ("allocation of " + std::to_string(bytes) + " bytes").c_str());
  return memory;
}

void release(int device, void* memory) {
  const Current current(device);
  check(cudaFree(memory), "free");
}

StreamHandle create_stream(int device) {
  const Current current(device);
  cudaStream_t stream = nullptr;
  check(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking), "stream");
  return stream;
}

void destroy_stream(StreamHandle stream) {
  if (!stream) return;
  target_cuda::forget_stream(stream);
  (void)cudaStreamDestroy(static_cast<cudaStream_t>(stream));
}

void synchronise(int device, StreamHandle stream) {
  const Current current(device);
  check(cudaStreamSynchronize(static_cast<cudaStream_t>(stream)), "synchronise");
}

void copy(StreamHandle stream, void* to, const void* from, std::size_t bytes) {
  if (bytes == 0) return;
  check(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDefault, static_cast<cudaStream_t>(stream)),
        "copy");
}

void wait(int later_device, StreamHandle later, int earlier_device, StreamHandle earlier) {
  cudaEvent_t event = nullptr;
  cudaError_t result = cudaSuccess;
  {
    const Current current(earlier_device);  // an event is of the device of the stream it marks
    check(cudaEventCreateWithFlags(&event, cudaEventDisableTiming), "event");
    result = cudaEventRecord(event, static_cast<cudaStream_t>(earlier));
  }
  if (result == cudaSuccess) {
    const Current current(later_device);
    result = cudaStreamWaitEvent(static_cast<cudaStream_t>(later), event, 0);
  }
  (void)cudaEventDestroy(event);  // released once it has fired
  check(result, "wait");
}

const Runtime kRuntime{"cuda",        device_count,   properties,  set_device, allocate, release,
                       create_stream, destroy_stream, synchronise, copy,       wait};

}  // namespace

const Runtime& cuda_runtime() { return kRuntime; }

}  // namespace curvseg
