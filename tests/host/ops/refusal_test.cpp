// What operations refuse before any launch, and that they say both sides.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

#include "curvseg/ops.hpp"
#include "curvseg/tensor.hpp"
#include "support/devices.hpp"

namespace curvseg {
namespace {

class Refusal : public ::testing::Test {
 protected:
  template <class Call>
  void expect_refused(Call call, const std::string& part) {
    try {
      call();
      ADD_FAILURE() << "accepted; expected a refusal with \"" << part << "\"";
    } catch (const std::invalid_argument& error) {
      EXPECT_THAT(error.what(), ::testing::HasSubstr(part));
    }
  }

  void forward(const Conv2dForwardOptions& options, int filter = 3, std::size_t shift = 0) {
    const ConstFilterView w(memory_.data(), filter, filter, 1, 1);
    const std::size_t bytes = 1 << 16;
    conv2d_forward(stream_, ConstTensorView(x_), w, options,
                   {reinterpret_cast<char*>(scratch_.data()) + shift, bytes}, y_);
  }

  Device device_ = Device::open("host");
  Stream stream_{device_};
  Tensor x_{device_, {1, 8, 8, 1}}, y_{device_, {1, 8, 8, 1}};
  DeviceArray<float> memory_{device_, 64}, scratch_{device_, 1 << 16};
};

TEST_F(Refusal, SpansBeyond32Bits) {
  const int huge = 1 << 30;
  expect_refused([&] { forward({.geometry = {.dilation_h = huge}}, 5); }, "dilation 1073741824");
  expect_refused([&] { forward({.geometry = {.pad_w = huge}}); }, "padding 1073741824");
  expect_refused([&] { forward({.geometry = {.stride_h = huge, .pad_h = 1, .pad_w = 1}}); },
                 "stride 1073741824");
  expect_refused(
      [&] {
        pool_output_shape({1, 8, 8, 1}, {.r = huge, .s = 1, .pad_h = huge / 2});
      },
      "1073741824x1");
}

TEST_F(Refusal, ChannelsThatDiffer) {
  const ConstTensorView x(memory_.data(), {1, 1, 1, 32});
  const ConstFilterView w(memory_.data(), 1, 1, 16, 2);
  const TensorView y(y_.data(), {1, 1, 1, 2});
  // The whole sentence: README shows it.
  expect_refused([&] { conv2d_forward(stream_, x, w, {}, {}, y); },
                 "conv2d_forward: w has 16 input channels, x has 32");
  expect_refused(
      [&] {
        conv2d_backward_bias(stream_, x, false, {}, {memory_.data(), 31});
      },
      "conv2d_backward_bias: db has 31 entries, dy has 32 channels");
}

TEST_F(Refusal, WorkspaceThatIsNotAligned) {
  expect_refused([&] { forward({.geometry = {.pad_h = 1, .pad_w = 1}}, 3, 4); },
                 "not aligned to 16 bytes");
}

TEST_F(Refusal, MemoryThatIsNotThere) {
  expect_refused(
      [&] {
        forward({.geometry = {.pad_h = 1, .pad_w = 1}, .bias = {nullptr, 1}});
      },
      "the bias of 1 entries has no memory");
  expect_refused([&] { add_bias(stream_, x_, {nullptr, 1}, y_); }, "b has no memory");
  expect_refused(
      [&] {
        conv2d_backward_bias(stream_, x_, false, {}, {nullptr, 1});
      },
      "conv2d_backward_bias: db has no memory");
}

TEST_F(Refusal, MaskOfAnotherShape) {
  const ConstTensorView mask(x_.data(), {1, 16, 4, 1});
  expect_refused([&] { forward({.geometry = {.pad_h = 1, .pad_w = 1}, .mask = mask}); },
                 "mask is [1,16,4,1], y is [1,8,8,1]");
}

TEST_F(Refusal, NegativeSizes) {
  expect_refused(
      [&] {
        fill(stream_, {memory_.data(), -1}, 0.0f);
      },
      "fill: to has -1 elements, 0 to");
  expect_refused(
      [&] {
        Tensor(device_, {-1, 1, 1, 1});
      },
      "the shape has a negative extent, [-1,1,1,1]");
  DeviceArray<unsigned long long> matrix(device_, 4);
  expect_refused([&] { confusion_matrix(stream_, nullptr, nullptr, -1, 2, matrix.data()); },
                 "truth has -1 elements, 0 to");
}

/// What would be counted as nothing, or as little, in 64 bits.
TEST_F(Refusal, SizesBeyond64Bits) {
  float* const memory = memory_.data();
  const int large = 1 << 30;
  const Shape wraps{large, large, 4, 4};  // 2^64 elements
  expect_refused(
      [&] {
        relu_forward(stream_, {memory, wraps}, {memory, wraps});
      },
      "relu_forward: x [1073741824,1073741824,4,4] spans more pixels or elements than the "
      "2305843009213693951 of 4 bytes that 64 bits address");
  const Shape no_channels{large, large, large, 0};
  expect_refused(
      [&] {
        relu_forward(stream_, {memory, no_channels}, {memory, no_channels});
      },
      "x [1073741824,1073741824,1073741824,0] spans more pixels");
  const Shape small{1, 2, 2, 1};
  const std::int64_t stride = std::int64_t{1} << 61;
  expect_refused(
      [&] {
        relu_forward(stream_, {memory, small}, {memory, small, stride});
      },
      "y [1,2,2,1] with pixel stride 2305843009213693952 spans more");
  expect_refused([&] { loss_workspace(device_, wraps); }, "loss_workspace: logits [1073741824,");
  expect_refused([&] { loss_workspace(device_, {1, -8, -8, 2}); }, "negative extent, [1,-8,-8,2]");
  expect_refused([&] { conv2d_backward_bias_workspace(device_, wraps); },
                 "conv2d_backward_bias_workspace: dy [1073741824,");
  const ConstFilterView w(memory, 1, 1, 4, 4);
  expect_refused(
      [&] {
        conv2d_forward_workspace(device_, {large, 1 << 28, 16, 4}, w, {});
      },
      "conv2d_forward_workspace: x [1073741824,268435456,16,4]");
  const int most = std::numeric_limits<int>::max();
  const ConstFilterView square(memory, 1, 1, most, most);
  expect_refused(
      [&] {
        conv2d_forward(stream_, ConstTensorView(memory, {1, 1, 1, most}), square, {}, {},
                       {memory, {1, 1, 1, most}});
      },
      "conv2d_forward: the filter [1,1,2147483647,2147483647] spans more elements than the "
      "2305843009213693951 of 4 bytes");
  const MatrixView rows(memory, 3, 9, stride);
  expect_refused([&] { gather_patches(stream_, x_, 3, 3, {}, nullptr, rows); },
                 "rows is 3x9 with row stride 2305843009213693952, it spans more elements than the "
                 "2305843009213693951 of 4 bytes");
  expect_refused(
      [&] {
        fill(stream_, {memory, stride}, 0.0f);
      },
      "fill: to has 2305843009213693952 elements, 0 to 2305843009213693951 are possible");
  expect_refused(
      [&] {
        multiply(stream_, {memory, stride}, {memory, stride}, 1.0f, false, {memory, stride});
      },
      "multiply: to has 2305843009213693952 elements, 0 to 2305843009213693951");
}

/// On the host and at GPU block shapes: the stride leaves one output, whose
/// gradient reaches one element of dx; all others are 0, and each must be written.
void expect_one_gradient(int height, int width, int stride) {
  const auto elements = static_cast<std::size_t>(height) * static_cast<std::size_t>(width);
  for (const DeviceInfo& info : Device::list()) {
    if (info.device != "host" && info.device != "emulated") continue;
    SCOPED_TRACE(info.device + ", stride " + std::to_string(stride));
    const Device device = Device::open(info.device);
    const Stream stream(device);
    Tensor dy(device, {1, 1, 1, 1}), dx(device, {1, height, width, 1});
    const std::vector<float> two = {2.0f};
    const std::vector<float> nothing(elements, std::numeric_limits<float>::quiet_NaN());
    dy.upload(stream, two);
    dx.upload(stream, nothing);
    DeviceArray<float> w(device, 1), scratch(device, 1024);
    const float three = 3.0f;
    w.upload(stream, &three, 1);
    stream.synchronise();
    conv2d_backward_data(stream, dy, ConstFilterView(w.data(), 1, 1, 1, 1),
                         {.geometry = {.stride_h = stride, .stride_w = stride}},
                         {scratch.data(), scratch.bytes()}, dx);
    std::vector<float> expected(elements, 0.0f);
    expected[0] = 6.0f;
    EXPECT_TRUE(dx.to_host(stream) == expected);
  }
}

TEST(ConvolutionStride, LargerThanTheImage) {
  for (const int stride : {256, 46341, 65536}) expect_one_gradient(40, 30, stride);
}

/// One phase a pixel: more than a grid may have blocks in y.
TEST(ConvolutionStride, MorePhasesThanAGridHasRows) {
  constexpr int kHeight = 260, kWidth = 258;
  static_assert(kHeight * kWidth > 65535, "more phases than blocks in y");
  expect_one_gradient(kHeight, kWidth, 300);
}

TEST(StreamWait, AcrossTargetsHoldsToo) {
  if (!testing::has_device("emulated")) GTEST_SKIP() << "this build has no emulated target";
  const Stream late{Device::open("emulated")}, host{Device::open("host")};
  DeviceArray<float> on_device(late.device(), 4);
  fill(late, {on_device.data(), 4}, 1.0f);
  std::vector<float> copy(4, 0.0f);
  on_device.download(late, copy.data(), 4);
  EXPECT_EQ(copy, std::vector<float>(4, 0.0f)) << "emulated streams are late";
  host.wait(late);
  EXPECT_EQ(copy, std::vector<float>(4, 1.0f));
}

}  // namespace
}  // namespace curvseg
