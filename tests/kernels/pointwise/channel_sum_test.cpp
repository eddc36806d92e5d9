// The bias gradient against the double reference, on every target.
#include <cmath>
#include <string>
#include <vector>

#include "kernels/pointwise/pixel_shape.hpp"
#include "reference/pointwise.hpp"
#include "support/pixels.hpp"
#include "support/random_data.hpp"
#include "support/schedules.hpp"
#include "support/sparse_memory.hpp"

namespace curvseg::testing {
namespace {

/// One split and several; fewer channels than a block has slots, as many, and more.
std::vector<PixelShape> sum_shapes(bool emulated) {
  std::vector<PixelShape> result{{1, 1},   {1, 7},    {300, 1},  {9, 3},   {1000, 12}, {77, 16},
                                 {50, 67}, {40, 256}, {13, 257}, {5, 700}, {33000, 2}, {4000, 20}};
  if (!emulated)
    for (const PixelShape& large :
         {PixelShape{597 * 43, 12}, PixelShape{100000, 16}, PixelShape{70000, 3},
          PixelShape{3000, 515}, PixelShape{500000, 1}})
      result.push_back(large);
  return result;
}

class ChannelSumKernels : public PixelTest {
 protected:
  std::vector<float> sum(const std::vector<float>& values, int channels, PixelLayout layout,
                         const std::vector<float>* old = nullptr, int squared_images = 0) const {
    const auto dy = upload_pixels(values, channels, layout);
    const auto db = old ? upload(*old) : output<float>(static_cast<std::size_t>(channels));
    ChannelSum p;
    p.pixels = static_cast<std::int64_t>(values.size()) / channels;
    p.channels = channels;
    p.dy = dy.get();
    p.ldy = dy.ld();
    p.db = db.get();
    p.accumulate = old != nullptr;
    p.squared_images = squared_images;
    const auto scratch = workspace(kernels().channel_sum_workspace(p));
    p.workspace = scratch.get();
    kernels().channel_sum(stream(), p);
    const auto result = download(db);
    download_pixels(dy);  // fails if gaps were written
    return result;
  }
};

TEST_P(ChannelSumKernels, TinyExample) {
  EXPECT_EQ(sum({1, 10, 2, 20, 3, 30}, 2, {}), (std::vector<float>{6, 60}));
}

TEST_P(ChannelSumKernels, ExactOnIntegers) {
  for (const PixelShape& shape : sum_shapes(emulated()))
    for (const PixelLayout& layout : pixel_layouts()) {
      SCOPED_TRACE(std::to_string(shape.pixels) + " pixels of " + std::to_string(shape.channels) +
                   ", " + name_of(layout));
      const auto channels = static_cast<std::size_t>(shape.channels);
      const auto dy = small_integers(shape.size(), 1), old = small_integers(channels, 2);
      auto expected = reference::channel_sum(dy, channels).db;
      EXPECT_EQ(as_double(sum(dy, shape.channels, layout)), expected);
      for (std::size_t c = 0; c < channels; ++c) expected[c] += static_cast<double>(old[c]);
      EXPECT_EQ(as_double(sum(dy, shape.channels, layout, &old)), expected) << "accumulated";
    }
}

TEST_P(ChannelSumKernels, RoundingStaysWithinItsElementwiseBound) {
  for (const PixelShape& shape : sum_shapes(emulated())) {
    SCOPED_TRACE(std::to_string(shape.pixels) + " pixels of " + std::to_string(shape.channels));
    const auto dy = uniform_floats(shape.size(), 3);
    const auto expected = reference::channel_sum(dy, static_cast<std::size_t>(shape.channels));
    // 2·√n·ε·mean|dy|·√n would do for errors of independent sign; this is c·√n·ε·Σ|dy| with c = 2.
    auto bound = expected.magnitude;
    for (double& b : bound) b *= 2 * std::sqrt(static_cast<double>(shape.pixels)) * 6e-8;
    expect_within(sum(dy, shape.channels, {}), expected.db, bound);
  }
}

/// Σ_n (Σ_p dy[n, p, c])²
std::vector<double> squared_sums(const std::vector<float>& dy, std::size_t channels, int images) {
  std::vector<double> result(channels);
  const auto size = static_cast<std::ptrdiff_t>(dy.size()) / images;
  for (int n = 0; n < images; ++n) {
    const std::vector<float> image(dy.begin() + n * size, dy.begin() + (n + 1) * size);
    const auto sum = reference::channel_sum(image, channels).db;
    for (std::size_t c = 0; c < channels; ++c) result[c] += sum[c] * sum[c];
  }
  return result;
}

TEST_P(ChannelSumKernels, SquaresTheSumsOfImages) {
  EXPECT_EQ(sum({1, 10, 2, 20, 3, 30, 4, 40}, 2, {}, nullptr, 2), (std::vector<float>{58, 5800}));
  for (const int images : {1, 2, 5, 40})
    for (const PixelShape& shape :
         {PixelShape{40, 7}, PixelShape{120, 256}, PixelShape{80, 700}, PixelShape{4000, 20},
          PixelShape{33000, 2}, PixelShape{1200, 130}}) {
      SCOPED_TRACE(std::to_string(images) + " images of together " + std::to_string(shape.pixels) +
                   " pixels of " + std::to_string(shape.channels));
      const auto channels = static_cast<std::size_t>(shape.channels);
      const auto dy = small_integers(shape.size(), 6), old = small_integers(channels, 7);
      auto expected = squared_sums(dy, channels, images);
      for (const double value : expected) ASSERT_LT(value, 1 << 24) << "not exact in float32";
      for (const PixelLayout& layout : pixel_layouts())
        EXPECT_EQ(as_double(sum(dy, shape.channels, layout, nullptr, images)), expected);
      for (std::size_t c = 0; c < channels; ++c) expected[c] += static_cast<double>(old[c]);
      EXPECT_EQ(as_double(sum(dy, shape.channels, {}, &old, images)), expected) << "accumulated";
    }
}

TEST_P(ChannelSumKernels, NanReachesItsChannelAndNoOther) {
  auto dy = small_integers(3000 * 20, 4);
  dy[1234 * 20 + 17] = NAN;
  const auto db = sum(dy, 20, {});
  for (std::size_t c = 0; c < 20; ++c) EXPECT_EQ(std::isnan(db[c]), c == 17) << c;
}

TEST_P(ChannelSumKernels, TheSameBitsOnEverySchedule) {
  const auto dy = uniform_floats(5000 * 13, 5);
  expect_same_on_every_schedule(GetParam(), [&] { return sum(dy, 13, {3, 1}); });
}

TEST_P(ChannelSumKernels, EmptyTensors) {
  // No pixels: the sum of nothing is 0, and it is written.
  EXPECT_EQ(sum({}, 5, {}), std::vector<float>(5, 0.0f));
  const std::vector<float> old{1, 2, 3, 4, 5};
  EXPECT_EQ(sum({}, 5, {}, &old), old);
  ChannelSum nothing;
  nothing.pixels = 7;
  EXPECT_EQ(kernels().channel_sum_workspace(nothing), 0);
  kernels().channel_sum(stream(), nothing);
  synchronise();
}

TEST_P(ChannelSumKernels, MoreThanTwoToTheThirtyOneElements) {
  if (GetParam() != "host")
    GTEST_SKIP() << "needs memory that the test maps itself, which only the host target reads, "
                    "and too long for its baseline";
  constexpr std::int64_t kPixels = (std::int64_t{1} << 30) + 12345;
  const SparseMemory memory(static_cast<std::size_t>(2 * kPixels) * sizeof(float));
  float* dy = memory.get();
  if (!dy) GTEST_SKIP() << "8 GiB of address space are not to be had here";
  dy[0] = 1.0f;
  dy[kPixels + 1] = 2.0f;
  dy[2 * kPixels - 2] = 4.0f;
  dy[2 * kPixels - 1] = 8.0f;
  const auto db = output<float>(2);
  ChannelSum p{kPixels, 2, dy, 2, db.get(), false, nullptr};
  const auto scratch = workspace(kernels().channel_sum_workspace(p));
  p.workspace = scratch.get();
  kernels().channel_sum(stream(), p);
  // kPixels is odd, so kPixels + 1 is even: channel 0.
  EXPECT_EQ(download(db), (std::vector<float>{7, 8}));
}

TEST_P(ChannelSumKernels, OffsetsBeyondTwoToTheThirtyOneElements) {
  CURVSEG_SKIP_WITHOUT_FAR_MEMORY();
  for (const int channels : {3, 8}) {
    const auto values = small_integers(static_cast<std::size_t>(6 * channels), 12);
    EXPECT_EQ(sum(values, channels, kFarPixels), sum(values, channels, {}));
    EXPECT_EQ(sum(values, channels, kFarPixels, nullptr, 2), sum(values, channels, {}, nullptr, 2));
  }
}

CURVSEG_INSTANTIATE_TARGETS(ChannelSumKernels);

}  // namespace
}  // namespace curvseg::testing
