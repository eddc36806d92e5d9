#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <set>
#include <thread>

#include "curvseg/data.hpp"
#include "host/data/random.hpp"

namespace curvseg {
namespace {

/// Sample i is filled with the value i; sizes repeat the given list. Reading takes a while that
/// depends on the index, so that threads overtake each other.
class FakeDataset final : public Dataset {
 public:
  FakeDataset(std::size_t count, std::vector<ImageSize> sizes)
      : count_(count), sizes_(std::move(sizes)) {}

  [[nodiscard]] std::size_t size() const override { return count_; }
  [[nodiscard]] Sample get(std::size_t index) const override {
    if (slow) {
      std::this_thread::sleep_for(std::chrono::microseconds(mix64(index) % 300));
    }
    if (index == bad) {
      throw InputError("sample " + std::to_string(index) + " is damaged");
    }
    const ImageSize s = image_size(index);
    Sample sample;
    sample.height = s.height;
    sample.width = s.width;
    sample.channels = 2;
    const auto pixels = static_cast<std::size_t>(s.height * s.width);
    for (std::size_t i = 0; i < pixels; ++i) {
      sample.image.push_back(static_cast<float>(index));
      sample.image.push_back(static_cast<float>(i));
    }
    sample.labels.assign(classification ? 1 : pixels, static_cast<std::int32_t>(index));
    return sample;
  }
  [[nodiscard]] ImageSize image_size(std::size_t index) const override {
    return sizes_[index % sizes_.size()];
  }
  [[nodiscard]] int channels() const override { return 2; }
  [[nodiscard]] int classes() const override { return 1000; }
  [[nodiscard]] std::vector<std::string> class_names() const override { return {}; }
  [[nodiscard]] bool is_classification() const override { return classification; }
  [[nodiscard]] std::string name() const override { return "fake"; }

  bool slow = false;
  bool classification = false;
  std::size_t bad = SIZE_MAX;

