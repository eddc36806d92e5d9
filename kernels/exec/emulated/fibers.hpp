// Stacks and the switch between them: Boost.Context's jump_fcontext, nothing more.
#pragma once

#include <boost/context/detail/fcontext.hpp>
#include <cstddef>
#include <vector>

namespace curvseg::emulation {

class FiberStack {
 public:
  std::byte* low = nullptr;
  std::size_t bytes = 0;
  std::byte* top = nullptr;  // where the next fiber on it begins
};

/// A few stacks, used again and again: a thread that never waits leaves its stack, still in cache,
/// to the next thread.
class StackPool {
 public:
  StackPool() = default;
  StackPool(const StackPool&) = delete;
  StackPool& operator=(const StackPool&) = delete;
  ~StackPool();

  FiberStack take();
  void give(const FiberStack& stack) { free_.push_back(stack); }
  /// The stack that holds `address`, for reports: true if any does.
  bool holds(const void* address) const;

 private:
  std::vector<FiberStack> all_;
  std::vector<FiberStack> free_;
};

/// The two sides of a switch between the scheduler and one fiber.
class Fiber {
 public:
  using Entry = void (*)();

  /// Starts `entry` on `stack` at the next resume().
  void prepare(const FiberStack& stack, Entry entry);
  const FiberStack& stack() const { return stack_; }
  /// From the scheduler: runs the fiber until it suspends.
  void resume();
  /// From the fiber: back to the scheduler. With `last` the fiber is never resumed.
  static void suspend(bool last = false);

 private:
  static void begin(boost::context::detail::transfer_t from);

  boost::context::detail::fcontext_t context_ = nullptr;
  FiberStack stack_;
  Entry entry_ = nullptr;
};

}  // namespace curvseg::emulation
