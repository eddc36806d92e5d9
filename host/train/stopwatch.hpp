// Time that is spent on one thing among others.
#pragma once

#include <chrono>
#include <optional>

namespace curvseg {

class Stopwatch {
 public:
  /// Goes on, if it does not already.
  void start() {
    if (!since_) since_ = Clock::now();
  }
  void stop() {
    before_ = elapsed();
    since_.reset();
  }
  double seconds() const { return std::chrono::duration<double>(elapsed()).count(); }

 private:
  using Clock = std::chrono::steady_clock;

  Clock::duration elapsed() const { return since_ ? before_ + (Clock::now() - *since_) : before_; }

  Clock::duration before_{0};
  std::optional<Clock::time_point> since_;
};

}  // namespace curvseg
