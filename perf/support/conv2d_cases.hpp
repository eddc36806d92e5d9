// The convolutions that are measured, here and against oneDNN.
#pragma once

#include "curvseg/ops.hpp"

namespace curvseg::perf {

struct Conv2dCase {
  const char* name;
  int n, h, w, c, k;
  int r = 3, s = 3;
  int stride = 1, dilation = 1;
  /// A transposed convolution: written as the convolution whose adjoint it is, from its output (h,
  /// w, c) to its input (k).
  bool transposed = false;

  /// Whether there is another way than direct sums: ConvAlgorithm::kWinograd.
  bool has_choice() const {
    return r == 3 && s == 3 && stride == 1 && dilation == 1 && !transposed;
  }

  /// Padded to keep the size, for odd filters and stride 1.
  Conv2dGeometry geometry() const {
    const int pad_h = transposed ? 0 : dilation * (r - 1) / 2;
    const int pad_w = transposed ? 0 : dilation * (s - 1) / 2;
    return {.stride_h = stride,
            .stride_w = stride,
            .pad_h = pad_h,
            .pad_w = pad_w,
            .dilation_h = dilation,
            .dilation_w = dilation};
  }
};

inline constexpr Conv2dCase kConv2dCases[] = {
    // First layers.
    {"8x96x96_1to16_3x3", 8, 96, 96, 1, 16},
    {"8x96x96_3to16_3x3", 8, 96, 96, 3, 16},
    {"1x512x512_1to64_3x3", 1, 512, 512, 1, 64},
    {"1x512x512_3to64_3x3", 1, 512, 512, 3, 64},
    // The levels of a narrow U-Net, and the first convolutions of its decoders.
    {"8x96x96_16to16_3x3", 8, 96, 96, 16, 16},
    {"8x48x48_32to32_3x3", 8, 48, 48, 32, 32},
    {"8x24x24_64to64_3x3", 8, 24, 24, 64, 64},
    {"8x12x12_128to128_3x3", 8, 12, 12, 128, 128},
    {"8x96x96_32to16_3x3", 8, 96, 96, 32, 16},
    {"8x48x48_64to32_3x3", 8, 48, 48, 64, 32},
    // Of a wide one.
    {"4x96x96_64to64_3x3", 4, 96, 96, 64, 64},
    {"4x48x48_128to128_3x3", 4, 48, 48, 128, 128},
    {"4x24x24_256to256_3x3", 4, 24, 24, 256, 256},
    {"4x12x12_512to512_3x3", 4, 12, 12, 512, 512},
    {"1x256x256_64to64_3x3", 1, 256, 256, 64, 64},
    {"1x512x512_32to32_3x3", 1, 512, 512, 32, 32},
    // Heads, projections, dense layers.
    {"8x96x96_16to2_1x1", 8, 96, 96, 16, 2, 1, 1},
    {"8x96x96_64to12_1x1", 8, 96, 96, 64, 12, 1, 1},
    {"8x48x48_64to64_1x1", 8, 48, 48, 64, 64, 1, 1},
    {"64x1x1_2048to512_1x1", 64, 1, 1, 2048, 512, 1, 1},
    {"64x1x1_512to10_1x1", 64, 1, 1, 512, 10, 1, 1},
    // Up-sampling steps.
    {"transposed_8x96x96_32to16_2x2", 8, 96, 96, 16, 32, 2, 2, 2, 1, true},
    {"transposed_8x48x48_64to32_2x2", 8, 48, 48, 32, 64, 2, 2, 2, 1, true},
    {"transposed_4x96x96_128to64_2x2", 4, 96, 96, 64, 128, 2, 2, 2, 1, true},
    // Strided, dilated, odd.
    {"8x96x96_32to64_3x3_stride2", 8, 96, 96, 32, 64, 3, 3, 2},
    {"8x48x48_64to64_3x3_dilated2", 8, 48, 48, 64, 64, 3, 3, 1, 2},
    {"8x45x60_12to37_3x3", 8, 45, 60, 12, 37},
    {"3x59x43_29to33_5x3", 3, 59, 43, 29, 33, 5, 3},
};

}  // namespace curvseg::perf
