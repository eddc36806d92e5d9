// Operations that memory bounds, described by their tensors: how to run one, and what must come
// out.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "perf/support/harness.hpp"

namespace curvseg::perf {

/// The data of one run.
struct Set {
  std::vector<Tensor> tensors;
  DeviceArray<std::uint16_t> index;
  DeviceArray<std::int32_t> labels;
  DeviceArray<float> scalars;

  const Tensor& operator[](std::size_t i) const { return tensors[i]; }
};

struct Recipe {
  std::vector<Shape> tensors;  // tensor i begins as start(i)
  std::int64_t index_count = 0;
  std::vector<std::int32_t> labels;
  std::vector<float> scalars;
  double bytes = 0.0;                                // that a run reads and writes
  std::function<void(const Stream&, Set&)> prepare;  // once a set; may be empty
  std::function<void(const Stream&, Set&)> run;
  std::size_t result = 0;                         // the tensor to compare,
  std::function<std::vector<double>()> expected;  // with this,
  double tolerance = 0.0;                         // each element within this; 0: exactly

  /// What tensor `i` holds before the first run.
  std::vector<float> start(std::size_t i) const;
};

/// Registers `make(full)`, which is checked as `make(small)`: the same channels on a small image.
void add_recipe(const std::string& name, std::function<Recipe(const Shape&)> make,
                const Shape& full);

/// A vector as a tensor of one pixel row.
inline Shape flat(int n) { return {1, 1, n, 1}; }

}  // namespace curvseg::perf
