/// \file
/// Devices and streams: where work runs, and in which order.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace curvseg {

struct Target;  // one compilation of the kernels, kernels/target.hpp

/// What `curvseg info` prints of a device.
struct DeviceInfo {
  std::string device;            ///< what Device::open() takes: "host", "cuda:0", "emulated"
  std::string name;              ///< the processor's own name
  std::string instruction_set;   ///< that its kernels use: "x86-64-v3", "sm_90"
  int processors = 0;            ///< multiprocessors of a GPU, threads in use on a host
  std::size_t memory_bytes = 0;  ///< in all, whether in use or not; 0: not known
};

/// A place that runs kernels. A cheap handle: copies name the same device.
///
/// Different threads may use one Device at the same time.
class Device {
 public:
  /// `name` is "auto" (the first GPU, else the host), "host", "cuda", "cuda:1" or "emulated" (the
  /// GPU's block shapes on this processor, under checks; slow). For tests of the portable kernels
  /// there is also "host_baseline".
  /// \throws InputError if there is no such device, saying which there are.
  static Device open(std::string_view name = "auto");

  /// Every device that open() would find here.
  static std::vector<DeviceInfo> list();

  DeviceInfo info() const;  ///< what it is, asked anew
  bool is_host() const;     ///< kernels read and write ordinary host memory, at once

  const Target& target() const { return *target_; }  ///< for this library's own use
  int index() const { return index_; }               ///< among the devices of its target

  /// Whether they name the same device.
  friend bool operator==(const Device&, const Device&) = default;

 private:
  friend struct DeviceDouble;  // tests and benchmarks, host/device/device_double.hpp
  Device(const Target& target, int index) : target_(&target), index_(index) {}

  const Target* target_;
  int index_;
};

/// A queue of work on one device. Launches return at once on a GPU; nothing but synchronise()
/// waits. Used by one thread at a time.
class Stream {
 public:
  /// A new queue. \throws TargetError if the device refuses.
  explicit Stream(Device device);

  /// The application's own queue, not owned: a `cudaStream_t` for a GPU, where nullptr is the
  /// default stream. The application keeps it alive.
  static Stream wrap(Device device, void* native);

  Device device() const;  ///< where its work runs
  void* native() const;   ///< the `cudaStream_t` of a GPU

  /// Blocks until all work of this queue is done. \throws TargetError with what failed in it.
  void synchronise() const;

  /// Work enqueued here from now on starts after all that `earlier` holds now. The host does not
  /// wait, unless the two belong to different targets.
  void wait(const Stream& earlier) const;

 private:
  struct State;
  explicit Stream(std::shared_ptr<State> state) : state_(std::move(state)) {}
  std::shared_ptr<State> state_;
};

/// Makes a stream's device current for this thread and restores the previous one on destruction.
class CurrentDevice {
 public:
  /// \throws TargetError if the device refuses.
  explicit CurrentDevice(const Device& device);
  ~CurrentDevice();
  CurrentDevice(const CurrentDevice&) = delete;
  CurrentDevice& operator=(const CurrentDevice&) = delete;

 private:
  const Target* target_;
  int previous_;
};

}  // namespace curvseg
