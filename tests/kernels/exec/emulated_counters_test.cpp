// Counters against what can be counted by hand, 64 threads being two warps.
#include <utility>

#include "counted_kernels.hpp"
#include "emulated_fixture.hpp"

namespace curvseg {
namespace {

using namespace target_emulated;

class EmulatedCounters : public EmulatedTest {
 protected:
  void SetUp() override {
    EmulatedTest::SetUp();
    set_emulation_options({.counters = true});
    from_ = upload(std::vector<float>(kCountedThreads * 33, 1.0f));
    to_ = allocate<float>(kCountedThreads * 4);
  }
  LaunchRecord only_record() {
    synchronise();
    const std::vector<LaunchRecord> records = take_launch_records();
    EXPECT_EQ(records.size(), 1u);
    return records.at(0);
  }

  float* from_ = nullptr;
  float* to_ = nullptr;
};

TEST_F(EmulatedCounters, OffByDefault) {
  set_emulation_options({});
  strided_read(nullptr, from_, to_, 1);
  synchronise();
  EXPECT_TRUE(take_launch_records().empty());
}

TEST_F(EmulatedCounters, CoalescedAccesses) {
  strided_read(nullptr, from_, to_, 1);
  const LaunchRecord r = only_record();
  EXPECT_EQ(r.kernel, "strided_read_kernel");
  EXPECT_EQ(r.blocks, 1);
  EXPECT_EQ(r.threads, kCountedThreads);
  EXPECT_EQ(r.shared_bytes, 0u);
  EXPECT_EQ(r.global_reads.requests, 2);
  EXPECT_EQ(r.global_reads.sectors, 2 * 4);
  EXPECT_EQ(r.global_reads.bytes, 256);
  EXPECT_EQ(r.global_writes.requests, 2);
  EXPECT_EQ(r.global_writes.sectors, 2 * 4);
  EXPECT_EQ(r.global_writes.bytes, 256);
}

TEST_F(EmulatedCounters, StridedAccesses) {
  for (const auto& [stride, sectors] : {std::pair{0, 1}, {2, 8}, {8, 32}, {33, 32}}) {
    strided_read(nullptr, from_, to_, stride);
    EXPECT_EQ(only_record().global_reads.sectors, 2 * sectors) << "stride " << stride;
  }
}

TEST_F(EmulatedCounters, VectorAccesses) {
  vector_copy(nullptr, from_, to_);
  const LaunchRecord r = only_record();
  EXPECT_EQ(r.global_reads.bytes, 1024);
  EXPECT_EQ(r.global_writes.bytes, 1024);
#if !defined(__clang__)  // clang copies a struct of 16 bytes as two of 8
  EXPECT_EQ(r.global_reads.requests, 2);
  EXPECT_EQ(r.global_reads.sectors, 2 * 16);
#endif
}

TEST_F(EmulatedCounters, BankConflicts) {
  for (const auto& [stride, ways] : {std::pair{1, 1}, {2, 2}, {32, 32}, {33, 1}}) {
    shared_stride(nullptr, to_, stride);
    const LaunchRecord r = only_record();
    EXPECT_EQ(r.shared_writes.requests, 2);
    EXPECT_EQ(r.shared_writes.wavefronts, 2 * ways) << "stride " << stride;
    EXPECT_EQ(r.shared_reads.wavefronts, 2 * ways) << "stride " << stride;
    EXPECT_EQ(r.shared_reads.conflicts(), 2 * (ways - 1));
    EXPECT_EQ(r.barriers, 1);
  }
}

TEST_F(EmulatedCounters, VectorsConflictWithinAQuarterOfAWarp) {
#if !defined(__clang__)
  for (const auto& [stride, ways] : {std::pair{4, 1}, {20, 1}, {32, 8}, {36, 1}, {16, 4}}) {
    shared_vectors(nullptr, to_, stride);
    const LaunchRecord r = only_record();
    EXPECT_EQ(r.shared_reads.requests, 2);
    EXPECT_EQ(r.shared_reads.ideal, 8);
    EXPECT_EQ(r.shared_reads.wavefronts, 8 * ways) << "stride " << stride;
  }
#endif
}

TEST_F(EmulatedCounters, FlopsAndBarriers) {
  multiply_adds(nullptr, to_, 5);
  const LaunchRecord r = only_record();
  EXPECT_EQ(r.flops, 3 * kCountedThreads * 5 * 2);
  EXPECT_EQ(r.barriers, 3 * 5);
  EXPECT_EQ(to_[0], 30.0f);
}

}  // namespace
}  // namespace curvseg
