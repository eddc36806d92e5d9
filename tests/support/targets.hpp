// The targets a test runs on, and guarded device memory on them.
//
//   class Relu : public curvseg::testing::TargetTest {};
//   TEST_P(Relu, ZeroesNegatives) {
//     auto x = upload<float>({-1, 2});  auto y = output<float>(2);
//     kernels().relu_forward(stream(), {.pixels = 2, .channels = 1, .x = x.get(), ...});
//     EXPECT_EQ(download(y), (std::vector<float>{0, 2}));
//   }
//   CURVSEG_INSTANTIATE_TARGETS(Relu);
#pragma once

#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <memory>
#include <string>
#include <vector>

#include "target.hpp"

namespace curvseg::testing {

/// Names of the targets of this build: "host", "host_baseline" (the portable kernels, if the
/// processor would choose others), "emulated", "cuda". The environment variable
/// CURVSEG_TEST_TARGETS (comma-separated) narrows them. A TargetTest skips where its target has no
/// device.
std::vector<std::string> target_names();

/// Throws std::invalid_argument for a name that target_names() does not list.
const Target& target(const std::string& name);

inline bool is_emulated(const std::string& name) { return name == "emulated"; }

/// Device memory with a guard band of a known pattern on both sides, checked on destruction: a
/// kernel that writes beside its output fails the test that ran it.
template <class T>
class DeviceBuffer {
 public:
  DeviceBuffer(const Target& target, std::size_t count) : target_(&target), count_(count) {
    memory_ = static_cast<std::byte*>(target.runtime->allocate(0, bytes() + 2 * kGuard));
    std::vector<std::byte> all(bytes() + 2 * kGuard, kPattern);
    copy(memory_, all.data(), all.size());
  }
  DeviceBuffer(DeviceBuffer&& other) noexcept
      : target_(other.target_),
        memory_(std::exchange(other.memory_, nullptr)),
        count_(other.count_) {}
  DeviceBuffer& operator=(DeviceBuffer&&) = delete;
  ~DeviceBuffer() {
    if (!memory_) return;
    try {
      check_guards();
      target_->runtime->release(0, memory_);
    } catch (const std::exception& e) {
      ADD_FAILURE() << e.what();
    }
  }

  T* get() const { return reinterpret_cast<T*>(memory_ + kGuard); }
  std::size_t size() const { return count_; }

  void set(const std::vector<T>& values) {
    ASSERT_EQ(values.size(), count_);
    copy(get(), values.data(), bytes());
  }
  std::vector<T> values() const {
    std::vector<T> result(count_);
    copy(result.data(), get(), bytes());
    return result;
  }

 private:
  static constexpr std::size_t kGuard = 256;
  static constexpr std::byte kPattern{0xA5};

  std::size_t bytes() const { return count_ * sizeof(T); }
  void copy(void* to, const void* from, std::size_t bytes) const {
    if (bytes == 0) return;
    target_->runtime->copy(nullptr, to, from, bytes);
    target_->runtime->synchronise(0, nullptr);
  }
  void check_guards() const {
    std::vector<std::byte> guard(kGuard);
    for (const std::byte* at : {memory_, memory_ + kGuard + bytes()}) {
      copy(guard.data(), at, kGuard);
      for (std::size_t i = 0; i < kGuard; ++i)
        if (guard[i] != kPattern) {
          ADD_FAILURE() << "a kernel wrote " << (at == memory_ ? "before" : "behind")
                        << " its output, at byte " << i << " of the guard band";
          return;
        }
    }
  }

  const Target* target_;
  std::byte* memory_ = nullptr;
  std::size_t count_;
};

/// A test that runs once on every target; the parameter is the target's name.
class TargetTest : public ::testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    if (target().runtime->device_count() == 0)
      GTEST_SKIP() << "there is no " << GetParam() << " device here";
  }
  const Target& target() const { return testing::target(GetParam()); }
  const Kernels& kernels() const { return *target().kernels; }
  StreamHandle stream() const { return nullptr; }
  bool emulated() const { return is_emulated(GetParam()); }
  void synchronise() const { target().runtime->synchronise(0, stream()); }

  template <class T>
  DeviceBuffer<T> upload(const std::vector<T>& values) const {
    DeviceBuffer<T> buffer(target(), values.size());
    buffer.set(values);
    return buffer;
  }
  /// An output: NaN (or all bits set) before the call, so an element left unwritten shows.
  template <class T>
  DeviceBuffer<T> output(std::size_t count) const {
    std::vector<T> values(count);
    if (count) std::memset(values.data(), 0xFF, count * sizeof(T));
    return upload(values);
  }
  /// Workspace: exactly as large as the kernel asked for.
  DeviceBuffer<float> workspace(std::int64_t floats) const {
    return output<float>(static_cast<std::size_t>(floats));
  }
  /// Waits, then reads.
  template <class T>
  std::vector<T> download(const DeviceBuffer<T>& buffer) const {
    synchronise();
    return buffer.values();
  }
};

inline std::string name_of_parameter(const ::testing::TestParamInfo<std::string>& parameter) {
  return parameter.param;
}

#define CURVSEG_INSTANTIATE_TARGETS(Suite)                                          \
  INSTANTIATE_TEST_SUITE_P(Targets, Suite,                                          \
                           ::testing::ValuesIn(::curvseg::testing::target_names()), \
                           ::curvseg::testing::name_of_parameter)

}  // namespace curvseg::testing
