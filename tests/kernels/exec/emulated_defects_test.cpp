// Plants every defect that the emulated target checks for, and reads the report.
#include "emulated_fixture.hpp"
#include "planted_defects.hpp"

namespace curvseg {
namespace {

using namespace target_emulated;

constexpr int kFloats = 64;

class EmulatedDefects : public EmulatedTest {
 protected:
  void SetUp() override {
    EmulatedTest::SetUp();
    planted_.a = upload(std::vector<float>(kFloats, 1.0f));
    planted_.b = allocate<float>(2 * kFloats);
    planted_.counter = upload(std::vector<unsigned>(1, 0));
    planted_.bytes = allocate<std::uint8_t>(kFloats);
  }

  std::string report(const PlantedDefect& defect) {
    return target_error([&] {
      defect.start(nullptr, planted_);
      synchronise();
    });
  }

  static std::string line(int number) {
    return " at tests/kernels/exec/planted_defects.cu:" + std::to_string(number);
  }

  /// The report names kernel, block, thread and line, whatever the order of the threads.
  void expect(const PlantedDefect& defect, const std::string& what,
              const std::vector<std::string>& parts = {}) {
    const std::vector<float> ones(kFloats, 1.0f);
    for (const FiberOrder order :
         {FiberOrder::kShuffled, FiberOrder::kDescending, FiberOrder::kAscending}) {
      set_emulation_options({.order = order, .seed = 3});
      text_ = report(defect);
      std::vector<std::string> all = {what, "kernel " + std::string(defect.kernel) + ": ",
                                      "thread ", " of block ("};
      if (defect.line) all.push_back(line(defect.line));
      if (defect.other_line) all.push_back(line(defect.other_line));
      expect_parts(text_, all);
      runtime_.copy(nullptr, planted_.a, ones.data(), kFloats * sizeof(float));
      synchronise();
    }
    expect_parts(text_, parts);  // of the ascending order
  }

