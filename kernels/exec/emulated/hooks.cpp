// What the compiler's instrumentation calls, under the names of redirect.hpp. Every hook is also
// reached from host code in a kernel file (launchers, inline functions): then no kernel runs in
// this thread, and everything counts as own stack.
#include <atomic>
#include <cstring>

#include "exec/emulated/engine.hpp"

using curvseg::emulation::check_slowly;
using curvseg::emulation::check_words;
using curvseg::emulation::place_of;
using curvseg::emulation::Touch;

#define CURVSEG_HOOK(name) \
  extern "C" __attribute__((visibility("default"))) void curvseg_emulated_##name
#define CURVSEG_PLACE __builtin_return_address(0)

namespace {

bool in_kernel() { return curvseg::emulation::hot.stack_low != 0; }

void check(Touch touch, const void* address, std::size_t bytes, const void* return_address) {
  if (in_kernel())
    check_slowly(touch, reinterpret_cast<std::uintptr_t>(address), bytes, place_of(return_address));
}

/// The hot path: most accesses of a kernel are to shared memory or to its own stack.
template <Touch kTouch, unsigned kBytes>
inline __attribute__((always_inline)) void check_aligned(const void* address,
                                                         const void* return_address) {
  const auto at = reinterpret_cast<std::uintptr_t>(address);
  const curvseg::emulation::HotState& s = curvseg::emulation::hot;
  if (at - s.stack_low < s.stack_bytes) return;
  check_words<kTouch>(at, kBytes, place_of(return_address));
}

}  // namespace

CURVSEG_HOOK(__tsan_init)() {}
CURVSEG_HOOK(__tsan_func_entry)(void*) {}
CURVSEG_HOOK(__tsan_func_exit)() {}
// Kernels have no virtual functions.
CURVSEG_HOOK(__tsan_vptr_update)(void**, void*) {}
CURVSEG_HOOK(__tsan_vptr_read)(void**) {}

#define CURVSEG_HOOK_WORDS(bytes)                                \
  CURVSEG_HOOK(__tsan_read##bytes)(void* address) {              \
    check_aligned<Touch::kRead, bytes>(address, CURVSEG_PLACE);  \
  }                                                              \
  CURVSEG_HOOK(__tsan_write##bytes)(void* address) {             \
    check_aligned<Touch::kWrite, bytes>(address, CURVSEG_PLACE); \
  }
CURVSEG_HOOK_WORDS(4)
CURVSEG_HOOK_WORDS(8)
CURVSEG_HOOK_WORDS(16)

#define CURVSEG_HOOK_SLOWLY(name, bytes)                     \
  CURVSEG_HOOK(__tsan_##name##read##bytes)(void* address) {  \
    check(Touch::kRead, address, bytes, CURVSEG_PLACE);      \
  }                                                          \
  CURVSEG_HOOK(__tsan_##name##write##bytes)(void* address) { \
    check(Touch::kWrite, address, bytes, CURVSEG_PLACE);     \
  }
CURVSEG_HOOK_SLOWLY(, 1)
CURVSEG_HOOK_SLOWLY(, 2)
// Not misaligned for the GPU: compilers make these of several neighbouring accesses. Source text
// that asks for too much alignment is caught by -fsanitize=alignment, below.
CURVSEG_HOOK_SLOWLY(unaligned_, 1)
CURVSEG_HOOK_SLOWLY(unaligned_, 2)
CURVSEG_HOOK_SLOWLY(unaligned_, 4)
CURVSEG_HOOK_SLOWLY(unaligned_, 8)
CURVSEG_HOOK_SLOWLY(unaligned_, 16)

CURVSEG_HOOK(__tsan_read_range)(void* address, unsigned long bytes) {
  check(Touch::kRead, address, bytes, CURVSEG_PLACE);
}
CURVSEG_HOOK(__tsan_write_range)(void* address, unsigned long bytes) {
  check(Touch::kWrite, address, bytes, CURVSEG_PLACE);
}

extern "C" __attribute__((visibility("default"))) void* curvseg_emulated_memcpy(void* to,
                                                                                const void* from,
                                                                                std::size_t bytes) {
  check(Touch::kRead, from, bytes, CURVSEG_PLACE);
  check(Touch::kWrite, to, bytes, CURVSEG_PLACE);
  return std::memcpy(to, from, bytes);
}
extern "C" __attribute__((visibility("default"))) void* curvseg_emulated_memmove(
    void* to, const void* from, std::size_t bytes) {
  check(Touch::kRead, from, bytes, CURVSEG_PLACE);
  check(Touch::kWrite, to, bytes, CURVSEG_PLACE);
  return std::memmove(to, from, bytes);
}
extern "C" __attribute__((visibility("default"))) void* curvseg_emulated_memset(void* to, int value,
                                                                                std::size_t bytes) {
  check(Touch::kWrite, to, bytes, CURVSEG_PLACE);
  return std::memset(to, value, bytes);
}

