// The mean of samples of a trace and how sure it is.
#pragma once

#include <cmath>
#include <span>

#include "curvseg/solvers.hpp"

namespace curvseg {

/// Mean and its standard error, which is 0 with one sample. \pre there is a sample
template <class Sample>
TraceEstimate sample_mean(std::span<const Sample> samples) {
  const auto n = static_cast<double>(samples.size());
  double sum = 0.0, squares = 0.0;
  for (const Sample sample : samples) sum += static_cast<double>(sample);
  const double mean = sum / n;
  for (const Sample sample : samples)
    squares += (static_cast<double>(sample) - mean) * (static_cast<double>(sample) - mean);
  return {mean, samples.size() > 1 ? std::sqrt(squares / ((n - 1.0) * n)) : 0.0,
          static_cast<int>(samples.size())};
}

}  // namespace curvseg
