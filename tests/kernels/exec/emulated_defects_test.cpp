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

  std::string report(const PlantedDefect& defect, Where where = Where::kFirstBlock) {
    return target_error([&] {
      defect.start(nullptr, planted_, where);
      synchronise();
    });
  }

  /// The report names kernel, block, thread and line, whatever the order of the threads and
  /// whichever block it is. In `parts`, of the ascending order, (B) stands for that block, (L) and
  /// (O) for the lines of the defect.
  void expect(const PlantedDefect& defect, const std::string& what,
              const std::vector<std::string>& parts) {
    const std::string name = defect.kernel;
    expect_report(defect, Where::kFirstBlock, what, name, "(0,0,0)", parts);
#ifdef __clang__  // which leaves a template's arguments out
    const std::string there = "only_there";
#else
    const std::string there = "only_there<" + name + ">";
#endif
    expect_report(defect, Where::kThere, what, there, "(1,2,3)", parts);
  }

  /// The same of a launch of several blocks, where the order tells which of them are named.
  void expect_between_blocks(const PlantedDefect& defect, const std::vector<std::string>& parts) {
    expect_report(defect, Where::kFirstBlock, "race between two blocks", defect.kernel, "(", parts);
  }

  void expect_report(const PlantedDefect& defect, Where where, const std::string& what,
                     const std::string& kernel, const std::string& block,
                     const std::vector<std::string>& parts) {
    const std::vector<float> ones(kFloats, 1.0f);
    for (const FiberOrder order :
         {FiberOrder::kShuffled, FiberOrder::kDescending, FiberOrder::kAscending}) {
      set_emulation_options({.order = order, .seed = 3});
      text_ = report(defect, where);
      expect_parts(text_, {what, "kernel " + kernel + ": ", "thread ", " of block " + block});
      if (defect.line) expect_line(text_, defect.line);
      if (defect.other_line) expect_line(text_, defect.other_line);
      runtime_.copy(nullptr, planted_.a, ones.data(), kFloats * sizeof(float));
      synchronise();
    }
    const std::string file = "tests/kernels/exec/planted_defects.cu:";
    for (std::string part : parts) {
      replace_all(part, "(B)", block);
      replace_all(part, "(L)", file + std::to_string(defect.line));
      replace_all(part, "(O)", file + std::to_string(defect.other_line));
      expect_parts(text_, {part});
    }
  }

  static void replace_all(std::string& text, const std::string& what, const std::string& by) {
    for (std::size_t at; (at = text.find(what)) != std::string::npos;)
      text.replace(at, what.size(), by);
  }

  Planted planted_;
  std::string text_;
};

TEST_F(EmulatedDefects, LostUpdateInGlobalMemory) {
  expect(
      kLostUpdateGlobal, "race between two threads",
      {"thread 1 of block (B) reads 4 bytes at (L)", "thread 0 of block (B) writes them at (O)"});
}
TEST_F(EmulatedDefects, LostUpdateInSharedMemory) {
  expect(
      kLostUpdateShared, "race between two threads",
      {"thread 1 of block (B) reads 4 bytes at (L)", "thread 0 of block (B) writes them at (O)"});
}
TEST_F(EmulatedDefects, MissingBarrier) {
  expect(
      kMissingBarrier, "race between two threads",
      {"thread 32 of block (B) writes 4 bytes at (O)", "thread 31 of block (B) reads them at (L)"});
}
TEST_F(EmulatedDefects, WarpSynchronisationDoesNotOrderTheBlock) {
  expect(
      kWarpIsNoBlock, "race between two threads",
      {"thread 32 of block (B) writes 4 bytes at (O)", "thread 31 of block (B) reads them at (L)"});
}
TEST_F(EmulatedDefects, TwoBlocksWriteOneAddress) {
  expect_between_blocks(kBlocksRace, {"thread 7 of block (1,0,0) writes 4 bytes at (L)",
                                      "thread 7 of block (0,0,0) writes them too at (O)"});
}
TEST_F(EmulatedDefects, OneBlockReadsWhatAnotherWrites) {
  expect_between_blocks(kBlocksReadAndWrite, {"thread 0 of block (1,0,0) writes 4 bytes at (L)",
                                              "thread 0 of block (0,0,0) reads them at (O)"});
}
TEST_F(EmulatedDefects, PlainReadBesideAtomics) {
  expect(kAtomicAndPlain, "race between two threads",
         {"thread 1 of block (B) atomically updates 4 bytes at (L)",
          "thread 0 of block (B) reads them at (O)"});
}
TEST_F(EmulatedDefects, TwoThreadsWriteOneByte) {
  expect(kByteRace, "race between two threads",
         {"thread 1 of block (B) writes 1 bytes at (L)",
          "thread 0 of block (B) writes them too at (O)"});
}
TEST_F(EmulatedDefects, WriteAmongReaders) {
  expect(
      kReadersThenWriter, "race between two threads",
      {"thread 63 of block (B) writes 4 bytes at (L)", "thread 32 of block (B) reads them at (O)"});
}

