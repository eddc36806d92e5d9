// Address space for tests of offsets beyond 2^31 elements.
#pragma once

#include <sys/mman.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>

namespace curvseg::testing {

/// Zeros, without memory behind them until they are written. get() is nullptr where there is not
/// that much address space. Only the host target reads it.
class SparseMemory {
 public:
  explicit SparseMemory(std::size_t bytes)
      : bytes_(bytes),
        memory_(mmap(nullptr, bytes, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0)) {
    // Reading gigabytes of zeros takes a page fault a page: let pages be large.
    if (memory_ != MAP_FAILED) madvise(memory_, bytes_, MADV_HUGEPAGE);
  }
  ~SparseMemory() {
    if (memory_ != MAP_FAILED) munmap(memory_, bytes_);
  }
  SparseMemory(const SparseMemory&) = delete;
  SparseMemory& operator=(const SparseMemory&) = delete;

  float* get() const { return memory_ == MAP_FAILED ? nullptr : static_cast<float*>(memory_); }

 private:
  std::size_t bytes_;
  void* memory_;
};

/// Address space of `floats` floats for a kernel that writes them all, with little memory behind
/// it: the last 16 MiB are themselves, all before them are one piece of 16 MiB over and over.
class RepeatingMemory {
 public:
  explicit RepeatingMemory(std::int64_t floats)
      : pieces_(floats / kPiece + 1),
        lead_(pieces_ * kPiece - floats),
        file_(memfd_create("repeating", 0)) {
    const auto map = [](void* at, std::int64_t pieces, int flags, int file) {
      return mmap(at, static_cast<std::size_t>(pieces) * kPieceBytes, PROT_READ | PROT_WRITE, flags,
                  file, 0);
    };
    if (file_ < 0 || ftruncate(file_, kPieceBytes) != 0) return;
    void* all = map(nullptr, pieces_, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1);
    if (all == MAP_FAILED) return;
    memory_ = static_cast<float*>(all);
    // Populated, since two million page faults by themselves take seconds.
    constexpr int kPopulated = MAP_SHARED | MAP_FIXED | MAP_POPULATE;
    for (std::int64_t i = 0; i + 1 < pieces_; ++i)
      if (map(memory_ + i * kPiece, 1, kPopulated, file_) == MAP_FAILED) complete_ = false;
  }
  ~RepeatingMemory() {
    if (memory_) munmap(memory_, static_cast<std::size_t>(pieces_) * kPieceBytes);
    if (file_ >= 0) close(file_);
  }
  RepeatingMemory(const RepeatingMemory&) = delete;
  RepeatingMemory& operator=(const RepeatingMemory&) = delete;

  float* get() const { return memory_ && complete_ ? memory_ + lead_ : nullptr; }

 private:
  static constexpr std::size_t kPieceBytes = std::size_t{16} << 20;
  static constexpr std::int64_t kPiece = static_cast<std::int64_t>(kPieceBytes / sizeof(float));

  std::int64_t pieces_;
  std::int64_t lead_;  // so that the end of the range is the end of the last piece
  int file_;
  float* memory_ = nullptr;
  bool complete_ = true;
};

/// What the tests of flat kernels take: the elements around 2^31 and the last one are near the end.
inline constexpr std::int64_t kBeyondTwoToTheThirtyOne = (std::int64_t{1} << 31) + 5;

}  // namespace curvseg::testing
