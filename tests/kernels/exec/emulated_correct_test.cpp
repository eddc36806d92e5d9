// Correct kernels pass every check, with the same bits whatever the order of threads and blocks.
#include <numeric>

#include "correct_kernels.hpp"
#include "emulated_fixture.hpp"

namespace curvseg {
namespace {

using namespace target_emulated;

struct Order {
  FiberOrder order;
  std::uint64_t seed;
};

class EmulatedCorrect : public EmulatedTest, public ::testing::WithParamInterface<Order> {
 protected:
  void SetUp() override {
    EmulatedTest::SetUp();
    set_emulation_options({.order = GetParam().order, .seed = GetParam().seed});
  }
  static std::vector<float> numbers(int n) {
    std::vector<float> values(static_cast<std::size_t>(n));
    for (int i = 0; i < n; ++i)
      values[static_cast<std::size_t>(i)] = static_cast<float>(i % 13 - 6);
    return values;
  }
};

TEST_P(EmulatedCorrect, ReductionWithShuffles) {
  const std::vector<float> values = numbers(256);
  float* to = allocate<float>(1);
  block_sum(nullptr, upload(values), to);
  EXPECT_EQ(download(to, 1)[0], std::accumulate(values.begin(), values.end(), 0.0f));
}

TEST_P(EmulatedCorrect, DoubleBufferedCopies) {
  const int n = 7 * kPipelineTile;
  const std::vector<float> values = numbers(n);
  float* to = allocate<float>(values.size());
  pipeline(nullptr, upload(values), to, n);
  const std::vector<float> result = download(to, values.size());
  for (int i = 0; i < n; ++i) {
    const int next = i / kPipelineTile * kPipelineTile + (i + 1) % kPipelineTile;
    ASSERT_EQ(result[static_cast<std::size_t>(i)],
              2.0f * values[static_cast<std::size_t>(i)] + values[static_cast<std::size_t>(next)]);
  }
}

TEST_P(EmulatedCorrect, Atomics) {
  std::vector<std::uint8_t> values(1003);
  std::vector<unsigned long long> expected(16, 0);
  for (std::size_t i = 0; i < values.size(); ++i) {
    values[i] = static_cast<std::uint8_t>(i * i % 16);
    ++expected[values[i]];
  }
  auto* counts = upload(std::vector<unsigned long long>(16, 0));
  histogram(nullptr, upload(values), static_cast<int>(values.size()), counts);
  EXPECT_EQ(download(counts, 16), expected);
}

TEST_P(EmulatedCorrect, GridStride) {
  const int n = 1001;
  const std::vector<float> values = numbers(n);
  float* to = upload(values);
  scale_and_add(nullptr, 2.0f, upload(values), to, n);
  const std::vector<float> result = download(to, values.size());
  for (std::size_t i = 0; i < values.size(); ++i) ASSERT_EQ(result[i], 3.0f * values[i]);
}

TEST_P(EmulatedCorrect, NeighbouringBytes) {
  auto* bytes = allocate<std::uint8_t>(1003);
  write_bytes(nullptr, bytes, 1003);
  const std::vector<std::uint8_t> result = download(bytes, 1003);
  for (std::size_t i = 0; i < result.size(); ++i) ASSERT_EQ(result[i], i % 251);
}

TEST_P(EmulatedCorrect, WarpSynchronisation) {
  float* to = allocate<float>(kWarpThreads);
  warp_exchange(nullptr, to);
  const std::vector<float> result = download(to, kWarpThreads);
  for (unsigned i = 0; i < kWarpThreads; ++i) {
    const unsigned lane = i % 32, other = lane ^ 16, mirror = other / 16 * 16 + 15 - other % 16;
    ASSERT_EQ(result[i],
              static_cast<float>(lane ^ 1) + 100.0f * static_cast<float>((mirror ^ 1) + 1));
  }
}

TEST_P(EmulatedCorrect, VotesAndShuffles) {
  int* results = allocate<int>(6);
  votes_and_shuffles(nullptr, results);
  EXPECT_EQ(download(results, 6),
            (std::vector<int>{static_cast<int>(0xaaaaaaaau), 1, 0, 5, 1 + 0 * 5, 30}));
}

TEST_P(EmulatedCorrect, GridOfThreeDimensions) {
  int* to = allocate<int>(3 * 4 * 5);
  grid_of_three(nullptr, to, 3, 4, 5);
  std::vector<int> expected(60);
  std::iota(expected.begin(), expected.end(), 0);
  EXPECT_EQ(download(to, 60), expected);
}

TEST_P(EmulatedCorrect, BarrierInALoop) {
  float* to = allocate<float>(kWarpThreads);
  barrier_in_loop(nullptr, to, 6);
  for (const float value : download(to, kWarpThreads)) EXPECT_EQ(value, 3.0f);
}

TEST_P(EmulatedCorrect, StructsMemcpyAndConstants) {
  std::vector<Record> records(70);
  for (std::size_t i = 0; i < records.size(); ++i)
    records[i] = {{static_cast<float>(i), 1, 2, 3, 4, 5, 6, 7, 8}, static_cast<int>(i)};
  auto* to = allocate<Record>(records.size());
  copy_records(nullptr, upload(records), to, static_cast<int>(records.size()));
  const std::vector<Record> result = download(to, records.size());
  for (std::size_t i = 0; i < records.size(); ++i) {
    ASSERT_EQ(result[i].values[0], static_cast<float>(i));
    ASSERT_EQ(result[i].values[8], 8.0f);
    ASSERT_EQ(result[i].tag, 10 * static_cast<int>(i % 4 + 1));
  }
}

using EmulatedRanges = EmulatedTest;

TEST_F(EmulatedRanges, CoverMoreThanTwoToTheThirtyOneIndicesOnce) {
  const std::int64_t n = (std::int64_t{1} << 31) + 5, threads = range_threads(n);
  set_emulation_options({.checks = false});
  auto* counts = allocate<std::int64_t>(static_cast<std::size_t>(threads));
  auto* sums = allocate<std::uint64_t>(static_cast<std::size_t>(threads));
  walk_range(nullptr, n, counts, sums);
  std::int64_t count = 0;
  std::uint64_t sum = 0;
  for (const std::int64_t value : download(counts, static_cast<std::size_t>(threads)))
    count += value;
  for (const std::uint64_t value : download(sums, static_cast<std::size_t>(threads))) sum += value;
  EXPECT_EQ(count, n);
  EXPECT_EQ(sum, static_cast<std::uint64_t>(n) * static_cast<std::uint64_t>((n - 1) / 2));
}

std::string order_name(const ::testing::TestParamInfo<Order>& order) {
  const char* const names[] = {"Ascending", "Descending", "Shuffled"};
  return names[static_cast<int>(order.param.order)] + std::to_string(order.param.seed);
}

INSTANTIATE_TEST_SUITE_P(Orders, EmulatedCorrect,
                         ::testing::Values(Order{FiberOrder::kAscending, 1},
                                           Order{FiberOrder::kDescending, 1},
                                           Order{FiberOrder::kShuffled, 1},
                                           Order{FiberOrder::kShuffled, 2}),
                         order_name);

}  // namespace
}  // namespace curvseg
