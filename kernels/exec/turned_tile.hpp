// A tile of pixels turned over, so that what a loop over pixels reads lies side by side:
//
//   load_turned<kPixels>(tile, from, ld, pixels, channels)
//       tile[c][pixel] = pixel < pixels ? from[pixel·ld + c] : 0     for pixel < kPixels
//   store_turned(tile, to, ld, pixels, channels)
//       to[pixel·ld + c] = tile[c][pixel]                            for pixel < pixels
//
// All threads of a block call them; barriers are the caller's. On a GPU neighbouring threads take
// neighbouring channels, as they lie in memory. The host turns blocks of 4 by 4 in registers:
// element by element the moves cost more than what is computed between them.
#pragma once

#include "exec/exec.hpp"

#if defined(__CUDACC__) || defined(CURVSEG_EMULATED)

namespace curvseg::CURVSEG_TARGET {

/// This thread's share of f(pixel, channel).
template <class Function>
__device__ __forceinline__ void for_each_element(int pixels, int channels, const Function& f) {
  const int step_pixels = block_step() / channels;
  const int step_channels = block_step() % channels;
  int pixel = block_begin() / channels;
  int c = block_begin() % channels;
  while (pixel < pixels) {
    f(pixel, c);
    pixel += step_pixels;
    c += step_channels;
    const bool wraps = c >= channels;
    pixel += wraps ? 1 : 0;
    c -= wraps ? channels : 0;
  }
}

template <int kPixels, class Tile>
__device__ __forceinline__ void load_turned(Tile& tile, const float* from, std::int64_t ld,
                                            int pixels, int channels) {
  for_each_element(kPixels, channels, [&](int pixel, int c) {
    tile[c][pixel] = pixel < pixels ? from[pixel * ld + c] : 0.0f;
  });
}

template <class Tile>
__device__ __forceinline__ void store_turned(const Tile& tile, float* to, std::int64_t ld,
                                             int pixels, int channels) {
  for_each_element(pixels, channels,
                   [&](int pixel, int c) { to[pixel * ld + c] = tile[c][pixel]; });
}

}  // namespace curvseg::CURVSEG_TARGET

#else
#include "exec/host_turned_tile.hpp"
#endif
