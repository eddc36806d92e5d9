// Late streams: work runs when something synchronises it, so what nothing orders shows.
#include <functional>

#include "emulated_fixture.hpp"
#include "planted_defects.hpp"

namespace curvseg {
namespace {

using namespace target_emulated;

constexpr int kStreamFloats = 500;
constexpr std::size_t kBytes = kStreamFloats * sizeof(float);

class EmulatedStreams : public EmulatedTest {
 protected:
  void SetUp() override {
    EmulatedTest::SetUp();
    for (StreamHandle& stream : stream_) stream = runtime_.create_stream(0);
    a_ = allocate<float>(kStreamFloats);
    b_ = allocate<float>(kStreamFloats);
  }
  void TearDown() override {
    // Late work must not run into the next test, its memory gone; what it reports does not matter.
    for (const StreamHandle stream : {StreamHandle(), stream_[0], stream_[1]})
      synchronise_and_report(stream);
    for (const StreamHandle stream : stream_) runtime_.destroy_stream(stream);
    EmulatedTest::TearDown();
  }
  std::string synchronise_and_report(StreamHandle stream) {
    return target_error([&] { runtime_.synchronise(0, stream); });
  }
  static std::string read_line() {
    return " at tests/kernels/exec/planted_defects.cu:" + std::to_string(kReadAllLine);
  }
  static std::string write_line() {
    return " at tests/kernels/exec/planted_defects.cu:" + std::to_string(kWriteAllLine);
  }