 private:
  std::size_t count_;
  std::vector<ImageSize> sizes_;
};

bool operator==(const Batch& a, const Batch& b) {
  return a.n == b.n && a.h == b.h && a.w == b.w && a.c == b.c && a.images == b.images &&
         a.labels == b.labels && a.indices == b.indices;
}

std::vector<Batch> collect(DataLoader& loader, std::uint64_t epoch, std::size_t first = 0) {
  std::vector<Batch> batches;
  loader.start_epoch(epoch, first);
  Batch batch;
  while (loader.next(batch)) {
    batches.push_back(batch);
  }
  return batches;
}

std::vector<std::vector<std::size_t>> indices_of(const std::vector<Batch>& batches) {
  std::vector<std::vector<std::size_t>> indices;
  for (const Batch& batch : batches) {
    indices.push_back(batch.indices);
  }
  return indices;
}

using Indices = std::vector<std::vector<std::size_t>>;

TEST(DataLoader, InOrderWithALastPartialBatch) {
  const FakeDataset set(5, {{1, 2}});
  DataLoader loader(set, {.batch = 2, .normalisation = {{1.0F, 0.0F}, {2.0F, 4.0F}}});
  const auto batches = collect(loader, 0);
  EXPECT_EQ(indices_of(batches), (Indices{{0, 1}, {2, 3}, {4}}));
  EXPECT_EQ(loader.batches(0), 3U);
  EXPECT_EQ(batches[1].n, 2);
  EXPECT_EQ(batches[1].h, 1);
  EXPECT_EQ(batches[1].w, 2);
  EXPECT_EQ(batches[1].c, 2);
  EXPECT_EQ(batches[1].images, (std::vector<float>{0.5F, 0, 0.5F, 0.25F, 1, 0, 1, 0.25F}));
  EXPECT_EQ(batches[1].labels, (std::vector<std::int32_t>{2, 2, 3, 3}));
  Batch unchanged;
  unchanged.n = 77;
  EXPECT_FALSE(loader.next(unchanged));
  EXPECT_EQ(unchanged.n, 77);
}

TEST(DataLoader, NothingBeforeTheFirstEpoch) {
  const FakeDataset set(2, {{1, 1}});
  DataLoader loader(set, {});
  Batch batch;
  EXPECT_FALSE(loader.next(batch));
}

TEST(DataLoader, DropLast) {
  const FakeDataset set(5, {{1, 1}});
  DataLoader loader(set, {.batch = 2, .drop_last = true});
  EXPECT_EQ(indices_of(collect(loader, 0)), (Indices{{0, 1}, {2, 3}}));
}

TEST(DataLoader, ClassificationLabels) {
  FakeDataset set(3, {{2, 2}});
  set.classification = true;
  DataLoader loader(set, {.batch = 3});
  EXPECT_EQ(collect(loader, 0)[0].labels, (std::vector<std::int32_t>{0, 1, 2}));
}

TEST(DataLoader, ShufflingSeesEverySampleOnceInANewOrderEachEpoch) {
  const FakeDataset set(50, {{1, 1}});
  DataLoader loader(set, {.batch = 7, .shuffle = true, .seed = 3});
  std::set<std::vector<std::size_t>> orders;
  for (std::uint64_t epoch = 0; epoch < 3; ++epoch) {
    std::vector<std::size_t> order;
    for (const Batch& batch : collect(loader, epoch)) {
      order.insert(order.end(), batch.indices.begin(), batch.indices.end());
    }
    orders.insert(order);
    EXPECT_EQ(std::set<std::size_t>(order.begin(), order.end()).size(), 50U);
    EXPECT_EQ(order.size(), 50U);
  }
  EXPECT_EQ(orders.size(), 3U);
  DataLoader other(set, {.batch = 7, .shuffle = true, .seed = 4});
  EXPECT_NE(indices_of(collect(loader, 0)), indices_of(collect(other, 0)));
}

LoaderOptions busy_options() {
  return {.batch = 4,
          .shuffle = true,
          .seed = 9,
          .augment = {.crop_height = 3,
                      .crop_width = 3,
                      .flip_horizontal = true,
                      .rotate = true,
                      .scale_min = 0.5F,
                      .scale_max = 2.0F},
          .normalisation = {{0.5F, 3.0F}, {2.0F, 3.0F}},
          .samples_per_epoch = 61};
}

TEST(DataLoader, SameBitsForAnyNumberOfThreadsAndQueueDepth) {
  FakeDataset set(23, {{5, 4}, {3, 7}, {2, 2}});
  LoaderOptions options = busy_options();
  options.threads = 0;
  DataLoader reference(set, options);
  const auto expected = collect(reference, 6);
  ASSERT_EQ(expected.size(), 16U);
  set.slow = true;
  for (const int threads : {1, 2, 5}) {
    for (const int depth : {1, 3, 20}) {
      options.threads = threads;
      options.queue_depth = depth;
      DataLoader loader(set, options);
      const auto actual = collect(loader, 6);
      ASSERT_EQ(actual.size(), expected.size());
      for (std::size_t i = 0; i < actual.size(); ++i) {
        EXPECT_TRUE(actual[i] == expected[i]) << threads << " threads, batch " << i;
      }
    }
  }
}

TEST(DataLoader, StartsInTheMiddleOfAnEpoch) {
  FakeDataset set(23, {{5, 4}, {3, 7}});
  set.slow = true;
  LoaderOptions options = busy_options();
  options.threads = 2;
  DataLoader loader(set, options);
  const auto all = collect(loader, 2);
  for (const std::size_t first : {std::size_t{1}, std::size_t{9}, all.size() - 1}) {
    DataLoader fresh(set, options);
    const auto rest = collect(fresh, 2, first);
    ASSERT_EQ(rest.size(), all.size() - first);
    for (std::size_t i = 0; i < rest.size(); ++i) {
      EXPECT_TRUE(rest[i] == all[first + i]) << i;
    }
  }
  EXPECT_TRUE(collect(loader, 2, all.size() + 5).empty());
}

TEST(DataLoader, AnEpochMayBeAbandoned) {
  FakeDataset set(40, {{2, 2}});
  set.slow = true;
  DataLoader loader(set, {.batch = 2, .shuffle = true, .threads = 3});
  DataLoader calm(set, {.batch = 2, .shuffle = true, .threads = 0});
  for (std::uint64_t epoch = 0; epoch < 20; ++epoch) {
    loader.start_epoch(epoch);
    Batch batch;
    ASSERT_TRUE(loader.next(batch));
    calm.start_epoch(epoch);
    Batch expected;
    ASSERT_TRUE(calm.next(expected));
    EXPECT_TRUE(batch == expected);
  }
}

TEST(DataLoader, SamplesPerEpochPassesThroughTheSetAgain) {
  const FakeDataset set(3, {{4, 4}});
  DataLoader loader(set, {.batch = 4,
                          .shuffle = true,
                          .augment = {.crop_height = 1, .crop_width = 1},
                          .samples_per_epoch = 30});
  std::vector<int> seen(3, 0);
  std::set<float> places;
  for (const Batch& batch : collect(loader, 0)) {
    for (std::size_t i = 0; i < batch.indices.size(); ++i) {
      ++seen[batch.indices[i]];
      places.insert(batch.images[2 * i + 1]);
    }
  }
  EXPECT_EQ(seen, (std::vector<int>{10, 10, 10}));
  EXPECT_GT(places.size(), 5U);  // other crops each time
  DataLoader few(set, {.batch = 4, .samples_per_epoch = 2});
  EXPECT_EQ(indices_of(collect(few, 0)), (Indices{{0, 1}}));
}

TEST(DataLoader, MixedSizesInOrderEndABatchEarly) {
  const FakeDataset set(5, {{1, 1}, {1, 1}, {2, 2}});
  DataLoader loader(set, {.batch = 4});
  EXPECT_EQ(indices_of(collect(loader, 0)), (Indices{{0, 1}, {2}, {3, 4}}));
}

TEST(DataLoader, MixedSizesShuffledAreCollectedPerSize) {
  const FakeDataset set(20, {{1, 1}, {2, 2}});
  DataLoader loader(set, {.batch = 4, .shuffle = true});
  std::multiset<int> sizes;
  std::size_t samples = 0;
  for (const Batch& batch : collect(loader, 0)) {
    sizes.insert(batch.n);
    samples += batch.indices.size();
    for (const std::size_t index : batch.indices) {
      EXPECT_EQ(set.image_size(index).height, batch.h);
    }
  }
  EXPECT_EQ(samples, 20U);
  EXPECT_EQ(sizes, (std::multiset<int>{4, 4, 4, 4, 2, 2}));
}

TEST(DataLoader, ErrorsOfTheBackgroundReachNext) {
  for (const int threads : {0, 1, 3}) {
    FakeDataset set(10, {{1, 1}});
    set.bad = 5;
    DataLoader loader(set, {.batch = 2, .threads = threads});
    loader.start_epoch(0);
    Batch batch;
    EXPECT_TRUE(loader.next(batch));
    EXPECT_TRUE(loader.next(batch));
    EXPECT_THROW(loader.next(batch), InputError);
    EXPECT_FALSE(loader.next(batch));
    set.bad = SIZE_MAX;
    EXPECT_EQ(collect(loader, 1).size(), 5U);
  }
}

TEST(DataLoader, RefusesTheImpossible) {
  const FakeDataset set(10, {{1, 1}});
  EXPECT_THROW(DataLoader(set, {.batch = 0}), Error);
  EXPECT_THROW(DataLoader(set, {.threads = -1}), Error);
  EXPECT_THROW(DataLoader(set, {.queue_depth = 0}), Error);
  EXPECT_THROW(DataLoader(set, {.augment = {.crop_height = -3}}), Error);
  EXPECT_THROW(DataLoader(set, {.normalisation = {{1.0F}, {1.0F}}}), Error);
}

TEST(ValidatePixels, DefaultReadsEverySample) {
  FakeDataset set(10, {{1, 1}});
  EXPECT_NO_THROW(set.validate_pixels());
  set.bad = 9;
  EXPECT_THROW(set.validate_pixels(), InputError);
}

}  // namespace
}  // namespace curvseg
