// Predictions and confusion matrices against naive loops, on every target.
#include <algorithm>
#include <cmath>
#include <string>

#include "support/pixels.hpp"
#include "support/random_data.hpp"
#include "support/schedules.hpp"
#include "support/sparse_memory.hpp"

namespace curvseg::testing {
namespace {

using Labels = std::vector<std::int32_t>;
using Counts = std::vector<unsigned long long>;

class MetricsKernels : public PixelTest {
 protected:
  /// The NaN of a gap that is read would win.
  Labels argmax(int classes, const std::vector<float>& x, PixelLayout layout = {}) const {
    const std::size_t pixels = x.size() / static_cast<std::size_t>(classes);
    const auto device_x = upload_pixels(x, classes, layout);
    auto label = output<std::int32_t>(pixels);
    kernels().argmax(stream(), {.pixels = static_cast<std::int64_t>(pixels),
                                .classes = classes,
                                .x = device_x.get(),
                                .ldx = device_x.ld(),
                                .label = label.get()});
    return download(label);
  }

  Counts confusion(int classes, const Labels& truth, const Labels& prediction,
                   const Counts& old) const {
    auto device_truth = upload(truth), device_prediction = upload(prediction);
    auto matrix = upload(old);
    kernels().confusion_matrix(stream(), {.pixels = static_cast<std::int64_t>(truth.size()),
                                          .classes = classes,
                                          .truth = device_truth.get(),
                                          .prediction = device_prediction.get(),
                                          .matrix = matrix.get()});
    return download(matrix);
  }
};

TEST_P(MetricsKernels, TheFirstLargestWins) {
  EXPECT_EQ(argmax(3, {1, 2, 3,   //
                       5, 5, 5,   //
                       -1, 0, 0,  //
                       -INFINITY, -INFINITY, -INFINITY}),
            (Labels{2, 0, 1, 0}));
  EXPECT_EQ(argmax(1, {7, NAN}), (Labels{0, 0}));
}

TEST_P(MetricsKernels, TheFirstNanWins) {
  EXPECT_EQ(argmax(3, {1, NAN, INFINITY,  //
                       NAN, 2, NAN,       //
                       9, 8, NAN}),
            (Labels{1, 0, 2}));
}

TEST_P(MetricsKernels, ArgmaxAgreesWithTheReferenceAtEveryShape) {
  std::vector<std::pair<int, int>> shapes{{1, 1}, {257, 2}, {33, 12}, {3, 1001}};
  if (!emulated()) shapes.push_back({597 * 43, 3});
  unsigned seed = 60;
  for (const auto& [pixels, classes] : shapes) {
    SCOPED_TRACE(std::to_string(pixels) + " pixels, " + std::to_string(classes) + " classes");
    const auto c = static_cast<std::size_t>(classes);
    const auto x = small_integers(static_cast<std::size_t>(pixels) * c, ++seed, 5);  // many ties
    Labels expected;
    for (std::size_t p = 0; p < x.size(); p += c)
      expected.push_back(static_cast<std::int32_t>(
          std::max_element(x.begin() + static_cast<std::ptrdiff_t>(p),
                           x.begin() + static_cast<std::ptrdiff_t>(p + c)) -
          x.begin() - static_cast<std::ptrdiff_t>(p)));
    for (const PixelLayout& layout : pixel_layouts())
      EXPECT_EQ(argmax(classes, x, layout), expected) << name_of(layout);
  }
}

TEST_P(MetricsKernels, EveryScheduleGivesTheSameBits) {
  for (const int classes : {2, 37}) {
    const std::size_t pixels = emulated() ? 3'001 : 60'007;  // several blocks
    const auto x = small_integers(pixels * static_cast<std::size_t>(classes), 72, 5);
    expect_same_on_every_schedule(GetParam(), [&] { return argmax(classes, x, {3, 1}); });
  }
}

TEST_P(MetricsKernels, ConfusionCountsPairsOnTopOfTheOldOnes) {
  EXPECT_EQ(confusion(2, {0, 0, 1, 1, 1, -1, 2}, {0, 1, 1, 1, 0, 0, 1}, {10, 20, 30, 1ull << 40}),
            (Counts{11, 21, 31, (1ull << 40) + 2}));
  // A prediction may be out of range as well.
  EXPECT_EQ(confusion(1, {0, 0, 0}, {0, 1, -7}, {0}), (Counts{1}));
}

TEST_P(MetricsKernels, ConfusionAgreesWithTheReferenceAtEveryShape) {
  std::vector<std::pair<int, int>> shapes{{1, 1}, {1000, 2}, {999, 32}, {700, 33}, {500, 257}};
  if (!emulated()) shapes.insert(shapes.end(), {{1'000'003, 3}, {300'007, 150}});
  for (const auto& shape : shapes) {
    const int pixels = shape.first, classes = shape.second;
    SCOPED_TRACE(std::to_string(pixels) + " pixels, " + std::to_string(classes) + " classes");
    std::mt19937 engine(70);
    const auto c = static_cast<std::size_t>(classes);
    Labels truth, prediction;
    Counts expected(c * c, 3);
    for (int i = 0; i < pixels; ++i) {
      // Half of the pixels are of class 0, as backgrounds are; −1 and `classes` are left out.
      const auto any = [&] {
        const auto label = static_cast<std::int32_t>(engine() % (c + 2)) - 1;
        return engine() % 2 == 0 ? 0 : label;
      };
      const std::int32_t t = any(), y = any();
      truth.push_back(t);
      prediction.push_back(y);
      if (t >= 0 && t < classes && y >= 0 && y < classes)
        ++expected[static_cast<std::size_t>(t) * c + static_cast<std::size_t>(y)];
    }
    const Counts old(c * c, 3);
    EXPECT_EQ(confusion(classes, truth, prediction, old), expected);
    expect_same_on_every_schedule(GetParam(),
                                  [&] { return confusion(classes, truth, prediction, old); });
  }
}

TEST_P(MetricsKernels, NoPixels) {
  EXPECT_TRUE(argmax(3, {}).empty());
  EXPECT_EQ(confusion(2, {}, {}, {1, 2, 3, 4}), (Counts{1, 2, 3, 4}));
}

TEST_P(MetricsKernels, OffsetsBeyondTwoToTheThirtyOneElements) {
  CURVSEG_SKIP_WITHOUT_FAR_MEMORY();
  for (const int classes : {3, 40}) {
    const auto x = small_integers(static_cast<std::size_t>(5 * classes), 71, 5);
    EXPECT_EQ(argmax(classes, x, kFarPixels), argmax(classes, x));
  }
}

TEST_P(MetricsKernels, MoreThanTwoToTheThirtyOnePixels) {
  if (GetParam() != "host")
    GTEST_SKIP() << "walks 8 GiB that the test maps itself: only where that is quick";
  const std::int64_t n = kBeyondTwoToTheThirtyOne;
  const SparseMemory memory(static_cast<std::size_t>(n) * sizeof(std::int32_t));
  if (!memory.get()) GTEST_SKIP() << "8 GiB of address space are not to be had here";
  auto* labels = reinterpret_cast<std::int32_t*>(memory.get());
  labels[n - 6] = labels[n - 1] = 1;
  auto matrix = upload(Counts(4, 0));
  kernels().confusion_matrix(
      stream(),
      {.pixels = n, .classes = 2, .truth = labels, .prediction = labels, .matrix = matrix.get()});
  EXPECT_EQ(download(matrix), (Counts{static_cast<unsigned long long>(n) - 2, 0, 0, 2}));
}

TEST_P(MetricsKernels, ArgmaxOfMoreThanTwoToTheThirtyOnePixels) {
  if (GetParam() != "host")
    GTEST_SKIP() << "walks 8 GiB that the test maps itself: only where that is quick";
  // Pixels overlap: two classes of each, one element further on.
  const std::int64_t n = kBeyondTwoToTheThirtyOne;
  const SparseMemory x(static_cast<std::size_t>(n + 1) * sizeof(float));
  const RepeatingMemory memory(n);
  if (!x.get() || !memory.get()) GTEST_SKIP() << "16 GiB of address space are not to be had here";
  auto* label = reinterpret_cast<std::int32_t*>(memory.get());
  for (std::int64_t i = n - 9; i < n; ++i) label[i] = -1;
  x.get()[n - 5] = x.get()[n] = 1.0f;
  kernels().argmax(stream(), {.pixels = n, .classes = 2, .x = x.get(), .ldx = 1, .label = label});
  EXPECT_EQ(Labels(label + n - 9, label + n), (Labels{0, 0, 0, 1, 0, 0, 0, 0, 1}));
}

CURVSEG_INSTANTIATE_TARGETS(MetricsKernels);

}  // namespace
}  // namespace curvseg::testing
