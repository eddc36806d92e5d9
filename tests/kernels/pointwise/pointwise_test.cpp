// Pointwise operations against the double reference, on every target.
#include <cmath>
#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

#include "kernels/pointwise/pixel_shape.hpp"
#include "reference/pointwise.hpp"
#include "support/pixels.hpp"
#include "support/random_data.hpp"
#include "support/rounding.hpp"
#include "support/schedules.hpp"
#include "support/sparse_memory.hpp"

namespace curvseg::testing {
namespace {

/// On both sides of a vector, of a flat run of 4096, and more than a grid's first step.
std::vector<PixelShape> shapes(bool emulated) {
  std::vector<PixelShape> result{{1, 1},  {7, 1},   {5, 3},    {9, 12},   {6, 16},
                                 {4, 67}, {3, 260}, {2, 4096}, {1, 4097}, {1400, 3}};
  if (!emulated)
    for (const PixelShape& large :
         {PixelShape{597 * 43, 12}, PixelShape{40000, 1}, PixelShape{3000, 67}})
      result.push_back(large);
  return result;
}

class PointwiseKernels : public PixelTest {
 protected:
  /// Calls test(shape, layout) for all of them. Operands of one call may differ in layout.
  template <class Test>
  void for_each_shape(Test test) const {
    for (const PixelShape& shape : shapes(emulated()))
      for (const PixelLayout& layout : pixel_layouts()) {
        SCOPED_TRACE(std::to_string(shape.pixels) + " pixels of " + std::to_string(shape.channels) +
                     ", " + name_of(layout));
        test(shape, layout);
      }
  }

  void expect_copies(const PixelShape& shape, PixelLayout layout) const {
    const auto x = small_integers(shape.size(), 1, 3), old = small_integers(shape.size(), 2, 3);
    const auto from = upload_pixels(x, shape.channels, layout);
    // Between layouts too: what concatenation does, and undoes.
    for (const PixelLayout& to_layout : {layout, PixelLayout{}}) {
      const auto to = output_pixels(shape.size(), shape.channels, to_layout);
      CopyPixels copy{shape.pixels, shape.channels, from.get(), from.ld(), to.get(), to.ld()};
      kernels().copy_pixels(stream(), copy);
      EXPECT_TRUE(download_pixels(to) == x);
      const auto sum = upload_pixels(old, shape.channels, to_layout);
      copy.to = sum.get();
      copy.scale = 0.5f;
      copy.accumulate = true;
      kernels().copy_pixels(stream(), copy);
      EXPECT_TRUE(as_double(download_pixels(sum)) == reference::scaled_copy(x, 0.5, &old));
    }
  }

  void expect_relu_forward(const PixelShape& shape, PixelLayout layout) const {
    const auto values = small_integers(shape.size(), 3, 3);
    const auto x = upload_pixels(values, shape.channels, layout);
    const auto y = output_pixels(shape.size(), shape.channels, layout);
    kernels().relu_forward(stream(),
                           {shape.pixels, shape.channels, x.get(), x.ld(), y.get(), y.ld()});
    EXPECT_TRUE(as_double(download_pixels(y)) == reference::relu_forward(values));
    kernels().relu_forward(stream(),
                           {shape.pixels, shape.channels, x.get(), x.ld(), x.get(), x.ld()});
    EXPECT_TRUE(as_double(download_pixels(x)) == reference::relu_forward(values)) << "in place";
  }

  void expect_relu_backward(const PixelShape& shape, PixelLayout layout) const {
    const auto kept = small_integers(shape.size(), 4, 3),
               above = small_integers(shape.size(), 5, 3);
    const auto old = small_integers(shape.size(), 6, 3);
    const auto y = upload_pixels(kept, shape.channels);
    const auto dy = upload_pixels(above, shape.channels, layout);
    const auto dx = output_pixels(shape.size(), shape.channels, layout);
    const auto sum = upload_pixels(old, shape.channels, layout);
    ReluBackward backward{shape.pixels, shape.channels, y.get(), y.ld(), dy.get(),
                          dy.ld(),      dx.get(),       dx.ld(), false};
    kernels().relu_backward(stream(), backward);
    EXPECT_TRUE(as_double(download_pixels(dx)) == reference::relu_backward(kept, above, nullptr));
    backward.dx = sum.get();
    backward.accumulate = true;
    kernels().relu_backward(stream(), backward);
    EXPECT_TRUE(as_double(download_pixels(sum)) == reference::relu_backward(kept, above, &old));
    backward.dx = dy.get();
    backward.accumulate = false;
    kernels().relu_backward(stream(), backward);
    EXPECT_TRUE(as_double(download_pixels(dy)) == reference::relu_backward(kept, above, nullptr))
        << "in place";
  }

