// Transposed copies, on every target.
#include "transpose/transpose.hpp"

#include <numeric>
#include <string>

#include "support/schedules.hpp"
#include "support/sparse_memory.hpp"
#include "support/targets.hpp"

namespace curvseg::testing {
namespace {

class TransposeKernel : public TargetTest {
 protected:
  std::vector<float> transpose(std::int64_t batch, int rows, int columns,
                               const std::vector<float>& from) const {
    auto device = upload(from);
    auto to = output<float>(from.size());
    kernels().transpose(stream(), {batch, rows, columns, device.get(), to.get()});
    return download(to);
  }
};

std::vector<float> counted(std::size_t n) {
  std::vector<float> result(n);
  std::iota(result.begin(), result.end(), 1.0f);
  return result;
}

TEST_P(TransposeKernel, EveryElementFindsItsPlace) {
  const int sizes[][3] = {{1, 1, 1},   {3, 1, 7},  {3, 7, 1},   {9, 16, 32}, {2, 31, 33},
                          {1, 32, 64}, {5, 3, 65}, {1, 97, 50}, {9, 33, 8}};
  for (const auto& [batch, rows, columns] : sizes) {
    SCOPED_TRACE(std::to_string(batch) + "x" + std::to_string(rows) + "x" +
                 std::to_string(columns));
    const auto b = static_cast<std::size_t>(batch), r = static_cast<std::size_t>(rows),
               c = static_cast<std::size_t>(columns);
    const std::vector<float> from = counted(b * r * c);
    const std::vector<float> to = transpose(batch, rows, columns, from);
    for (std::size_t k = 0; k < b; ++k)
      for (std::size_t i = 0; i < r; ++i)
        for (std::size_t j = 0; j < c; ++j)
          ASSERT_EQ(to[(k * c + j) * r + i], from[(k * r + i) * c + j])
              << k << " " << i << " " << j;
    EXPECT_EQ(transpose(batch, columns, rows, to), from);
  }
}

TEST_P(TransposeKernel, NothingToDo) {
  EXPECT_TRUE(transpose(0, 3, 4, {}).empty());
  EXPECT_TRUE(transpose(2, 0, 4, {}).empty());
  EXPECT_TRUE(transpose(2, 4, 0, {}).empty());
}

TEST_P(TransposeKernel, EveryScheduleGivesTheSameBits) {
  const std::vector<float> from = counted(4 * 67 * 45);
  expect_same_on_every_schedule(GetParam(), [&] { return transpose(4, 67, 45, from); });
}

TEST_P(TransposeKernel, MoreTilesThanBlocks) {
  if (emulated()) GTEST_SKIP() << "two million elements are too many for the emulated target";
  const std::vector<float> from = counted(70'000 * 2 * 16);
  EXPECT_EQ(transpose(70'000, 16, 2, transpose(70'000, 2, 16, from)), from);
}

TEST_P(TransposeKernel, MoreThanTwoToTheThirtyOneElements) {
  if (GetParam() != "host")
    GTEST_SKIP() << "walks 8 GiB that the test maps itself: only where that is quick";
  struct Shape {
    std::int64_t batch;
    int rows, columns;
  };
  // Many matrices, and a long one.
  for (const Shape& s : {Shape{(1 << 21) + 1, 32, 32}, Shape{1, (1 << 26) + 1, 32}}) {
    SCOPED_TRACE(std::to_string(s.batch) + " of " + std::to_string(s.rows));
    const std::int64_t n = s.batch * s.rows * s.columns;
    const SparseMemory from(static_cast<std::size_t>(n) * sizeof(float));
    const RepeatingMemory to(n);
    if (!from.get() || !to.get()) GTEST_SKIP() << "16 GiB of address space are not to be had here";
    // The last row of the last matrix becomes its last column.
    for (int j = 0; j < s.columns; ++j) from.get()[n - s.columns + j] = static_cast<float>(j + 1);
    kernels().transpose(stream(), {s.batch, s.rows, s.columns, from.get(), to.get()});
    // Where memory is not shared with what lies before.
    for (int j = s.rows < 100 ? 0 : s.columns - 1; j < s.columns; ++j) {
      const float* end = to.get() + n - static_cast<std::int64_t>(s.columns - 1 - j) * s.rows;
      EXPECT_EQ(end[-1], static_cast<float>(j + 1));
      EXPECT_EQ(end[-2], 0.0f);
    }
  }
}

CURVSEG_INSTANTIATE_TARGETS(TransposeKernel);

}  // namespace
}  // namespace curvseg::testing
