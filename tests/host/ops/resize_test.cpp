// What bilinear_forward() and bilinear_backward() refuse; tests/kernels/resize has the rest.
#include <gtest/gtest.h>

#include <stdexcept>
#include <string>

#include "curvseg/ops.hpp"
#include "support/sparse_memory.hpp"

namespace curvseg {
namespace {

constexpr int kTooLarge = 1 << 29;

template <class Function>
std::string refusal(Function function) {
  try {
    function();
  } catch (const std::invalid_argument& e) {
    return e.what();
  }
  return {};
}

TEST(Bilinear, RefusesExtentsBeyondItsArithmetic) {
  const Stream stream(Device::open("host"));
  float memory = 0.0f;  // never touched
  const auto forward = [&](const Shape& x, const Shape& y) {
    return refusal([&] { bilinear_forward(stream, {&memory, x}, {&memory, y}); });
  };
  const auto backward = [&](const Shape& x, const Shape& y) {
    return refusal([&] { bilinear_backward(stream, {&memory, y}, {}, {&memory, x}); });
  };
  const std::string limit = ": heights and widths must be at most 536870911";
  EXPECT_EQ(forward({1, 1, kTooLarge, 1}, {1, 1, 2, 1}),
            "bilinear_forward: x is [1,1,536870912,1], y is [1,1,2,1]" + limit);
  EXPECT_EQ(forward({1, 3, 2, 1}, {1, kTooLarge, 2, 1}),
            "bilinear_forward: x is [1,3,2,1], y is [1,536870912,2,1]" + limit);
  EXPECT_EQ(backward({1, kTooLarge, 2, 1}, {1, 3, 2, 1}),
            "bilinear_backward: x is [1,536870912,2,1], y is [1,3,2,1]" + limit);
  EXPECT_EQ(backward({1, 3, 2, 1}, {1, 3, kTooLarge, 1}),
            "bilinear_backward: x is [1,3,2,1], y is [1,3,536870912,1]" + limit);
}

TEST(Bilinear, TakesTheLargestExtent) {
  const int width = kTooLarge - 1;
  const testing::SparseMemory memory(static_cast<std::size_t>(width) * sizeof(float));
  if (!memory.get()) GTEST_SKIP() << "2 GiB of address space are not to be had here";
  memory.get()[width / 2] = 7.0f;  // where the only output looks: the middle
  const Stream stream(Device::open("host"));
  float y = -1.0f;
  bilinear_forward(stream, {memory.get(), {1, 1, width, 1}}, {&y, {1, 1, 1, 1}});
  stream.synchronise();
  EXPECT_EQ(y, 7.0f);
}

TEST(Bilinear, NamesBothSidesOfADisagreement) {
  const Stream stream(Device::open("host"));
  float memory = 0.0f;
  EXPECT_EQ(refusal([&] {
              bilinear_forward(stream, {&memory, {1, 2, 2, 3}}, {&memory, {1, 4, 4, 2}});
            }),
            "bilinear_forward: x is [1,2,2,3], y is [1,4,4,2]: they differ in more than height and "
            "width");
}

TEST(Bilinear, HasNothingToInterpolateInAnImageWithoutRowsOrColumns) {
  const Stream stream(Device::open("host"));
  float memory = 0.0f;
  const Shape no_rows{1, 0, 2, 4}, no_columns{1, 2, 0, 4}, y{1, 2, 2, 4};
  EXPECT_EQ(
      refusal([&] {
        bilinear_forward(stream, {&memory, no_rows}, {&memory, y});
      }),
      "bilinear_forward: x is [1,0,2,4], y is [1,2,2,4]: an image without rows has nothing to "
      "interpolate");
  EXPECT_EQ(
      refusal([&] {
        bilinear_backward(stream, {&memory, y}, {}, {&memory, no_columns});
      }),
      "bilinear_backward: x is [1,2,0,4], y is [1,2,2,4]: an image without columns has nothing "
      "to interpolate");
  EXPECT_EQ(refusal([&] {
              bilinear_forward(stream, {&memory, no_rows}, {&memory, no_columns});
            }),
            "");
}

}  // namespace
}  // namespace curvseg