  void expect_add_bias(const PixelShape& shape, PixelLayout layout) const {
    const auto values = small_integers(shape.size(), 7, 3);
    const auto bias = small_integers(static_cast<std::size_t>(shape.channels), 8, 3);
    const auto x = upload_pixels(values, shape.channels, layout);
    const auto b = upload(bias);
    const auto y = output_pixels(shape.size(), shape.channels);
    AddBias add{shape.pixels, shape.channels, x.get(), x.ld(), b.get(), y.get(), y.ld()};
    kernels().add_bias(stream(), add);
    EXPECT_TRUE(as_double(download_pixels(y)) == reference::add_bias(values, bias));
    add.y = x.get();
    add.ldy = x.ld();
    kernels().add_bias(stream(), add);
    EXPECT_TRUE(as_double(download_pixels(x)) == reference::add_bias(values, bias)) << "in place";
  }
};

TEST_P(PointwiseKernels, FillWritesEveryElement) {
  for (const std::size_t n : {1u, 2u, 4u, 31u, 4096u, 4097u, 70000u}) {
    const auto to = output<float>(n);
    kernels().fill(stream(), {to.get(), static_cast<std::int64_t>(n), -2.5f});
    EXPECT_TRUE(download(to) == std::vector<float>(n, -2.5f)) << n;
  }
  // From an address that allows no wide store.
  const auto to = output<float>(18);
  kernels().fill(stream(), {to.get() + 1, 16, 4.0f});
  const auto values = download(to);
  EXPECT_TRUE(std::isnan(values[0]) && std::isnan(values[17]));
  EXPECT_EQ(std::vector<float>(values.begin() + 1, values.end() - 1), std::vector<float>(16, 4.0f));
}

TEST_P(PointwiseKernels, StoresWordsBitByBit) {
  const std::vector<std::uint32_t> bits{0x7fa00001u, 0x80000000u, 1u, 0xffffffffu};
  for (int words = 0; words <= StoreWords::kMost; ++words) {
    const auto to = upload(std::vector<float>(6, 7.0f));
    StoreWords store{.to = to.get() + 1, .words = words};
    std::memcpy(store.value, bits.data(), sizeof(store.value));
    for (int runs = 0; runs < 2; ++runs) {
      kernels().store_words(stream(), store);
      const auto values = download(to);
      EXPECT_EQ(std::memcmp(values.data() + 1, bits.data(), 4u * static_cast<unsigned>(words)), 0);
      EXPECT_EQ(values[0], 7.0f);
      EXPECT_EQ(values[static_cast<std::size_t>(words) + 1], 7.0f) << words;
    }
  }
}

TEST_P(PointwiseKernels, StoredWordsAreTheSameOnEverySchedule) {
  expect_same_on_every_schedule(GetParam(), [&] {
    const auto to = output<float>(4);
    kernels().store_words(stream(),
                          {.to = to.get(), .words = 4, .value = {1.0f, 2.0f, 3.0f, 4.0f}});
    return download(to);
  });
}

TEST_P(PointwiseKernels, CopyScalesAndAccumulates) {
  for_each_shape(
      [&](const PixelShape& shape, PixelLayout layout) { expect_copies(shape, layout); });
}

TEST_P(PointwiseKernels, ReluForwardIsExact) {
  for_each_shape(
      [&](const PixelShape& shape, PixelLayout layout) { expect_relu_forward(shape, layout); });
}

TEST_P(PointwiseKernels, ReluKeepsNanAndStopsAtZero) {
  std::vector<float> values(18, -1.0f);
  values[3] = NAN;
  values[16] = 0.0f;
  values[17] = NAN;
  const auto x = upload_pixels(values, 18);
  const auto y = output_pixels(18, 18), dx = output_pixels(18, 18);
  kernels().relu_forward(stream(), {1, 18, x.get(), 18, y.get(), 18});
  const auto kept = download_pixels(y);
  for (std::size_t i = 0; i < 18; ++i) {
    EXPECT_EQ(std::isnan(kept[i]), i == 3 || i == 17) << i;
    EXPECT_TRUE(std::isnan(kept[i]) || kept[i] == 0.0f) << i;
  }
  // Neither 0 nor NaN is positive: the derivative is 0, whatever comes from above.
  const auto dy = upload_pixels(std::vector<float>(18, NAN), 18);
  kernels().relu_backward(stream(), {1, 18, y.get(), 18, dy.get(), 18, dx.get(), 18, false});
  EXPECT_EQ(download_pixels(dx), std::vector<float>(18, 0.0f));
}

TEST_P(PointwiseKernels, ReluBackwardIsExact) {
  for_each_shape(
      [&](const PixelShape& shape, PixelLayout layout) { expect_relu_backward(shape, layout); });
}

TEST_P(PointwiseKernels, AddBiasIsExact) {
  for_each_shape(
      [&](const PixelShape& shape, PixelLayout layout) { expect_add_bias(shape, layout); });
}

TEST_P(PointwiseKernels, RandomDataWithinRounding) {
  const PixelShape shape{emulated() ? 300 : 20'011, 13};
  const auto values = uniform_floats(shape.size(), 11), old = uniform_floats(shape.size(), 12);
  const auto bias = uniform_floats(13, 13);
  const auto x = upload_pixels(values, 13, {3, 1}), sum = upload_pixels(old, 13);
  const auto y = output_pixels(shape.size(), 13);
  const auto b = upload(bias);
  kernels().copy_pixels(stream(),
                        {shape.pixels, 13, x.get(), x.ld(), sum.get(), sum.ld(), 0.3f, true});
  kernels().add_bias(stream(), {shape.pixels, 13, x.get(), x.ld(), b.get(), y.get(), y.ld()});
  std::vector<double> copied, copied_bound;
  for (std::size_t i = 0; i < values.size(); ++i) {
    const double scaled = double(0.3f) * values[i];
    copied.push_back(old[i] + scaled);
    copied_bound.push_back(kEpsilon * (std::fabs(old[i]) + std::fabs(scaled)));
  }
  expect_within(download_pixels(sum), copied, copied_bound);
  EXPECT_TRUE(as_double(download_pixels(y)) == rounded(reference::add_bias(values, bias)));
}

TEST_P(PointwiseKernels, EveryScheduleGivesTheSameBits) {
  const PixelShape shape{emulated() ? 1000 : 7'001, 13};  // several blocks
  const auto values = uniform_floats(shape.size(), 9);
  const auto bias = uniform_floats(13, 10);
  expect_same_on_every_schedule(GetParam(), [&] {
    const auto x = upload_pixels(values, 13, {3, 1});
    const auto b = upload(bias), filled = output<float>(shape.size());
    const auto y = output_pixels(shape.size(), 13), dx = output_pixels(shape.size(), 13);
    const auto sum = upload_pixels(values, 13);
    kernels().fill(stream(), {filled.get(), static_cast<std::int64_t>(shape.size()), 0.7f});
    kernels().add_bias(stream(), {shape.pixels, 13, x.get(), x.ld(), b.get(), y.get(), y.ld()});
    kernels().relu_forward(stream(), {shape.pixels, 13, y.get(), y.ld(), y.get(), y.ld()});
    kernels().relu_backward(
        stream(), {shape.pixels, 13, y.get(), y.ld(), x.get(), x.ld(), dx.get(), dx.ld(), false});
    kernels().copy_pixels(stream(),
                          {shape.pixels, 13, dx.get(), dx.ld(), sum.get(), sum.ld(), 0.3f, true});
    std::vector<float> all = download(filled);
    for (const PixelBuffer* part : {&y, &dx, &sum}) {
      const auto dense = download_pixels(*part);
      all.insert(all.end(), dense.begin(), dense.end());
    }
    return all;
  });
}

TEST_P(PointwiseKernels, EmptyTensorsLaunchNothing) {
  const auto nothing = output<float>(0);
  float* at = nothing.get();
  for (const PixelShape& shape : {PixelShape{0, 5}, PixelShape{5, 0}}) {
    kernels().fill(stream(), {at, 0, 1.0f});
    kernels().copy_pixels(stream(), {shape.pixels, shape.channels, at, 8, at, 8});
    kernels().relu_forward(stream(), {shape.pixels, shape.channels, at, 8, at, 8});
    kernels().relu_backward(stream(), {shape.pixels, shape.channels, at, 8, at, 8, at, 8, false});
    kernels().add_bias(stream(), {shape.pixels, shape.channels, at, 8, at, at, 8});
  }
  synchronise();
}

TEST_P(PointwiseKernels, OffsetsBeyondTwoToTheThirtyOneElements) {
  CURVSEG_SKIP_WITHOUT_FAR_MEMORY();
  for (const int channels : {2, 8}) {
    expect_copies({9, channels}, kFarPixels);
    expect_relu_forward({9, channels}, kFarPixels);
    expect_relu_backward({9, channels}, kFarPixels);
    expect_add_bias({9, channels}, kFarPixels);
  }
}

TEST_P(PointwiseKernels, FillOfMoreThanTwoToTheThirtyOneElements) {
  if (GetParam() != "host")
    GTEST_SKIP() << "walks 8 GiB that the test maps itself: only where that is quick";
  const std::int64_t n = kBeyondTwoToTheThirtyOne;
  const RepeatingMemory to(n);
  if (!to.get()) GTEST_SKIP() << "8 GiB of address space are not to be had here";
  kernels().fill(stream(), {to.get(), n, 2.5f});
  for (const std::int64_t i : {std::int64_t{0}, n / 2, n - 7, n - 6, n - 5, n - 1})
    EXPECT_EQ(to.get()[i], 2.5f) << i;
}

CURVSEG_INSTANTIATE_TARGETS(PointwiseKernels);

}  // namespace
}  // namespace curvseg::testing
