// Kernels with one defect each, for the checks of the emulated target. Every defect knows the
// source line that a report has to name.
#pragma once

#include <cstdint>

#include "exec/stream.hpp"

namespace curvseg::target_emulated {

struct Planted {
  float* a = nullptr;
  float* b = nullptr;
  unsigned* counter = nullptr;
  std::uint8_t* bytes = nullptr;
  const float* foreign = nullptr;  // a pointer that a kernel must not follow
};

/// The block that runs a defect of one block.
enum class Where {
  kFirstBlock,  // (0,0,0), alone
  kThere,       // (1,2,3) of 3 x 4 x 5, the others do nothing; in kernel only_there<...>
};

struct PlantedDefect {
  const char* kernel;
  void (*start)(StreamHandle, const Planted&, Where);
  int line;            // of the access or call that is reported
  int other_line = 0;  // of the other side, 0 if there is none
};

// Races.
extern const PlantedDefect kLostUpdateGlobal, kLostUpdateShared, kMissingBarrier, kWarpIsNoBlock,
    kBlocksRace, kBlocksReadAndWrite, kAtomicAndPlain, kByteRace, kReadersThenWriter;
// Bounds and state of memory.
extern const PlantedDefect kUninitialisedShared, kUninitialisedGlobal, kReadBeyondShared,
    kWriteBeyondShared, kReadBeyondGlobal, kWriteBeyondGlobal, kReadBeforeGlobal, kForeignPointer,
    kLocalOfAnotherThread, kMisalignedVector, kMisalignedWord, kUninitialisedMemcpy;
// Synchronisation.
extern const PlantedDefect kBarrierAfterExit, kTwoBarriers, kAbsentLane, kLaneAtBarrier,
    kOutsideItsMask, kShuffleFromOutside;
// Asynchronous copies.
extern const PlantedDefect kReadBeforeWait, kWriteBeforeWait, kWaitWithoutBarrier,
    kNextTileWithoutBarrier, kSourceChanged, kUncommittedCopy, kMisalignedCopy, kCopyIntoGlobal,
    kCopyBeyondGlobal;
extern const PlantedDefect kThrows;

// Small pieces of work for tests of streams.
void write_all(StreamHandle stream, float* to, int n);                    // to[i] = i
void read_all(StreamHandle stream, const float* from, float* to, int n);  // to[i] = from[i]
inline constexpr int kStreamThreads = 64;
extern const int kReadAllLine, kWriteAllLine, kWriteAllLaunchLine;

/// Launches that no GPU accepts.
struct LaunchShape {
  unsigned x = 1, y = 1, z = 1;
  int threads = 32;
};
void launch_shape(StreamHandle stream, LaunchShape shape);
void launch_too_much_shared(StreamHandle stream);
void launch_all_shared(StreamHandle stream, float* to);  // as much as is allowed
extern const int kLaunchShapeLine, kTooMuchSharedLine;

}  // namespace curvseg::target_emulated