  StreamHandle stream_[2] = {};
  float* a_ = nullptr;
  float* b_ = nullptr;
};

TEST_F(EmulatedStreams, NothingRunsBeforeItIsWaitedFor) {
  a_[3] = -1.0f;
  write_all(stream_[0], a_, kStreamFloats);
  runtime_.synchronise(0, stream_[1]);
  runtime_.synchronise(0, nullptr);
  EXPECT_EQ(a_[3], -1.0f);
  runtime_.synchronise(0, stream_[0]);
  EXPECT_EQ(a_[3], 3.0f);
}

TEST_F(EmulatedStreams, TheDefaultStreamIsLateToo) {
  a_[3] = -1.0f;
  write_all(nullptr, a_, kStreamFloats);
  EXPECT_EQ(a_[3], -1.0f);
  runtime_.synchronise(0, nullptr);
  EXPECT_EQ(a_[3], 3.0f);
}

TEST_F(EmulatedStreams, MissingWaitMeetsMemoryThatNobodyHasWrittenYet) {
  write_all(stream_[0], a_, kStreamFloats);
  read_all(stream_[1], a_, b_, kStreamFloats);
  expect_parts(synchronise_and_report(stream_[1]), {"uninitialised read", "kernel read_all_kernel",
                                                    "thread 0 of block (0,0,0)", read_line()});
}

TEST_F(EmulatedStreams, MissingWaitIsSeenEvenIfTheOrderHappensToBeRight) {
  write_all(stream_[0], a_, kStreamFloats);
  read_all(stream_[1], a_, b_, kStreamFloats);
  EXPECT_EQ(synchronise_and_report(stream_[0]), "");
  expect_parts(
      synchronise_and_report(stream_[1]),
      {"missing stream wait", "kernel read_all_kernel", "thread 0 of block (0,0,0)", read_line(),
       "kernel write_all_kernel on another stream writes them", write_line()});
}

TEST_F(EmulatedStreams, MissingWaitOfAWriterForAReader) {
  write_all(stream_[0], a_, kStreamFloats);
  EXPECT_EQ(synchronise_and_report(stream_[0]), "");
  read_all(stream_[1], a_, b_, kStreamFloats);
  write_all(stream_[0], a_, kStreamFloats);
  EXPECT_EQ(synchronise_and_report(stream_[1]), "");
  expect_parts(synchronise_and_report(stream_[0]),
               {"missing stream wait", "kernel write_all_kernel: ", "thread 0 of block (0,0,0)",
                write_line(), "kernel read_all_kernel on another stream reads them", read_line()});
}

TEST_F(EmulatedStreams, AWaitOrders) {
  write_all(stream_[0], a_, kStreamFloats);
  runtime_.wait(0, stream_[1], 0, stream_[0]);
  read_all(stream_[1], a_, b_, kStreamFloats);
  runtime_.wait(0, nullptr, 0, stream_[1]);
  std::vector<float> host(kStreamFloats);
  runtime_.copy(nullptr, host.data(), b_, kBytes);
  EXPECT_EQ(synchronise_and_report(nullptr), "");
  EXPECT_EQ(host[499], 499.0f);
}

TEST_F(EmulatedStreams, AWaitCoversWhatWasThereWhenItWasCalled) {
  runtime_.wait(0, stream_[1], 0, stream_[0]);
  write_all(stream_[0], a_, kStreamFloats);  // too late for the wait
  read_all(stream_[1], a_, b_, kStreamFloats);
  expect_parts(
      synchronise_and_report(stream_[1]),
      {"uninitialised read", "kernel read_all_kernel: ", "thread 0 of block (0,0,0)", read_line()});
}

TEST_F(EmulatedStreams, TheHostOrders) {
  write_all(stream_[0], a_, kStreamFloats);
  runtime_.synchronise(0, stream_[0]);
  read_all(stream_[1], a_, b_, kStreamFloats);
  EXPECT_EQ(synchronise_and_report(stream_[1]), "");
}

TEST_F(EmulatedStreams, CopyWithoutAWait) {
  const std::vector<float> ones(kStreamFloats, 1.0f);
  runtime_.copy(stream_[0], a_, ones.data(), kBytes);
  read_all(stream_[1], a_, b_, kStreamFloats);
  EXPECT_EQ(synchronise_and_report(stream_[0]), "");
  expect_parts(synchronise_and_report(stream_[1]),
               {"missing stream wait", "kernel read_all_kernel: ", "thread 0 of block (0,0,0)",
                read_line(), "a copy on another stream"});
}

TEST_F(EmulatedStreams, CopyOfWhatAKernelStillWrites) {
  std::vector<float> host(kStreamFloats);
  write_all(stream_[0], a_, kStreamFloats);
  runtime_.copy(stream_[1], host.data(), a_, kBytes);
  EXPECT_EQ(synchronise_and_report(stream_[0]), "");
  expect_parts(synchronise_and_report(stream_[1]),
               {"copy of 2000 bytes from device 0 to the host", "missing stream wait",
                "kernel write_all_kernel", write_line()});
}

TEST_F(EmulatedStreams, HostMemoryThatChangesTooEarly) {
  std::vector<float> host(kStreamFloats, 1.0f);
  runtime_.copy(stream_[0], a_, host.data(), kBytes);
  host[7] = 2.0f;
  runtime_.synchronise(0, stream_[0]);
  EXPECT_EQ(a_[7], 2.0f);
}

TEST_F(EmulatedStreams, EarlyFree) {
  float* gone = allocate<float>(kStreamFloats);
  write_all(stream_[0], gone, kStreamFloats);
  release(gone);
  expect_parts(synchronise_and_report(stream_[0]),
               {"out of bounds", "use after free", "kernel write_all_kernel",
                "thread 0 of block (0,0,0)", write_line()});
}

TEST_F(EmulatedStreams, EarlyFreeBeforeACopy) {
  std::vector<float> host(kStreamFloats);
  float* gone = upload(host);
  runtime_.copy(stream_[0], host.data(), gone, kBytes);
  release(gone);
  expect_parts(synchronise_and_report(stream_[0]), {"use after free", "its source was released"});
}

TEST_F(EmulatedStreams, CopyOutOfBounds) {
  std::vector<float> host(kStreamFloats + 1);
  runtime_.copy(stream_[0], a_, host.data(), kBytes + 4);
  expect_parts(synchronise_and_report(stream_[0]),
               {"copy of 2004 bytes from the host to device 0", "out of bounds"});
}

TEST_F(EmulatedStreams, CopyBetweenDevicesCarriesWhatIsInitialised) {
  float* other = allocate<float>(kStreamFloats, 1);
  write_all(nullptr, a_, kStreamFloats / 2);
  runtime_.copy(nullptr, other, a_, kBytes);
  runtime_.copy(nullptr, b_, other, kBytes);
  float* to = allocate<float>(kStreamFloats);
  read_all(nullptr, b_, to, kStreamFloats / 2);
  EXPECT_EQ(synchronise_and_report(nullptr), "");
  EXPECT_EQ(to[249], 249.0f);
  read_all(nullptr, b_, to, kStreamFloats / 2 + 1);
  expect_parts(synchronise_and_report(nullptr), {"uninitialised read"});
}

TEST_F(EmulatedStreams, AnErrorDropsQueuedWork) {
  const std::vector<float> ones(kStreamFloats, 1.0f);
  runtime_.copy(nullptr, b_, ones.data(), kBytes);
  runtime_.synchronise(0, nullptr);
  read_all(stream_[0], a_, b_, kStreamFloats);  // a_ is uninitialised
  write_all(stream_[0], b_, kStreamFloats);
  EXPECT_NE(synchronise_and_report(stream_[0]), "");
  EXPECT_EQ(synchronise_and_report(stream_[0]), "");
  EXPECT_EQ(b_[5], 1.0f);
}

TEST_F(EmulatedStreams, ADefectLeavesOtherStreamsTheirWork) {
  read_all(stream_[0], a_, b_, kStreamFloats);  // a_ is uninitialised
  float* to = allocate<float>(kStreamFloats);
  write_all(stream_[1], to, kStreamFloats);
  expect_parts(synchronise_and_report(stream_[0]), {"uninitialised read"});
  EXPECT_EQ(synchronise_and_report(stream_[1]), "");
  EXPECT_EQ(to[499], 499.0f);
}

TEST_F(EmulatedStreams, WorkThatWaitsForDroppedWorkIsReported) {
  read_all(stream_[0], a_, b_, kStreamFloats);
  runtime_.wait(0, stream_[1], 0, stream_[0]);
  float* to = upload(std::vector<float>(kStreamFloats, 1.0f));
  write_all(stream_[1], to, kStreamFloats);
  expect_parts(synchronise_and_report(stream_[0]), {"uninitialised read"});
  expect_parts(synchronise_and_report(stream_[1]),
               {"was dropped", "uninitialised read", "kernel read_all_kernel", read_line()});
  EXPECT_EQ(to[5], 1.0f);
  EXPECT_EQ(synchronise_and_report(stream_[1]), "");  // once
  write_all(stream_[1], to, kStreamFloats);
  EXPECT_EQ(synchronise_and_report(stream_[1]), "");
  EXPECT_EQ(to[5], 5.0f);
}

TEST_F(EmulatedStreams, ADefectThatAnotherStreamMetIsReportedByItsOwnToo) {
  read_all(stream_[0], a_, b_, kStreamFloats);
  write_all(stream_[0], b_, kStreamFloats);
  runtime_.wait(0, stream_[1], 0, stream_[0]);
  const std::string met = synchronise_and_report(stream_[1]);
  expect_parts(met, {"uninitialised read"});
  EXPECT_EQ(met.find("was dropped"), std::string::npos) << met;
  // What is queued behind the dropped work is no better, nor is a wait for it.
  write_all(stream_[0], b_, kStreamFloats);
  runtime_.wait(0, stream_[1], 0, stream_[0]);
  expect_parts(synchronise_and_report(stream_[1]), {"was dropped", "uninitialised read"});
  expect_parts(synchronise_and_report(stream_[0]), {"was dropped", "uninitialised read"});
  EXPECT_EQ(synchronise_and_report(stream_[0]), "");
}

TEST_F(EmulatedStreams, AWaitForWhatRanBeforeADefectHolds) {
  write_all(stream_[0], a_, kStreamFloats);
  runtime_.wait(0, stream_[1], 0, stream_[0]);
  read_all(stream_[1], a_, b_, kStreamFloats);
  float* to = allocate<float>(kStreamFloats);
  read_all(stream_[0], to, to, kStreamFloats);  // uninitialised
  expect_parts(synchronise_and_report(stream_[0]), {"uninitialised read"});
  EXPECT_EQ(synchronise_and_report(stream_[1]), "");
  EXPECT_EQ(b_[499], 499.0f);
}

TEST_F(EmulatedStreams, ADefectOfADestroyedStreamIsReportedBehindTheWorkOfTheLiving) {
  for (int i = 0; i < 2; ++i) {  // two: neither hides the other's work
    const StreamHandle stream = runtime_.create_stream(0);
    if (i == 0) read_all(stream, a_, b_, kStreamFloats);
    if (i == 1) write_all(stream, b_, kStreamFloats);
    runtime_.destroy_stream(stream);
  }
  float* to = allocate<float>(kStreamFloats);
  write_all(nullptr, to, kStreamFloats);
  expect_parts(synchronise_and_report(nullptr), {"uninitialised read"});
  EXPECT_EQ(to[7], 7.0f);
  EXPECT_EQ(b_[7], 7.0f);
  EXPECT_EQ(synchronise_and_report(nullptr), "");
}

TEST_F(EmulatedStreams, WorkOfADestroyedStreamStillRuns) {
  const StreamHandle stream = runtime_.create_stream(0);
  write_all(stream, a_, kStreamFloats);
  runtime_.destroy_stream(stream);
  runtime_.synchronise(0, nullptr);
  EXPECT_EQ(a_[7], 7.0f);
  expect_parts(target_error([&] { write_all(stream, a_, kStreamFloats); }), {"not a stream"});
}

TEST_F(EmulatedStreams, StreamOfAnotherDevice) {
  const StreamHandle stream = runtime_.create_stream(1);
  expect_parts(
      target_error([&] { write_all(stream, a_, kStreamFloats); }),
      {"illegal launch of kernel write_all_kernel at tests/kernels/exec/planted_defects.cu:" +
       std::to_string(kWriteAllLaunchLine) + ": its stream is of device 1, device 0 is current"});
  EXPECT_EQ(runtime_.set_device(1), 0);
  float* other = allocate<float>(kStreamFloats, 1);
  write_all(stream, other, kStreamFloats);
  EXPECT_EQ(target_error([&] { runtime_.synchronise(1, stream); }), "");
  EXPECT_EQ(other[9], 9.0f);
  runtime_.destroy_stream(stream);
  EXPECT_EQ(runtime_.set_device(0), 1);
}

TEST_F(EmulatedStreams, AllocationsAreAlignedAndNeverNull) {
  for (const std::size_t bytes : {0, 1, 255, 4097}) {
    void* memory = runtime_.allocate(0, bytes);
    EXPECT_NE(memory, nullptr);
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(memory) % 256, 0u);
    runtime_.release(0, memory);
  }
  expect_parts(target_error([&] { runtime_.allocate(0, std::size_t{1} << 40); }), {"no room"});
  expect_parts(target_error([&] { runtime_.release(0, a_ + 64); }), {"no live allocation"});
}

/// Empty allocations have an address and a red zone each, so that they use up a whole device in a
/// second, and what is handed out then is what was there before.
TEST_F(EmulatedStreams, MemoryIsFoundAgainAfterMuchUse) {
  constexpr std::size_t kMany = std::size_t{1} << 27;  // half a GiB: more than stays in quarantine
  const float* const before = allocate<float>(kMany);
  for (std::size_t i = 0; i < kMany; i += kMany / 8)
    write_all(nullptr, const_cast<float*>(before) + i, kStreamFloats);
  EXPECT_EQ(synchronise_and_report(nullptr), "");
  release(const_cast<float*>(before));
  const std::less<const float*> less;
  const auto stood_there = [&](const void* at) {
    const auto* address = static_cast<const float*>(at);
    return !less(address, before) && less(address, before + kMany);
  };
  const std::size_t most = runtime_.properties(0).memory_bytes / 4096 + 1;
  bool again = false;
  for (std::size_t i = 0; i < most && !again; ++i) {
    void* memory = runtime_.allocate(0, 0);
    again = stood_there(memory);
    runtime_.release(0, memory);
  }
  ASSERT_TRUE(again);
  const float* const memory = allocate<float>(kMany / 2);
  ASSERT_TRUE(stood_there(memory));
  // What was written there must not make it look initialised.
  int written_before = 0;
  for (const float* at = before; at < before + kMany; at += kMany / 8) {
    if (less(at, memory) || !less(at + kStreamFloats, memory + kMany / 2)) continue;
    ++written_before;
    read_all(nullptr, at, b_, kStreamFloats);
    expect_parts(synchronise_and_report(nullptr), {"uninitialised read"});
  }
  EXPECT_GT(written_before, 0);
}

}  // namespace
}  // namespace curvseg