/// Work that is over but not ordered before a kernel makes its checks take another way.
TEST_F(EmulatedDefects, WriteAmongReadersBesideAnotherStream) {
  set_emulation_options({.order = FiberOrder::kAscending});
  const StreamHandle other = runtime_.create_stream(0);
  float* const elsewhere = allocate<float>(kFloats);
  const std::string text = target_error([&] {
    kReadersThenWriter.start(nullptr, planted_, Where::kFirstBlock);
    write_all(other, elsewhere, kFloats);
    runtime_.synchronise(0, other);
    synchronise();
  });
  runtime_.destroy_stream(other);
  expect_parts(text, {"race between two threads", "thread 63 of block (0,0,0) writes 4 bytes",
                      "thread 32 of block (0,0,0) reads them"});
  expect_line(text, kReadersThenWriter.line);
  expect_line(text, kReadersThenWriter.other_line);
}

TEST_F(EmulatedDefects, UninitialisedSharedMemory) {
  expect(kUninitialisedShared, "uninitialised read",
         {"thread 9 of block (B) reads 4 bytes at (L)"});
}
TEST_F(EmulatedDefects, UninitialisedGlobalMemory) {
  expect(kUninitialisedGlobal, "uninitialised read",
         {"thread 0 of block (B) reads 4 bytes at (L)"});
}
TEST_F(EmulatedDefects, UninitialisedMemoryInMemcpy) {
  expect(kUninitialisedMemcpy, "uninitialised read",
         {"thread 0 of block (B) reads 256 bytes at (L)"});
}
TEST_F(EmulatedDefects, ReadBeyondSharedMemory) {
  expect(kReadBeyondShared, "out of bounds",
         {"thread 63 of block (B) reads 4 bytes at (L)",
          "offset 256 in the block's 256 bytes of shared memory"});
}
TEST_F(EmulatedDefects, WriteBeyondSharedMemory) {
  expect(kWriteBeyondShared, "out of bounds",
         {"thread 63 of block (B) writes 4 bytes at (L)", "offset 256"});
}
TEST_F(EmulatedDefects, ReadBeyondGlobalMemory) {
  expect(kReadBeyondGlobal, "out of bounds",
         {"thread 63 of block (B) reads 4 bytes at (L)",
          "offset 256 in an allocation of 256 bytes of global"});
}
TEST_F(EmulatedDefects, WriteBeyondGlobalMemory) {
  expect(kWriteBeyondGlobal, "out of bounds",
         {"thread 63 of block (B) writes 4 bytes at (L)", "offset 256"});
}
TEST_F(EmulatedDefects, ReadBeforeGlobalMemory) {
  expect(kReadBeforeGlobal, "out of bounds", {"thread 0 of block (B) reads 4 bytes at (L)"});
}
TEST_F(EmulatedDefects, UseAfterFree) {
  release(planted_.a);
  const std::string text = report(kReadersThenWriter);
  expect_parts(text, {"out of bounds", "use after free", "kernel readers_then_writer",
                      "thread 0 of block (0,0,0)"});
  expect_line(text, kReadersThenWriter.other_line);
  planted_.a = allocate<float>(kFloats);
}
TEST_F(EmulatedDefects, HostPointer) {
  const std::vector<float> host(kFloats, 1.0f);
  planted_.foreign = host.data();
  expect(kForeignPointer, "out of bounds",
         {"thread 0 of block (B) reads 4 bytes at (L)", "a host or a wild pointer"});
}
TEST_F(EmulatedDefects, PointerOfAnotherDevice) {
  planted_.foreign = upload(std::vector<float>(kFloats, 1.0f), 1);
  expect(kForeignPointer, "out of bounds",
         {"thread 0 of block (B) reads 4 bytes at (L)", "memory of device 1", "emulated device 0"});
}
TEST_F(EmulatedDefects, LocalVariableOfAnotherThread) {
  expect(kLocalOfAnotherThread, "a local variable of another thread",
         {"thread 1 of block (B) reads 4 bytes at (L)"});
}
TEST_F(EmulatedDefects, MisalignedVector) {
  expect(kMisalignedVector, "misaligned: thread",
         {"thread 1 of block (B) reads at (L)", "a multiple of 16"});
}
TEST_F(EmulatedDefects, MisalignedWord) {
  planted_.bytes = upload(std::vector<std::uint8_t>(kFloats, 1));
  expect(kMisalignedWord, "misaligned: thread",
         {"thread 1 of block (B) reads at (L)", "a multiple of 4"});
}

