// The Runtime of the emulated target, its options, and the queueing of launches.
#include <cstring>
#include <memory>
#include <mutex>
#include <string>
#include <utility>

#include "exec/emulated/streams.hpp"
#include "target.hpp"

namespace curvseg::emulation {
namespace {

Streams& streams() {
  static Streams& instance = *new Streams;  // never destroyed: used by statics of the program
  return instance;
}

thread_local int current_device = 0;

void check_device(int device) {
  if (device < 0 || device >= kDevices)
    throw TargetError("emulated: no device " + std::to_string(device) + ", there are " +
                      std::to_string(kDevices));
}

[[noreturn]] void refuse_launch(const std::string& kernel, const std::string& why) {
  throw TargetError("emulated: illegal launch of kernel " + kernel + ": " + why);
}

/// "conv2d_gather_kernel at kernels/...": which, and the line that launches it.
std::string name_launch(const LaunchRequest& r) {
  return short_kernel_name(r.kernel) + " at " +
         describe_place(static_cast<Place>(reinterpret_cast<std::uintptr_t>(r.place)));
}

/// The limits that CUDA checks at a launch.
void check_launch(const LaunchRequest& r) {
  const auto refuse = [&](const std::string& why) { refuse_launch(name_launch(r), why); };
  constexpr int kThreads = 1024;
  constexpr unsigned kGridX = 0x7fffffff, kGridYZ = 65535;
  const Dim3 g = r.grid;
  if (g.x == 0 || g.y == 0 || g.z == 0)
    refuse("grid " + std::to_string(g.x) + " x " + std::to_string(g.y) + " x " +
           std::to_string(g.z) + " has no block");
  if (g.x > kGridX) refuse("grid x is " + std::to_string(g.x) + ", at most 2147483647");
  if (g.y > kGridYZ) refuse("grid y is " + std::to_string(g.y) + ", at most 65535");
  if (g.z > kGridYZ) refuse("grid z is " + std::to_string(g.z) + ", at most 65535");
  if (r.threads < 1 || r.threads > kThreads)
    refuse(std::to_string(r.threads) + " threads a block, 1 to 1024 are possible");
  if (r.shared_bytes > kSharedLimit)
    refuse(std::to_string(r.shared_bytes) + " bytes of shared memory a block, at most " +
           std::to_string(kSharedLimit));
}

// ---- the table ---------------------------------------------------------------------------------

int device_count() { return kDevices; }

DeviceProperties properties(int device) {
  check_device(device);
  DeviceProperties result;
  result.name = "emulated GPU " + std::to_string(device);
  result.instruction_set = "fibers";
  result.processors = 1;
  result.memory_bytes = kDeviceBytes - kHeapOffset;
  return result;
}

int set_device(int device) {
  check_device(device);
  return std::exchange(current_device, device);
}

void* allocate(int device, std::size_t bytes) {
  check_device(device);
  const std::lock_guard lock(engine().mutex);
  return memory().allocate(device, bytes);
}

void release(int device, void* address) {
  check_device(device);
  const std::lock_guard lock(engine().mutex);
  if (!memory().release(device, address))
    throw TargetError("emulated: release of what is no live allocation of device " +
                      std::to_string(device));
}

StreamHandle create_stream(int device) {
  check_device(device);
  const std::lock_guard lock(engine().mutex);
  return streams().create(device).get();
}

void destroy_stream(StreamHandle stream) {
  const std::lock_guard lock(engine().mutex);
  streams().destroy(stream);
}

void synchronise(int device, StreamHandle stream) {
  check_device(device);
  const std::lock_guard lock(engine().mutex);
  streams().synchronise(*streams().find(stream, device));
}

void copy(StreamHandle stream, void* to, const void* from, std::size_t bytes) {
  const std::lock_guard lock(engine().mutex);
  streams().enqueue(*streams().find(stream, current_device), CopyWork{to, from, bytes});
}

void wait(int later_device, StreamHandle later, int earlier_device, StreamHandle earlier) {
  check_device(later_device);
  check_device(earlier_device);
  const std::lock_guard lock(engine().mutex);
  streams().wait(*streams().find(later, later_device), streams().find(earlier, earlier_device));
}

constexpr Runtime kRuntime = {"emulated",   &device_count, &properties,    &set_device,
                              &allocate,    &release,      &create_stream, &destroy_stream,
                              &synchronise, &copy,         &wait};

}  // namespace

namespace {

/// The queue of a stream of the current device; `name` tells what would be launched.
template <class Name>
std::shared_ptr<Stream> queue_of(StreamHandle stream, Name name) {
  auto queue = streams().find(stream, current_device);
  if (queue->device != current_device)
    refuse_launch(name(), "its stream is of device " + std::to_string(queue->device) + ", device " +
                              std::to_string(current_device) + " is current");
  return queue;
}

}  // namespace

void enqueue(StreamHandle stream, const LaunchRequest& request) {
  check_launch(request);
  const std::lock_guard lock(engine().mutex);
  const auto queue = queue_of(stream, [&] { return name_launch(request); });
  Launch launch{request.kernel,
                request.grid,
                request.threads,
                request.shared_bytes,
                std::make_unique<std::byte[]>(request.params_bytes),
                request.params_bytes,
                request.run};
  std::memcpy(launch.params.get(), request.params, request.params_bytes);
  streams().enqueue(*queue, std::move(launch));
}

void enqueue(StreamHandle stream, HostWork work) {
  const std::lock_guard lock(engine().mutex);
  const auto queue = queue_of(stream, [&] { return std::string(work.name); });
  streams().enqueue(*queue, std::move(work));
}

}  // namespace curvseg::emulation

namespace curvseg {

const Runtime& emulated_runtime() { return emulation::kRuntime; }

void set_emulation_options(const EmulationOptions& options) {
  const std::lock_guard lock(emulation::engine().mutex);
  emulation::engine().options = options;
}

EmulationOptions emulation_options() {
  const std::lock_guard lock(emulation::engine().mutex);
  return emulation::engine().options;
}

std::vector<LaunchRecord> take_launch_records() {
  const std::lock_guard lock(emulation::engine().mutex);
  return std::exchange(emulation::engine().records, {});
}

}  // namespace curvseg
