/// \file
/// Ctrl-C that lets the current step finish.
#pragma once

namespace curvseg::cli {

/// While an object lives, the first SIGINT or SIGTERM only sets a flag; a second one ends the
/// process as usual. One object at a time.
class InterruptGuard {
 public:
  InterruptGuard();
  ~InterruptGuard();
  InterruptGuard(const InterruptGuard&) = delete;
  InterruptGuard& operator=(const InterruptGuard&) = delete;

  [[nodiscard]] static bool interrupted();
};

}  // namespace curvseg::cli