TEST_F(EmulatedDefects, BarrierAfterAnExit) {
  expect(kBarrierAfterExit, "divergent barrier",
         {"thread 0 of block (B) waits at __syncthreads() at (L)",
          "thread 3 of block (B) has left the kernel"});
}
TEST_F(EmulatedDefects, TwoBarriers) {
  expect(kTwoBarriers, "divergent barrier",
         {"thread 0 of block (B) waits at __syncthreads() at (L)",
          "thread 32 of block (B) waits at another __syncthreads() at (O)"});
}
TEST_F(EmulatedDefects, AbsentLane) {
  expect(kAbsentLane, "absent lane",
         {"thread 32 of block (B) is in a warp collective at (L)",
          "thread 40 of block (B) has left the kernel"});
}
TEST_F(EmulatedDefects, LaneWaitsAtABarrier) {
  expect(kLaneAtBarrier, "absent lane",
         {"thread 0 of block (B) is in a warp collective at (L)",
          "thread 5 of block (B) waits at __syncthreads() at (O)"});
}
TEST_F(EmulatedDefects, CallerOutsideItsMask) {
  expect(kOutsideItsMask, "absent lane",
         {"thread 16 of block (B) is in a warp collective at (L)",
          "thread 16 of block (B) is not in its mask"});
}
TEST_F(EmulatedDefects, ShuffleFromOutsideTheMask) {
  expect(kShuffleFromOutside, "absent lane",
         {"thread 0 of block (B) is in a warp collective at (L)",
          "thread 8 of block (B) whose value is asked for"});
}

TEST_F(EmulatedDefects, ReadOfACopyBeforeItsWait) {
  expect(kReadBeforeWait, "asynchronous copy in flight",
         {"thread 0 of block (B) reads 4 bytes at (L)", "thread 0 of block (B) started at (O)"});
}
TEST_F(EmulatedDefects, WriteOverACopyBeforeItsWait) {
  expect(kWriteBeforeWait, "asynchronous copy in flight",
         {"thread 0 of block (B) writes 4 bytes at (L)", "thread 0 of block (B) started at (O)"});
}
TEST_F(EmulatedDefects, WaitWithoutBarrier) {
  expect(kWaitWithoutBarrier, "uninitialised read", {"thread 0 of block (B) reads 4 bytes at (L)"});
}
TEST_F(EmulatedDefects, WaitWithoutBarrierForTheNextTile) {
  expect(
      kNextTileWithoutBarrier, "race between two threads",
      {"thread 32 of block (B) writes 4 bytes at (O)", "thread 31 of block (B) reads them at (L)"});
}
TEST_F(EmulatedDefects, SourceOfACopyWrittenMeanwhile) {
  expect(kSourceChanged, "asynchronous copy in flight",
         {"its source was written at (O)",
          "before thread 0 of block (B) waited for the copy it started at (L)"});
}
TEST_F(EmulatedDefects, CopyWithoutCommit) {
  expect(kUncommittedCopy, "asynchronous copy in flight",
         {"thread 0 of block (B) reads 4 bytes at (L)", "thread 0 of block (B) started at (O)"});
}
TEST_F(EmulatedDefects, MisalignedCopy) {
  expect(kMisalignedCopy, "misaligned: thread",
         {"thread 0 of block (B) reads at (L)", "a multiple of 16"});
}
TEST_F(EmulatedDefects, CopyIntoGlobalMemory) {
  expect(kCopyIntoGlobal, "asynchronous copy of thread",
         {"thread 0 of block (B) does not write shared memory at (L)"});
}
TEST_F(EmulatedDefects, CopyFromBeyondGlobalMemory) {
  expect(kCopyBeyondGlobal, "out of bounds",
         {"thread 16 of block (B) reads 16 bytes at (L)", "offset 256"});
}
TEST_F(EmulatedDefects, ExceptionInAKernel) {
  expect(kThrows, "an exception left", {"an exception left thread 2 of block (B)"});
}

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
  const auto launched_at = [](int line) {
    return "illegal launch of kernel nothing at tests/kernels/exec/planted_defects.cu:" +
           std::to_string(line) + ": ";
  };
  const std::string head = launched_at(kLaunchShapeLine);
  expect_parts(refused({.threads = 0}), {head + "0 threads a block"});
  expect_parts(refused({.threads = 1025}), {head + "1025 threads a block"});
  expect_parts(refused({.x = 0}), {head + "grid 0 x 1 x 1 has no block"});
  expect_parts(refused({.y = 0}), {head, "has no block"});
  expect_parts(refused({.z = 0}), {head, "has no block"});
  expect_parts(refused({.x = 0x80000000u}), {head + "grid x is 2147483648"});
  expect_parts(refused({.y = 65536}), {head + "grid y is 65536"});
  expect_parts(refused({.z = 65536}), {head + "grid z is 65536"});
  expect_parts(target_error([] { launch_too_much_shared(nullptr); }),
               {launched_at(kTooMuchSharedLine) + "166913 bytes of shared memory"});
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
