// What all benchmark programs share: they are lists of operations, each of which checks itself
// before it is timed.
//
//   void curvseg::perf::register_benchmarks() {
//     for (const Case& c : kCases)
//       add(c.name, [c](const Stream& stream) { return std::make_unique<Forward>(stream, c); });
//   }
//
// perf/support/main.cpp has the options.
#pragma once

#include <algorithm>
#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "curvseg/device.hpp"
#include "curvseg/tensor.hpp"
#include "perf/support/clock.hpp"
#include "perf/support/data.hpp"
#include "perf/support/peaks.hpp"

namespace curvseg::perf {

/// What one run does. Rated by operations where there are any, else by bytes: what is read and
/// written at least, each once.
struct Work {
  double flops = 0.0;
  double bytes = 0.0;
};

/// Something to time, with its data.
class Operation {
 public:
  virtual ~Operation() = default;
  /// Compares results with a reference, on little data. \throws std::runtime_error where they
  /// differ.
  virtual void check() = 0;
  virtual void prepare() = 0;  // makes the data of run(); the functions below come after it
  virtual Work work() const = 0;
  virtual void run() = 0;  // enqueues it once
  /// Device memory of one run that is worth telling; 0: none.
  virtual std::size_t memory_bytes() const { return 0; }
};

using MakeOperation = std::function<std::unique_ptr<Operation>(const Stream&)>;

/// Registers a benchmark. Its operation is made when its turn comes and freed at the next one's.
void add(std::string name, MakeOperation make);

/// Every program defines it, as calls of add().
void register_benchmarks();

/// Several sets of buffers, together twice as large as the last cache, so that none is left in it
/// when its turn comes.
template <class Buffers>
class Rotation {
 public:
  /// `bytes` of one set; `make()` makes one.
  template <class Make>
  Rotation(std::size_t bytes, Make make) {
    constexpr std::size_t kMost = 4096;  // tiny tensors: what counts there is not memory
    const std::size_t beyond = 2 * last_level_cache() / std::max<std::size_t>(bytes, 1) + 2;
    for (std::size_t i = 0; i < std::min(beyond, kMost); ++i) sets_.push_back(make());
  }
  Buffers& next() { return sets_[++at_ % sets_.size()]; }
  Buffers& current() { return sets_[at_ % sets_.size()]; }

 private:
  std::vector<Buffers> sets_;
  std::size_t at_ = 0;
};

}  // namespace curvseg::perf
