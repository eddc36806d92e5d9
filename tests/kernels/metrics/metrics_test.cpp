// Predictions and confusion matrices against naive loops, on every target.
#include <algorithm>
#include <cmath>
#include <string>

#include "support/random_data.hpp"
#include "support/schedules.hpp"
#include "support/sparse_memory.hpp"
#include "support/targets.hpp"

namespace curvseg::testing {
namespace {

using Labels = std::vector<std::int32_t>;
using Counts = std::vector<unsigned long long>;

class MetricsKernels : public TargetTest {
 protected:
  Labels argmax(int classes, const std::vector<float>& x, int gap = 0) const {
    const auto c = static_cast<std::size_t>(classes), ld = c + static_cast<std::size_t>(gap);
    const std::size_t pixels = x.size() / c;
    std::vector<float> all(pixels * ld, INFINITY);  // a gap that is read would win
    for (std::size_t i = 0; i < x.size(); ++i) all[i / c * ld + i % c] = x[i];
    auto device_x = upload(all);
    auto label = output<std::int32_t>(pixels);
    kernels().argmax(stream(), {.pixels = static_cast<std::int64_t>(pixels),
                                .classes = classes,
                                .x = device_x.get(),
                                .ldx = static_cast<std::int64_t>(ld),
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
    EXPECT_EQ(argmax(classes, x), expected);
    EXPECT_EQ(argmax(classes, x, 3), expected);
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
  if (GetParam().rfind("host", 0) != 0)
    GTEST_SKIP() << "needs memory that the test maps itself, which only the host target reads";
  const std::int64_t ld = std::int64_t{1} << 30;
  const SparseMemory x(static_cast<std::size_t>(4 * ld) * sizeof(float));
  if (!x.get()) GTEST_SKIP() << "16 GiB of address space are not to be had here";
  for (const int pixel : {0, 1, 2, 3}) x.get()[pixel * ld + (pixel + 1) % 3] = 1.0f;
  auto label = output<std::int32_t>(4);
  kernels().argmax(stream(),
                   {.pixels = 4, .classes = 3, .x = x.get(), .ldx = ld, .label = label.get()});
  EXPECT_EQ(download(label), (Labels{1, 2, 0, 1}));
}

CURVSEG_INSTANTIATE_TARGETS(MetricsKernels);

}  // namespace
}  // namespace curvseg::testing
