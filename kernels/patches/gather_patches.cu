// Patches of x as rows of a matrix, scaled (patches.hpp has the formula):
//
//   rows[t, tap·C + c] = f · x[source of tap at position π_t, c],   rows[t, R·S·C] = f
//
// A block makes whole rows: on a GPU its threads lie along a row, which is contiguous in `rows` and
// within a tap in x; on the host a tap is one run. Overwrites. The bits of u_t are the first word
// of Philox(counter = (t, stream, step), key = seed).
#include <cmath>

#include "conv2d/pixel_cursor.hpp"
#include "exec/exec.hpp"
#include "patches/launchers.hpp"
#include "random/philox.hpp"

namespace curvseg::CURVSEG_TARGET {
namespace {

// GPU: 4 warps walk the 28 to 1153 elements of a row. Host: enough rows to outweigh a block's
// start.
constexpr int kPatchThreads = kStagedOperands ? 128 : 1;
constexpr int kPatchRows = kStagedOperands ? 1 : 16;

__device__ __forceinline__ std::int64_t position_of(const GatherPatches& p, std::int64_t t,
                                                    std::int64_t count) {
  if (p.positions >= count) return t;
  const std::uint64_t seed = p.seed_and_step[0], step = p.seed_and_step[1];
  const Words4 words =
      philox({{static_cast<std::uint32_t>(t), p.stream, static_cast<std::uint32_t>(step),
               static_cast<std::uint32_t>(step >> 32)}},
             static_cast<std::uint32_t>(seed), static_cast<std::uint32_t>(seed >> 32));
  return stratified_position(t, words.at[0], count, p.positions);
}

/// The pixel that tap (r, s) reads, nullptr outside of x.
class PatchSource {
 public:
  __device__ __forceinline__ PatchSource(const GatherPatches& p, std::int64_t position)
      : p_(p), cursor_(position, p.problem.n, p.problem.p, p.problem.q) {}

  __device__ __forceinline__ const float* at(int r, int s) const {
    const Conv2dProblem& c = p_.problem;
    const int row = cursor_.row() * c.stride_h - c.pad_h + r * c.dilation_h;
    const int column = cursor_.column() * c.stride_w - c.pad_w + s * c.dilation_w;
    if (row < 0 || row >= c.h || column < 0 || column >= c.w) return nullptr;
    return p_.x +
           ((static_cast<std::int64_t>(cursor_.image()) * c.h + row) * c.w + column) * p_.ldx;
  }

 private:
  const GatherPatches& p_;
  PixelCursor cursor_;
};

// Each target takes one of the next two.

/// Elements of a row in turn over the threads of a block.
[[maybe_unused]] __device__ __forceinline__ void write_by_elements(const GatherPatches& p,
                                                                   const PatchSource& source,
                                                                   float factor,
                                                                   float* __restrict__ to) {
  const Conv2dProblem& c = p.problem;
  const int elements = patch_width(p) - (p.append_one ? 1 : 0);
  for (int i = block_begin(); i < elements; i += block_step()) {
    const int tap = i / c.c, channel = i - tap * c.c;
    const int r = tap / c.s;
    const float* from = source.at(r, tap - r * c.s);
    to[i] = from ? factor * from[channel] : 0.0f;
  }
  if (p.append_one && threadIdx.x == 0) to[elements] = factor;
}

/// One tap after the other: their channels vectorise.
[[maybe_unused]] __device__ __forceinline__ void write_by_taps(const GatherPatches& p,
                                                               const PatchSource& source,
                                                               float factor,
                                                               float* __restrict__ to) {
  const Conv2dProblem& c = p.problem;
  for (int r = 0; r < c.r; ++r)
    for (int s = 0; s < c.s; ++s, to += c.c) {
      const float* __restrict__ from = source.at(r, s);
      if (from)
        for (int channel = 0; channel < c.c; ++channel) to[channel] = factor * from[channel];
      else
        for (int channel = 0; channel < c.c; ++channel) to[channel] = 0.0f;
    }
  if (p.append_one) *to = factor;
}

__global__ void __launch_bounds__(kPatchThreads) gather_patches_kernel(GatherPatches p) {
  const Conv2dProblem& c = p.problem;
  const std::int64_t count = static_cast<std::int64_t>(c.n) * c.p * c.q;
  const std::int64_t kept = p.positions < count ? p.positions : count;
  const float scale = p.scale ? *p.scale : 1.0f;
  const float factor = scale / sqrtf(static_cast<float>(kept));
  const std::int64_t first = static_cast<std::int64_t>(blockIdx.x) * kPatchRows;
  for (std::int64_t t = first; t < first + kPatchRows && t < p.positions; ++t) {
    float* to = p.rows + t * p.ld;
    if (t >= kept) {
      for (int i = block_begin(); i < patch_width(p); i += block_step()) to[i] = 0.0f;
      continue;
    }
    const PatchSource source(p, position_of(p, t, count));
    if constexpr (kStagedOperands)
      write_by_elements(p, source, factor, to);
    else
      write_by_taps(p, source, factor, to);
  }
}

}  // namespace

void gather_patches(StreamHandle stream, const GatherPatches& p) {
  if (p.positions == 0 || patch_width(p) == 0) return;
  const auto blocks = static_cast<unsigned>(divide_up(p.positions, kPatchRows));
  launch<gather_patches_kernel>(stream, dim3{blocks, 1, 1}, kPatchThreads, p);
}

}  // namespace curvseg::CURVSEG_TARGET
