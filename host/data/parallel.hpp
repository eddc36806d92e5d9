/// @file
/// A loop over independent items on all cores, for reading files.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <exception>
#include <mutex>
#include <system_error>
#include <thread>
#include <vector>

namespace curvseg {

/// Calls `body(i)` once for every i in 0..count-1 from up to one thread per core. When calls throw,
/// the exception of the smallest i is rethrown, so that an error message does not depend on timing.
template <typename Body>
void parallel_for_each_index(std::size_t count, const Body& body) {
  std::atomic<std::size_t> next{0};
  std::mutex mutex;
  std::exception_ptr error;
  std::size_t error_index = count;
  const auto work = [&] {
    // Indices are handed out in order, so every index below that of an error has been handed out
    // when the error is seen: stopping early cannot miss a smaller one.
    for (std::size_t i = next.fetch_add(1); i < count; i = next.fetch_add(1)) {
      try {
        body(i);
      } catch (...) {
        const std::scoped_lock lock(mutex);
        if (i < error_index) {
          error = std::current_exception();
          error_index = i;
        }
        next.store(count);
      }
    }
  };
  const std::size_t cores = std::max(1U, std::thread::hardware_concurrency());
  std::vector<std::thread> threads;
  try {
    for (std::size_t t = 1; t < std::min(cores, count); ++t) {
      threads.emplace_back(work);
    }
  } catch (const std::system_error&) {  // no more threads to be had: those there are do the work
  }
  work();
  for (std::thread& thread : threads) {
    thread.join();
  }
  if (error) {
    std::rethrow_exception(error);
  }
}

}  // namespace curvseg
