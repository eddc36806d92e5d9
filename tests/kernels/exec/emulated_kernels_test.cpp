// The checks that planted defects prove in emulated_defects_test.cpp, in a kernel of the library:
// here the caller is at fault. tests/checks/instrumentation.sh looks at all kernels.
#include "emulated_fixture.hpp"
#include "host/device/targets.hpp"

namespace curvseg {
namespace {

class EmulatedKernels : public EmulatedTest {
 protected:
  static const Kernels& kernels() {
    for (const NamedTarget& t : targets())
      if (t.name == "emulated") return *t.target->kernels;
    throw std::logic_error("this test is only built with the emulated target");
  }
  std::string fill_error(float* to, std::int64_t n) {
    return target_error([&] {
      kernels().fill(nullptr, {.to = to, .n = n, .value = 1.0f});
      synchronise();
    });
  }
};

TEST_F(EmulatedKernels, FillWhatItMay) {
  float* memory = allocate<float>(33);
  EXPECT_EQ(fill_error(memory, 33), "");
  EXPECT_EQ(download(memory, 33), std::vector<float>(33, 1.0f));
}

TEST_F(EmulatedKernels, ReportAMisalignedPointer) {
  auto* bytes = reinterpret_cast<std::byte*>(allocate<float>(40));
  expect_parts(fill_error(reinterpret_cast<float*>(bytes + 2), 33),
               {"misaligned", "a multiple of 4", "fill", " at kernels/",
                " < kernels/pointwise/pointwise.cu:"});
}

TEST_F(EmulatedKernels, ReportMemoryBeyondAnAllocation) {
  expect_parts(fill_error(allocate<float>(33), 34),
               {"out of bounds", "fill", " at kernels/", " < kernels/pointwise/pointwise.cu:"});
}

}  // namespace
}  // namespace curvseg
