// An application's own memory and queue on a device that is not the current one.
#ifdef CURVSEG_HAS_EMULATED
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <vector>

#include "curvseg/error.hpp"
#include "curvseg/ops.hpp"
#include "curvseg/optim.hpp"
#include "target.hpp"

namespace curvseg {
namespace {

constexpr Shape kShape{1, 8, 8, 1};
constexpr std::size_t kCount = 64;

class ForeignMemory : public ::testing::Test {
 protected:
  void SetUp() override {
    runtime_.set_device(0);
    for (float** memory : {&x_, &y_})
      *memory = static_cast<float*>(runtime_.allocate(1, kCount * sizeof(float)));
    native_ = runtime_.create_stream(1);
  }
  void TearDown() override {
    runtime_.synchronise(1, native_);
    runtime_.destroy_stream(native_);
    for (float* memory : {x_, y_}) runtime_.release(1, memory);
    runtime_.set_device(0);
  }
  int current_device() const { return runtime_.set_device(0); }
  std::vector<float> y() const { return {y_, y_ + kCount}; }

  const Device device_ = Device::open("emulated:1");
  const Runtime& runtime_ = *device_.target().runtime;
  float* x_ = nullptr;
  float* y_ = nullptr;
  StreamHandle native_ = nullptr;
};

TEST_F(ForeignMemory, IsUsedInTheOrderOfTheForeignStream) {
  std::fill(y_, y_ + kCount, -1.0f);
  const Stream queue = Stream::wrap(device_, native_);
  EXPECT_EQ(queue.native(), native_);
  fill(queue, {x_, kCount}, 5.0f);
  relu_forward(queue, {x_, kShape}, {y_, kShape});
  EXPECT_EQ(y(), std::vector<float>(kCount, -1.0f)) << "something waited for the stream";
  EXPECT_EQ(current_device(), 0);
  queue.synchronise();
  EXPECT_EQ(y(), std::vector<float>(kCount, 5.0f));
  EXPECT_EQ(current_device(), 0);
}

TEST_F(ForeignMemory, IsWaitedForByAStreamOfAnotherDevice) {
  const Stream other{Device::open("emulated:0")};
  float* const to = static_cast<float*>(runtime_.allocate(0, kCount * sizeof(float)));
  for (const StreamHandle native : {native_, StreamHandle{}}) {  // the default stream of device 1
    const Stream queue = Stream::wrap(device_, native);
    fill(queue, {y_, kCount}, native ? 3.0f : 4.0f);
    other.wait(queue);
    runtime_.set_device(0);
    runtime_.copy(other.native(), to, y_, kCount * sizeof(float));
    EXPECT_EQ(current_device(), 0);
    other.synchronise();
    EXPECT_EQ(to[kCount - 1], native ? 3.0f : 4.0f);
    queue.wait(other);  // and the other way round
    fill(queue, {y_, kCount}, 0.0f);
    queue.synchronise();
  }
  runtime_.release(0, to);
}

// However many steps are under way: their scalars travel with them.
TEST_F(ForeignMemory, StepsOfAnOptimiserWaitForNothing) {
  const Stream queue = Stream::wrap(device_, native_);
  for (const char* name : {"sgd", "adam", "adamw", "gd", "projected-gd"}) {
    fill(queue, {x_, kCount}, 1.0f);
    const auto optimizer = make_optimizer(queue, {.name = name}, kCount);
    queue.synchronise();
    for (std::uint64_t step = 1; step <= 20; ++step) {
      fill(queue, {y_, kCount}, 0.5f);  // a method may overwrite its gradient
      optimizer->step({.stream = queue,
                       .theta = {x_, kCount},
                       .grad = {y_, kCount},
                       .step = step,
                       .learning_rate = 0.001f * static_cast<float>(step)});
    }
    EXPECT_EQ(x_[kCount - 1], 1.0f) << name << ": something waited for the stream";
    queue.synchronise();
    EXPECT_LT(x_[kCount - 1], 0.95f) << name;
    EXPECT_EQ(current_device(), 0);
  }
}

TEST_F(ForeignMemory, TheStreamOutlivesItsWrapper) {
  {
    const Stream queue = Stream::wrap(device_, native_);
    fill(queue, {y_, kCount}, 2.0f);
  }
  runtime_.synchronise(1, native_);
  EXPECT_EQ(y(), std::vector<float>(kCount, 2.0f));
}

TEST_F(ForeignMemory, ARefusalRestoresTheCurrentDevice) {
  const Stream queue = Stream::wrap(device_, native_);
  EXPECT_THROW(relu_forward(queue, {x_, kShape}, {y_, {1, 8, 4, 1}}), std::invalid_argument);
  EXPECT_EQ(current_device(), 0);
}

TEST_F(ForeignMemory, OfAnotherDeviceIsReported) {
  fill(Stream::wrap(device_, native_), {x_, kCount}, 5.0f);
  runtime_.synchronise(1, native_);
  const Stream other(Device::open("emulated"));
  const auto misuse = [&] {
    relu_forward(other, {x_, kShape}, {y_, kShape});
    other.synchronise();
  };
  EXPECT_THAT(misuse,
              ::testing::ThrowsMessage<TargetError>(::testing::HasSubstr("memory of device 1")));
  EXPECT_EQ(current_device(), 0);
}

}  // namespace
}  // namespace curvseg
#endif
