// Address space for tests of offsets beyond 2^31 elements.
#pragma once

#include <sys/mman.h>

#include <cstddef>

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

}  // namespace curvseg::testing
