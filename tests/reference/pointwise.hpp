// Pointwise operations in double precision, as the formulas are written, on dense tensors. Knows
// nothing of the kernels.
#pragma once

#include <cmath>
#include <cstddef>
#include <vector>

namespace curvseg::reference {

inline std::vector<double> scaled_copy(const std::vector<float>& from, double scale,
                                       const std::vector<float>* old) {
  std::vector<double> to(from.size());
  for (std::size_t i = 0; i < to.size(); ++i)
    to[i] = scale * static_cast<double>(from[i]) + (old ? static_cast<double>((*old)[i]) : 0.0);
  return to;
}

inline std::vector<double> relu_forward(const std::vector<float>& x) {
  std::vector<double> y;
  for (const float value : x) y.push_back(value < 0 ? 0.0 : static_cast<double>(value));
  return y;
}

inline std::vector<double> relu_backward(const std::vector<float>& y, const std::vector<float>& dy,
                                         const std::vector<float>* old) {
  std::vector<double> dx(y.size());
  for (std::size_t i = 0; i < dx.size(); ++i)
    dx[i] = (y[i] > 0 ? static_cast<double>(dy[i]) : 0.0) +
            (old ? static_cast<double>((*old)[i]) : 0.0);
  return dx;
}

inline std::vector<double> add_bias(const std::vector<float>& x, const std::vector<float>& b) {
  std::vector<double> y;
  for (std::size_t i = 0; i < x.size(); ++i)
    y.push_back(static_cast<double>(x[i]) + static_cast<double>(b[i % b.size()]));
  return y;
}

/// Sums over pixels, and Σ |dy|, which bounds their error.
struct ChannelSums {
  std::vector<double> db, magnitude;
};

inline ChannelSums channel_sum(const std::vector<float>& dy, std::size_t channels) {
  ChannelSums sums{std::vector<double>(channels), std::vector<double>(channels)};
  for (std::size_t i = 0; i < dy.size(); ++i) {
    sums.db[i % channels] += static_cast<double>(dy[i]);
    sums.magnitude[i % channels] += std::fabs(static_cast<double>(dy[i]));
  }
  return sums;
}

}  // namespace curvseg::reference
