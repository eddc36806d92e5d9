// Stands before the C library's functions, which it calls: operator new and shared libraries end
// here too.
#include "tests/support/allocations.hpp"

#include <atomic>
#include <cerrno>
#include <cstddef>
#include <cstdlib>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define CURVSEG_SANITIZED
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || \
    __has_feature(memory_sanitizer)
#define CURVSEG_SANITIZED
#endif
#endif

namespace {
std::atomic<std::uint64_t> allocations{0};
}  // namespace

namespace curvseg::testing {

std::uint64_t heap_allocations() { return allocations.load(); }

const char* heap_allocations_uncounted() {
#if defined(CURVSEG_SANITIZED)
  return "a sanitizer has its own heap, whose allocations are not counted";
#elif !defined(__GLIBC__)
  return "allocations are counted with glibc alone";
#else
  const std::uint64_t before = heap_allocations();
  void* volatile memory = std::malloc(1);
  std::free(memory);
  // As under valgrind.
  return heap_allocations() > before ? nullptr
                                     : "something else stands before malloc(), and nothing counts";
#endif
}

}  // namespace curvseg::testing

#if defined(__GLIBC__) && !defined(CURVSEG_SANITIZED)

extern "C" {

// NOLINTBEGIN(bugprone-reserved-identifier,readability-identifier-naming)
void* __libc_malloc(std::size_t size);
void* __libc_calloc(std::size_t count, std::size_t size);
void* __libc_realloc(void* memory, std::size_t size);
void* __libc_memalign(std::size_t alignment, std::size_t size);
// NOLINTEND(bugprone-reserved-identifier,readability-identifier-naming)

void* malloc(std::size_t size) noexcept {
  ++allocations;
  return __libc_malloc(size);
}
void* calloc(std::size_t count, std::size_t size) noexcept {
  ++allocations;
  return __libc_calloc(count, size);
}
void* realloc(void* memory, std::size_t size) noexcept {
  ++allocations;
  return __libc_realloc(memory, size);
}
void* aligned_alloc(std::size_t alignment, std::size_t size) noexcept {
  ++allocations;
  return __libc_memalign(alignment, size);
}
void* memalign(std::size_t alignment, std::size_t size) noexcept {
  ++allocations;
  return __libc_memalign(alignment, size);
}
int posix_memalign(void** memory, std::size_t alignment, std::size_t size) noexcept {
  ++allocations;
  *memory = __libc_memalign(alignment, size);
  return *memory ? 0 : ENOMEM;
}

}  // extern "C"

#endif
