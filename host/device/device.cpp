#include "curvseg/device.hpp"

#include <charconv>

#include "curvseg/error.hpp"
#include "host/device/targets.hpp"

namespace curvseg {
namespace {

constexpr std::string_view kHidden = "host_baseline";  // for tests; "host" is what people want

const NamedTarget* find_target(std::string_view name) {
  for (const NamedTarget& t : targets())
    if (t.name == name) return &t;
  return nullptr;
}

std::string device_name(const NamedTarget& t, int index) {
  return t.name == "cuda" || index > 0 ? t.name + ":" + std::to_string(index) : t.name;
}

DeviceInfo info_of(const NamedTarget& t, int index) {
  DeviceProperties p = t.target->runtime->properties(index);
  const char* set = t.target->kernels->instruction_set;
  return {device_name(t, index), std::move(p.name), set ? set : std::move(p.instruction_set),
          p.processors, p.memory_bytes};
}

std::string known_devices() {
  std::string result;
  for (const DeviceInfo& info : Device::list())
    result += (result.empty() ? "" : ", ") + info.device;
  return result;
}

}  // namespace

Device Device::open(std::string_view name) {
  if (name == "auto") {
    const NamedTarget* cuda = find_target("cuda");
    if (cuda && cuda->target->runtime->device_count() > 0) return Device(*cuda->target, 0);
    return Device(*find_target("host")->target, 0);
  }
  const std::size_t colon = name.find(':');
  const NamedTarget* found = find_target(name.substr(0, colon));
  int index = 0;
  bool number = true;
  if (colon != std::string_view::npos) {
    const std::string_view digits = name.substr(colon + 1);
    const auto parsed = std::from_chars(digits.data(), digits.data() + digits.size(), index);
    number = parsed.ec == std::errc() && parsed.ptr == digits.data() + digits.size();
  }
  if (!found || !number || index < 0 || index >= found->target->runtime->device_count())
    throw InputError("there is no device \"" + std::string(name) +
                     "\" here; there are: " + known_devices());
  return Device(*found->target, index);
}

std::vector<DeviceInfo> Device::list() {
  std::vector<DeviceInfo> result;
  for (const NamedTarget& t : targets()) {
    if (t.name == kHidden) continue;
    const int count = t.target->runtime->device_count();
    for (int i = 0; i < count; ++i) {
      result.push_back(info_of(t, i));
    }
  }
  return result;
}

DeviceInfo Device::info() const {
  for (const NamedTarget& t : targets()) {
    if (t.target != target_) continue;
    return info_of(t, index_);
  }
  return {};
}

bool Device::is_host() const { return target_->runtime == find_target("host")->target->runtime; }

struct Stream::State {
  State(Device d, StreamHandle h, bool owner) : device(d), handle(h), owned(owner) {}
  State(const State&) = delete;
  State& operator=(const State&) = delete;
  ~State() {
    if (owned) device.target().runtime->destroy_stream(handle);
  }

  Device device;
  StreamHandle handle;
  bool owned;
};

Stream::Stream(Device device)
    : state_(std::make_shared<State>(device, device.target().runtime->create_stream(device.index()),
                                     true)) {}

Stream Stream::wrap(Device device, void* native) {
  return Stream(std::make_shared<State>(device, native, false));
}

Device Stream::device() const { return state_->device; }

void* Stream::native() const { return state_->handle; }

void Stream::synchronise() const {
  state_->device.target().runtime->synchronise(state_->device.index(), state_->handle);
}

void Stream::wait(const Stream& earlier) const {
  // Events of one target mean nothing to another: there the host waits.
  if (&state_->device.target() != &earlier.state_->device.target()) return earlier.synchronise();
  const State& other = *earlier.state_;
  state_->device.target().runtime->wait(state_->device.index(), state_->handle,
                                        other.device.index(), other.handle);
}

CurrentDevice::CurrentDevice(const Device& device)
    : target_(&device.target()), previous_(target_->runtime->set_device(device.index())) {}

CurrentDevice::~CurrentDevice() {
  try {
    target_->runtime->set_device(previous_);
  } catch (...) {
    // The previous device was valid a moment ago; a destructor has nobody to tell otherwise.
  }
}

}  // namespace curvseg
