// The patches of a convolution's input as rows, in double, and random positions in strata. Knows
// nothing of the kernels.
#pragma once

#include <cmath>
#include <cstdint>
#include <vector>

#include "reference/conv2d.hpp"
#include "reference/philox.hpp"

namespace curvseg::reference {

/// ⌊(t + u)·count / strata⌋ with u = word / 2^32, in integers of 128 bits.
inline std::int64_t stratified_position(std::int64_t t, std::uint32_t word, std::int64_t count,
                                        std::int64_t strata) {
  __extension__ using Wide = __int128;
  const Wide fraction = (static_cast<Wide>(t) << 32) + word;
  return static_cast<std::int64_t>(fraction * count / (static_cast<Wide>(strata) << 32));
}

/// The position of every row; none beyond the positions that there are.
inline std::vector<std::int64_t> patch_positions(std::int64_t count, int rows, std::uint64_t seed,
                                                 std::uint64_t step, std::uint32_t stream) {
  std::vector<std::int64_t> result;
  for (int t = 0; t < rows && t < count; ++t) {
    const Words words = philox(
        {static_cast<std::uint32_t>(t), stream, static_cast<std::uint32_t>(step & 0xFFFFFFFFu),
         static_cast<std::uint32_t>(step >> 32)},
        {static_cast<std::uint32_t>(seed & 0xFFFFFFFFu), static_cast<std::uint32_t>(seed >> 32)});
    result.push_back(rows >= count ? t : stratified_position(t, words[0], count, rows));
  }
  return result;
}

/// [rows, R·S·C (+ 1)]: scale/√(positions) times the patch of each position, then zeros.
inline std::vector<double> patch_rows(const Conv2d& g, const std::vector<float>& x,
                                      const std::vector<std::int64_t>& positions, int rows,
                                      bool append_one, double scale) {
  const double factor = scale / std::sqrt(static_cast<double>(positions.size()));
  std::vector<double> result;
  for (const std::int64_t position : positions) {
    const int q = static_cast<int>(position % g.q());
    const int p = static_cast<int>(position / g.q() % g.p());
    const int n = static_cast<int>(position / g.q() / g.p());
    for (int r = 0; r < g.r; ++r)
      for (int s = 0; s < g.s; ++s)
        for (int c = 0; c < g.c; ++c) {
          const int h = p * g.stride_h - g.pad_h + r * g.dilation_h;
          const int w = q * g.stride_w - g.pad_w + s * g.dilation_w;
          const bool inside = h >= 0 && h < g.h && w >= 0 && w < g.w;
          const std::size_t at =
              inside ? Conv2d::size(n, g.h, g.w, g.c) + Conv2d::size(1, h, g.w, g.c) +
                           Conv2d::size(1, 1, w, g.c) + static_cast<std::size_t>(c)
                     : 0;
          result.push_back(inside ? factor * x[at] : 0.0);
        }
    if (append_one) result.push_back(factor);
  }
  const std::size_t width = Conv2d::size(1, g.r, g.s, g.c) + (append_one ? 1 : 0);
  result.resize(static_cast<std::size_t>(rows) * width, 0.0);
  return result;
}

}  // namespace curvseg::reference
