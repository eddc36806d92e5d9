// Devices as the public header offers them: their errors, and doubles for tests.
#include "curvseg/device.hpp"

#include <gtest/gtest.h>

#include <cstdint>
#include <string>

#include "curvseg/error.hpp"
#include "curvseg/tensor.hpp"
#include "host/device/device_double.hpp"

namespace curvseg {
namespace {

/// More than any address space here has.
constexpr std::int64_t kTooMany = std::int64_t{1} << 50;

std::string allocation_error(const char* device) {
  try {
    const DeviceArray<float> array(Device::open(device), kTooMany);
  } catch (const Error& error) {  // a user's handler, who includes only curvseg/error.hpp
    EXPECT_NE(dynamic_cast<const TargetError*>(&error), nullptr) << error.what();
    return error.what();
  }
  return {};
}

TEST(TargetError, TellsThatTheHostHasNoMemoryLeft) {
#if defined(__SANITIZE_ADDRESS__)
  GTEST_SKIP() << "AddressSanitizer ends the program on a request of this size";
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
  GTEST_SKIP() << "AddressSanitizer ends the program on a request of this size";
#endif
#endif
  EXPECT_EQ(allocation_error("host"),
            "host: no memory left for an allocation of 4503599627370496 bytes");
}

#ifdef CURVSEG_HAS_EMULATED
TEST(TargetError, TellsThatTheEmulatedDeviceHasNoMemoryLeft) {
  const std::string error = allocation_error("emulated");
  EXPECT_NE(error.find("emulated: device 0 has no room for 4503599627370496"), std::string::npos)
      << error;
}
#endif

TEST(DeviceDouble, RunsThroughItsOwnTables) {
  static int waits;
  waits = 0;
  static Runtime runtime = *Device::open("host").target().runtime;
  runtime.synchronise = [](int device, StreamHandle) { waits += 1 + device; };
  static const Target target{&runtime, Device::open("host").target().kernels};
  const Device device = DeviceDouble::make(target, 6);
  EXPECT_EQ(device.index(), 6);
  EXPECT_EQ(&device.target(), &target);
  EXPECT_EQ(device, DeviceDouble::make(target, 6));
  EXPECT_FALSE(device == DeviceDouble::make(target));
  EXPECT_FALSE(device == Device::open("host"));
  Stream(device).synchronise();
  EXPECT_EQ(waits, 7);
  EXPECT_EQ(device.info().device, "");
}

}  // namespace
}  // namespace curvseg