// The head of what -fsanitize=alignment hands over, the same in both compilers.
struct TypeMismatch {
  const char* file;
  unsigned line, column;
  const void* type;
  unsigned char log2_alignment;
  unsigned char access;  // 0 load, 1 store, more: references and members
};
CURVSEG_HOOK(__ubsan_handle_type_mismatch_v1)(TypeMismatch* mismatch, void* address) {
  if (!in_kernel()) return;
  curvseg::emulation::fail_misaligned(mismatch->access == 1 ? Touch::kWrite : Touch::kRead,
                                      reinterpret_cast<std::uintptr_t>(address),
                                      std::size_t{1} << mismatch->log2_alignment,
                                      place_of(CURVSEG_PLACE));
}

// ---- atomics: of the host code in kernel files, mostly; kernels use atomicAdd() ----------------

#define CURVSEG_ATOMIC(bits, type, name, ...)       \
  extern "C" __attribute__((visibility("default"))) \
  type curvseg_emulated___tsan_atomic##bits##_##name(volatile type* at, ##__VA_ARGS__)
#define CURVSEG_CHECK_ATOMIC(bits)                                                          \
  check(Touch::kAtomic, const_cast<const void*>(static_cast<volatile void*>(at)), bits / 8, \
        CURVSEG_PLACE)
#define CURVSEG_ATOMIC_FETCH(bits, type, name)           \
  CURVSEG_ATOMIC(bits, type, name, type value, int) {    \
    CURVSEG_CHECK_ATOMIC(bits);                          \
    return __atomic_##name(at, value, __ATOMIC_SEQ_CST); \
  }
#define CURVSEG_ATOMIC_EXCHANGE(bits, type, name)                                    \
  extern "C" __attribute__((visibility("default"))) int                              \
      curvseg_emulated___tsan_atomic##bits##_compare_exchange_##name(                \
          volatile type* at, type* expected, type value, int, int) {                 \
    CURVSEG_CHECK_ATOMIC(bits);                                                      \
    return __atomic_compare_exchange_n(at, expected, value, false, __ATOMIC_SEQ_CST, \
                                       __ATOMIC_SEQ_CST);                            \
  }
#define CURVSEG_ATOMICS(bits, type)                                                             \
  CURVSEG_ATOMIC(bits, type, load, int) {                                                       \
    CURVSEG_CHECK_ATOMIC(bits);                                                                 \
    return __atomic_load_n(at, __ATOMIC_SEQ_CST);                                               \
  }                                                                                             \
  extern "C"                                                                                    \
      __attribute__((visibility("default"))) void curvseg_emulated___tsan_atomic##bits##_store( \
          volatile type* at, type value, int) {                                                 \
    CURVSEG_CHECK_ATOMIC(bits);                                                                 \
    __atomic_store_n(at, value, __ATOMIC_SEQ_CST);                                              \
  }                                                                                             \
  CURVSEG_ATOMIC(bits, type, exchange, type value, int) {                                       \
    CURVSEG_CHECK_ATOMIC(bits);                                                                 \
    return __atomic_exchange_n(at, value, __ATOMIC_SEQ_CST);                                    \
  }                                                                                             \
  CURVSEG_ATOMIC_FETCH(bits, type, fetch_add)                                                   \
  CURVSEG_ATOMIC_FETCH(bits, type, fetch_sub)                                                   \
  CURVSEG_ATOMIC_FETCH(bits, type, fetch_and)                                                   \
  CURVSEG_ATOMIC_FETCH(bits, type, fetch_or)                                                    \
  CURVSEG_ATOMIC_FETCH(bits, type, fetch_xor)                                                   \
  CURVSEG_ATOMIC_EXCHANGE(bits, type, strong)                                                   \
  CURVSEG_ATOMIC_EXCHANGE(bits, type, weak)
CURVSEG_ATOMICS(8, unsigned char)
CURVSEG_ATOMICS(16, unsigned short)
CURVSEG_ATOMICS(32, unsigned int)
CURVSEG_ATOMICS(64, unsigned long)
CURVSEG_HOOK(__tsan_atomic_thread_fence)(int) {
  std::atomic_thread_fence(std::memory_order_seq_cst);
}

namespace curvseg::emulation {

std::uint64_t atomic_add(void* address, unsigned bytes, std::uint64_t value) noexcept {
  check(Touch::kAtomic, address, bytes, __builtin_return_address(0));
  std::uint64_t old = 0;
  std::memcpy(&old, address, bytes);
  const std::uint64_t sum = old + value;
  std::memcpy(address, &sum, bytes);  // little-endian: the low bytes
  return old;
}

void count_multiply_add() noexcept { engine().record.flops += 2; }

}  // namespace curvseg::emulation