  Planted planted_;
  std::string text_;
};

TEST_F(EmulatedDefects, LostUpdateInGlobalMemory) {
  expect(kLostUpdateGlobal, "race between two threads",
         {"thread 1 of block (0,0,0) reads 4 bytes", "thread 0 of block (0,0,0) writes them"});
}
TEST_F(EmulatedDefects, LostUpdateInSharedMemory) {
  expect(kLostUpdateShared, "race between two threads",
         {"thread 1 of block (0,0,0) reads 4 bytes", "thread 0 of block (0,0,0) writes them"});
}
TEST_F(EmulatedDefects, MissingBarrier) {
  expect(kMissingBarrier, "race between two threads", {"thread 32 of", "thread 31 of"});
}
TEST_F(EmulatedDefects, WarpSynchronisationDoesNotOrderTheBlock) {
  expect(kWarpIsNoBlock, "race between two threads");
}
TEST_F(EmulatedDefects, TwoBlocksWriteOneAddress) {
  expect(kBlocksRace, "race between two blocks",
         {"thread 7 of block (1,0,0) writes", "thread 7 of block (0,0,0) writes them too"});
}
TEST_F(EmulatedDefects, OneBlockReadsWhatAnotherWrites) {
  // Which of the two is noticed depends on the order of the blocks; both lines are named.
  expect(kBlocksReadAndWrite, "race between two blocks", {"thread 0 of block (1,0,0) writes"});
}
TEST_F(EmulatedDefects, PlainReadBesideAtomics) {
  expect(kAtomicAndPlain, "race between two threads", {"atomically updates 4 bytes"});
}
TEST_F(EmulatedDefects, TwoThreadsWriteOneByte) {
  expect(kByteRace, "race between two threads", {"writes 1 bytes", "thread 1 of", "thread 0 of"});
}
TEST_F(EmulatedDefects, WriteAmongReaders) {
  expect(kReadersThenWriter, "race between two threads");
}

TEST_F(EmulatedDefects, UninitialisedSharedMemory) {
  expect(kUninitialisedShared, "uninitialised read", {"thread 9 of block (0,0,0) reads 4 bytes"});
}
TEST_F(EmulatedDefects, UninitialisedGlobalMemory) {
  expect(kUninitialisedGlobal, "uninitialised read", {"thread 0 of block (0,0,0) reads 4 bytes"});
}
TEST_F(EmulatedDefects, UninitialisedMemoryInMemcpy) {
  expect(kUninitialisedMemcpy, "uninitialised read", {"reads 256 bytes"});
}
TEST_F(EmulatedDefects, ReadBeyondSharedMemory) {
  expect(kReadBeyondShared, "out of bounds",
         {"thread 63 of", "reads 4 bytes", "offset 256 in the block's 256 bytes of shared memory"});
}
TEST_F(EmulatedDefects, WriteBeyondSharedMemory) {
  expect(kWriteBeyondShared, "out of bounds", {"thread 63 of", "writes 4 bytes", "offset 256"});
}
TEST_F(EmulatedDefects, ReadBeyondGlobalMemory) {
  expect(kReadBeyondGlobal, "out of bounds",
         {"thread 63 of", "reads 4 bytes", "offset 256 in an allocation of 256 bytes of global"});
}
TEST_F(EmulatedDefects, WriteBeyondGlobalMemory) {
  expect(kWriteBeyondGlobal, "out of bounds", {"thread 63 of", "writes 4 bytes", "offset 256"});
}
TEST_F(EmulatedDefects, ReadBeforeGlobalMemory) {
  expect(kReadBeforeGlobal, "out of bounds", {"thread 0 of", "reads 4 bytes"});
}
TEST_F(EmulatedDefects, UseAfterFree) {
  release(planted_.a);
  const std::string text = report(kReadersThenWriter);
  expect_parts(text, {"out of bounds", "use after free", "kernel readers_then_writer",
                      "thread 0 of block (0,0,0)", line(kReadersThenWriter.other_line)});
  planted_.a = allocate<float>(kFloats);
}
TEST_F(EmulatedDefects, HostPointer) {
  const std::vector<float> host(kFloats, 1.0f);
  planted_.foreign = host.data();
  expect(kForeignPointer, "out of bounds", {"a host or a wild pointer"});
}
TEST_F(EmulatedDefects, PointerOfAnotherDevice) {
  planted_.foreign = upload(std::vector<float>(kFloats, 1.0f), 1);
  expect(kForeignPointer, "out of bounds", {"memory of device 1", "emulated device 0"});
}
TEST_F(EmulatedDefects, LocalVariableOfAnotherThread) {
  expect(kLocalOfAnotherThread, "a local variable of another thread");
}
TEST_F(EmulatedDefects, MisalignedVector) {
  expect(kMisalignedVector, "misaligned: thread", {"thread 1 of", "a multiple of 16"});
}
TEST_F(EmulatedDefects, MisalignedWord) {
  planted_.bytes = upload(std::vector<std::uint8_t>(kFloats, 1));
  expect(kMisalignedWord, "misaligned: thread", {"thread 1 of", "a multiple of 4"});
}

TEST_F(EmulatedDefects, BarrierAfterAnExit) {
  expect(kBarrierAfterExit, "divergent barrier",
         {"thread 0 of block (0,0,0) waits", "thread 3 of block (0,0,0) has left the kernel"});
}
TEST_F(EmulatedDefects, TwoBarriers) {
  expect(kTwoBarriers, "divergent barrier", {"thread 0 of", "thread 32 of", "waits at another"});
}
TEST_F(EmulatedDefects, AbsentLane) {
  expect(kAbsentLane, "absent lane", {"thread 32 of", "thread 40 of", "has left the kernel"});
}
TEST_F(EmulatedDefects, LaneWaitsAtABarrier) {
  expect(kLaneAtBarrier, "absent lane", {"thread 5 of", "waits at __syncthreads()"});
}
TEST_F(EmulatedDefects, CallerOutsideItsMask) {
  expect(kOutsideItsMask, "absent lane", {"thread 16 of", "is not in its mask"});
}
TEST_F(EmulatedDefects, ShuffleFromOutsideTheMask) {
  expect(kShuffleFromOutside, "absent lane", {"thread 8 of", "whose value is asked for"});
}

TEST_F(EmulatedDefects, ReadOfACopyBeforeItsWait) {
  expect(kReadBeforeWait, "asynchronous copy in flight", {"thread 0 of", "reads 4 bytes"});
}
TEST_F(EmulatedDefects, WriteOverACopyBeforeItsWait) {
  expect(kWriteBeforeWait, "asynchronous copy in flight", {"thread 0 of", "writes 4 bytes"});
}
TEST_F(EmulatedDefects, WaitWithoutBarrier) {
  set_emulation_options({});
  // In ascending order the data is not even there yet; later threads meet a race.
  expect_parts(report(kWaitWithoutBarrier), {"kernel wait_without_barrier"});
  set_emulation_options({.order = FiberOrder::kDescending});
  const std::string text = report(kWaitWithoutBarrier);
  EXPECT_TRUE(text.find("uninitialised") != std::string::npos ||
              text.find("race") != std::string::npos)
      << text;
}
TEST_F(EmulatedDefects, SourceOfACopyWrittenMeanwhile) {
  expect(kSourceChanged, "asynchronous copy in flight: its source was written");
}
TEST_F(EmulatedDefects, CopyWithoutCommit) {
  expect(kUncommittedCopy, "asynchronous copy in flight");
}
TEST_F(EmulatedDefects, MisalignedCopy) {
  expect(kMisalignedCopy, "misaligned: thread", {"thread 0 of", "a multiple of 16"});
}
TEST_F(EmulatedDefects, CopyIntoGlobalMemory) {
  expect(kCopyIntoGlobal, "does not write shared memory");
}
TEST_F(EmulatedDefects, CopyFromBeyondGlobalMemory) {
  expect(kCopyBeyondGlobal, "out of bounds", {"thread 16 of", "reads 16 bytes", "offset 256"});
}
TEST_F(EmulatedDefects, ExceptionInAKernel) { expect(kThrows, "an exception left thread"); }

TEST_F(EmulatedDefects, NextLaunchStartsAfresh) {
  EXPECT_NE(report(kLostUpdateGlobal), "");
  write_all(nullptr, planted_.a, kFloats);
  synchronise();
  EXPECT_EQ(download(planted_.a, kFloats)[5], 5.0f);
}

TEST_F(EmulatedDefects, ChecksOff) {
  set_emulation_options({.checks = false});
  EXPECT_EQ(report(kLostUpdateGlobal), "");
  EXPECT_EQ(download(planted_.a, 1)[0], 65.0f);  // no update is ever lost on fibers
}

TEST_F(EmulatedDefects, IllegalLaunches) {
  const auto refused = [](LaunchShape shape) {
    return target_error([&] { launch_shape(nullptr, shape); });
  };
  EXPECT_EQ(refused({}), "");
  EXPECT_EQ(refused({.x = 1, .y = 65535, .z = 1}), "");
  EXPECT_EQ(refused({.threads = 1024}), "");
  // The line that launches, for there is no block that would run one.
  const std::string head =
      "illegal launch of kernel nothing at tests/kernels/exec/planted_defects.cu:";
  expect_parts(refused({.threads = 0}), {head, "0 threads a block"});
  expect_parts(refused({.threads = 1025}), {head, "1025 threads a block"});
  expect_parts(refused({.x = 0}), {head, "grid 0 x 1 x 1 has no block"});
  expect_parts(refused({.y = 0}), {head, "has no block"});
  expect_parts(refused({.z = 0}), {head, "has no block"});
  expect_parts(refused({.x = 0x80000000u}), {head, "grid x is 2147483648"});
  expect_parts(refused({.y = 65536}), {head, "grid y is 65536"});
  expect_parts(refused({.z = 65536}), {head, "grid z is 65536"});
  expect_parts(target_error([] { launch_too_much_shared(nullptr); }),
               {head, "166913 bytes of shared memory"});
  synchronise();
}

TEST_F(EmulatedDefects, AllSharedMemoryCanBeUsed) {
  launch_all_shared(nullptr, planted_.a);
  synchronise();
  EXPECT_EQ(download(planted_.a, 1)[0], static_cast<float>((163 * 1024 - 1) % 256));
  // And the next kernel does not own what this one wrote.
  EXPECT_NE(report(kReadBeyondShared), "");
}

}  // namespace
}  // namespace curvseg
