// Memory and views as the public header offers them: what they refuse, and what a view carries.
#include "curvseg/tensor.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <limits>
#include <stdexcept>
#include <string>

namespace curvseg {
namespace {

using ::testing::HasSubstr;

/// What `call` is refused with, empty if it is not.
template <class Call>
std::string refused(Call call) {
  try {
    call();
  } catch (const std::invalid_argument& error) {
    return error.what();
  }
  return {};
}

TEST(DeviceArray, CopiesNoMoreThanItHasAndNoLessThanNothing) {
  const Device device = Device::open("host");
  const Stream stream(device);
  DeviceArray<float> array(device, 4);
  std::array<float, 8> values = {};
  for (const std::int64_t count :
       {std::int64_t{-1}, std::int64_t{5}, std::numeric_limits<std::int64_t>::min()}) {
    const std::string why =
        "load: " + std::to_string(count) + " elements asked for, the array has 4";
    EXPECT_EQ(refused([&] { array.upload(stream, values.data(), count); }), "up" + why);
    EXPECT_EQ(refused([&] { array.download(stream, values.data(), count); }), "down" + why);
  }
  EXPECT_EQ(refused([&] { array.upload(stream, values.data(), 0); }), "");
}

TEST(DeviceArray, RefusesMoreElementsThanHaveBytes) {
  const Device device = Device::open("host");
  EXPECT_EQ(refused([&] { DeviceArray<float>(device, std::int64_t{1} << 62); }),
            "DeviceArray: 4611686018427387904 elements of 4 bytes were asked for, 0 to "
            "2305843009213693951 are possible");
  EXPECT_THAT(refused([&] { DeviceArray<std::uint16_t>(device, std::int64_t{1} << 62); }),
              HasSubstr("0 to 4611686018427387903"));
  EXPECT_THAT(refused([&] { DeviceArray<std::uint64_t>(device, std::int64_t{1} << 61); }),
              HasSubstr("0 to 1152921504606846975"));
  EXPECT_THAT(refused([&] { DeviceArray<float>(device, -1); }),
              HasSubstr("-1 elements of 4 bytes"));
}

TEST(Tensor, RefusesExtentsThatNoMemoryHas) {
  const Device device = Device::open("host");
  const auto tensor = [&](const Shape& shape) { return refused([&] { Tensor(device, shape); }); };
  // The products are 0, 2^62 and 1 in 64 bits, or nothing is left of them for want of channels.
  EXPECT_EQ(tensor({65536, 65536, 65536, 65536}),
            "Tensor: the shape [65536,65536,65536,65536] spans more pixels or elements than the "
            "2305843009213693951 of 4 bytes that 64 bits address");
  const int large = 1 << 30;
  EXPECT_THAT(tensor({large, large, 4, 1}), HasSubstr("[1073741824,1073741824,4,1] spans more"));
  EXPECT_THAT(tensor({large, large, large, 0}), HasSubstr("spans more pixels"));
  EXPECT_EQ(tensor({-1, -1, 1, 1}), "Tensor: the shape has a negative extent, [-1,-1,1,1]");
  EXPECT_THAT(tensor({1, 1, 0, -1}), HasSubstr("negative"));
  EXPECT_EQ(tensor({0, large, large, large}), "");
  EXPECT_EQ(tensor({large, large, 0, large}), "");
}

TEST(Shape, CountsOrRefuses) {
  const Shape most{1 << 30, 1 << 30, 4, 1};  // 2^62
  EXPECT_EQ(most.elements(), std::int64_t{1} << 62);
  const Shape wraps{65536, 65536, 65536, 65536};
  EXPECT_EQ(wraps.pixels(), std::int64_t{1} << 48);
  EXPECT_EQ(refused([&] { wraps.elements(); }),
            "[65536,65536,65536,65536] has more elements than 64 bits count");
  const Shape many{1 << 30, 1 << 30, 1 << 30, 0};
  EXPECT_THAT(refused([&] { many.pixels(); }), HasSubstr("has more elements than"));
}

TEST(TensorView, CarriesItsElementType) {
  float memory[16] = {};
  TensorView view(memory, {1, 2, 2, 4});
  view.dtype = static_cast<DType>(7);  // there is one so far
  const ConstTensorView readable = view;
  EXPECT_EQ(readable.dtype, view.dtype);
  EXPECT_EQ(view.channels(1, 2).dtype, view.dtype);
  EXPECT_EQ(readable.channels(1, 2).dtype, view.dtype);
}

TEST(TensorView, SlicesChannelsThatItHas) {
  float memory[24] = {};
  const TensorView view(memory, {1, 2, 2, 4}, 6);
  const TensorView slice = view.channels(1, 3);
  EXPECT_EQ(slice.data, memory + 1);
  EXPECT_EQ(slice.shape, (Shape{1, 2, 2, 3}));
  EXPECT_EQ(slice.ld, 6);
  EXPECT_EQ(view.channels(4, 0).shape.c, 0);
  EXPECT_EQ(TensorView(nullptr, {1, 2, 2, 4}).channels(1, 2).data, nullptr);

  EXPECT_EQ(refused([&] { view.channels(3, 2); }),
            "channels: 2 from channel 3 on were asked for, the view [1,2,2,4] has 4");
  const int most = std::numeric_limits<int>::max();
  for (const auto& [first, count] : {std::pair{-1, 2}, {1, -1}, {5, 0}, {most, most}, {0, 5}})
    EXPECT_THAT(refused([&, f = first, c = count] { view.channels(f, c); }),
                HasSubstr(std::to_string(count) + " from channel " + std::to_string(first)));
}

}  // namespace
}  // namespace curvseg
