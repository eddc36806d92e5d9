#include "exec/emulated/fibers.hpp"

#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>
#include <new>

// AddressSanitizer has to be told which stack is in use.
#if defined(__SANITIZE_ADDRESS__)
#define CURVSEG_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define CURVSEG_ASAN 1
#endif
#endif
#if defined(CURVSEG_ASAN)
#include <sanitizer/common_interface_defs.h>
#endif

namespace curvseg::emulation {
namespace {

using boost::context::detail::fcontext_t;
using boost::context::detail::jump_fcontext;
using boost::context::detail::make_fcontext;
using boost::context::detail::transfer_t;

constexpr std::size_t kStackBytes = 128 << 10;

thread_local fcontext_t scheduler = nullptr;

#if defined(CURVSEG_ASAN)
thread_local void* scheduler_fake_stack = nullptr;
thread_local const void* scheduler_low = nullptr;
thread_local std::size_t scheduler_bytes = 0;
#endif

}  // namespace

StackPool::~StackPool() {
  const auto guard = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
  for (const FiberStack& stack : all_) munmap(stack.low - guard, stack.bytes + guard);
}

FiberStack StackPool::take() {
  if (free_.empty()) {
    const auto guard = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
    void* at = mmap(nullptr, kStackBytes + guard, PROT_READ | PROT_WRITE,
                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (at == MAP_FAILED) throw std::bad_alloc();
    mprotect(at, guard, PROT_NONE);
    FiberStack stack;
    stack.low = static_cast<std::byte*>(at) + guard;
    stack.bytes = kStackBytes;
    // All stacks are equal modulo the cache's way size: without an offset of its own, the hot end
    // of every stack would fall into the same few cache sets.
    constexpr std::size_t kColours = 61, kColourBytes = 192;
    stack.top = stack.low + kStackBytes - all_.size() % kColours * kColourBytes;
    all_.push_back(stack);
    free_.push_back(stack);
  }
  const FiberStack stack = free_.back();
  free_.pop_back();
  return stack;
}

bool StackPool::holds(const void* address) const {
  const auto at = reinterpret_cast<std::uintptr_t>(address);
  for (const FiberStack& stack : all_)
    if (at - reinterpret_cast<std::uintptr_t>(stack.low) < stack.bytes) return true;
  return false;
}

void Fiber::prepare(const FiberStack& stack, Entry entry) {
  stack_ = stack;
  entry_ = entry;
  context_ = make_fcontext(stack.top, static_cast<std::size_t>(stack.top - stack.low), &begin);
}

void Fiber::begin(transfer_t from) {
  scheduler = from.fctx;
#if defined(CURVSEG_ASAN)
  __sanitizer_finish_switch_fiber(nullptr, &scheduler_low, &scheduler_bytes);
#endif
  static_cast<Fiber*>(from.data)->entry_();
  suspend(true);
}

void Fiber::resume() {
#if defined(CURVSEG_ASAN)
  __sanitizer_start_switch_fiber(&scheduler_fake_stack, stack_.low, stack_.bytes);
#endif
  context_ = jump_fcontext(context_, this).fctx;
#if defined(CURVSEG_ASAN)
  __sanitizer_finish_switch_fiber(scheduler_fake_stack, nullptr, nullptr);
#endif
}

void Fiber::suspend([[maybe_unused]] bool last) {
#if defined(CURVSEG_ASAN)
  void* fake_stack = nullptr;
  __sanitizer_start_switch_fiber(last ? nullptr : &fake_stack, scheduler_low, scheduler_bytes);
#endif
  scheduler = jump_fcontext(scheduler, nullptr).fctx;
#if defined(CURVSEG_ASAN)
  __sanitizer_finish_switch_fiber(fake_stack, &scheduler_low, &scheduler_bytes);
#endif
}

}  // namespace curvseg::emulation
