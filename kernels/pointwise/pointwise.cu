// Pointwise operations on [pixels, channels] with a pixel stride:
//
//   fill:           to[i]   = value
//   store_words:    to[i]   = value[i]
//   copy_pixels:    to[p,c] = scale · from[p,c] (+ to[p,c])    scale 0 reads nothing, as in BLAS
//   relu_forward:   y[p,c]  = x[p,c] < 0 ? 0 : x[p,c]          NaN stays NaN
//   relu_backward:  dx[p,c] = y[p,c] > 0 ? dy[p,c] : 0 (+ dx[p,c])
//   add_bias:       y[p,c]  = x[p,c] + b[c]
//
// Overwrite, or add where `accumulate` says so. Every element is read before it is written by the
// thread that writes it, so outputs may lie on inputs.
#include "exec/pixel_walk.hpp"
#include "pointwise/channel_sum.hpp"
#include "pointwise/launchers.hpp"

namespace curvseg::CURVSEG_TARGET {
namespace {

template <class Operation>
using PointwiseParams = Walked<Operation, PixelWalkPlan>;

/// A tensor of a pointwise operation: its pixel stride may be rewritten.
struct PixelOperand {
  const float* base;
  std::int64_t& ld;
};

/// Plans the walk over [pixels, channels]; returns whether lanes are wide. Where no operand has
/// gaps between its pixels they become one flat run, in long pixels: strides are then the walk's.
bool plan_pointwise(PixelWalkPlan& walk, std::int64_t pixels, int channels,
                    std::initializer_list<PixelOperand> operands) {
  bool flat = true;
  for (const PixelOperand& operand : operands) flat = flat && operand.ld == channels;
  const std::int64_t elements = pixels * channels;
  bool wide = true;
  for (const PixelOperand& operand : operands) {
    if (flat) operand.ld = kFlatChannels;
    wide = wide && wide_lanes(flat ? elements : channels, {{operand.base, operand.ld}});
  }
  walk = flat ? plan_flat(elements, wide) : plan_pixels(pixels, channels, wide);
  return wide;
}

template <int kWidth>
__global__ void __launch_bounds__(kGridThreads) fill_kernel(PointwiseParams<Fill> p) {
  const Fill& f = p.operation;
  const auto value = fill_lanes<kWidth>(f.value);
  for (PixelWalk<kWidth> at(p.walk); at.valid(); at.advance())
    at.each_run([&](int c, auto count) {
      store_lanes(f.to + at.pixel() * p.walk.channels + c, value, count);
    });
}

constexpr int kStoreThreads = 32;  // a warp; there are at most four words

__global__ void __launch_bounds__(kStoreThreads) store_words_kernel(StoreWords p) {
  for (int i = block_begin(); i < p.words; i += block_step()) p.to[i] = p.value[i];
}

template <int kWidth>
__global__ void __launch_bounds__(kGridThreads) copy_pixels_kernel(PointwiseParams<CopyPixels> p) {
  const CopyPixels& f = p.operation;
  for (PixelWalk<kWidth> at(p.walk); at.valid(); at.advance()) {
    const float* from = f.from + at.pixel() * f.ld_from;
    float* to = f.to + at.pixel() * f.ld_to;
    at.each_run([&](int c, auto count) {
      auto value = fill_lanes<kWidth>(0.0f);
      if (f.scale != 0.0f) value = f.scale * load_lanes<kWidth>(from + c, count);
      if (f.accumulate) value = value + load_lanes<kWidth>(to + c, count);
      store_lanes(to + c, value, count);
    });
  }
}

template <int kWidth>
__global__ void __launch_bounds__(kGridThreads)
    relu_forward_kernel(PointwiseParams<ReluForward> p) {
  const ReluForward& f = p.operation;
  for (PixelWalk<kWidth> at(p.walk); at.valid(); at.advance()) {
    const float* x = f.x + at.pixel() * f.ldx;
    float* y = f.y + at.pixel() * f.ldy;
    at.each_run([&](int c, auto count) {
      const auto value = load_lanes<kWidth>(x + c, count);
      store_lanes(y + c, select(value < 0.0f, fill_lanes<kWidth>(0.0f), value), count);
    });
  }
}

template <int kWidth>
__global__ void __launch_bounds__(kGridThreads)
    relu_backward_kernel(PointwiseParams<ReluBackward> p) {
  const ReluBackward& f = p.operation;
  for (PixelWalk<kWidth> at(p.walk); at.valid(); at.advance()) {
    const float* y = f.y + at.pixel() * f.ldy;
    const float* dy = f.dy + at.pixel() * f.ld_dy;
    float* dx = f.dx + at.pixel() * f.ld_dx;
    at.each_run([&](int c, auto count) {
      const auto kept = load_lanes<kWidth>(y + c, count);
      auto gradient = load_lanes<kWidth>(dy + c, count);
      gradient = select(kept > 0.0f, gradient, fill_lanes<kWidth>(0.0f));
      if (f.accumulate) gradient = gradient + load_lanes<kWidth>(dx + c, count);
      store_lanes(dx + c, gradient, count);
    });
  }
}

template <int kWidth>
__global__ void __launch_bounds__(kGridThreads) add_bias_kernel(PointwiseParams<AddBias> p) {
  const AddBias& f = p.operation;
  for (PixelWalk<kWidth> at(p.walk); at.valid(); at.advance()) {
    const float* x = f.x + at.pixel() * f.ldx;
    float* y = f.y + at.pixel() * f.ldy;
    at.each_run([&](int c, auto count) {
      const auto bias = load_lanes<kWidth>(f.b + c, count);
      store_lanes(y + c, load_lanes<kWidth>(x + c, count) + bias, count);
    });
  }
}

}  // namespace

void fill(StreamHandle stream, const Fill& p) {
  const bool wide = wide_lanes(p.n, {{p.to, 0}});
  const PointwiseParams<Fill> params{p, plan_flat(p.n, wide)};
  launch_walk(params.walk, wide, [&]<int kWidth>(dim3 grid) {
    launch<fill_kernel<kWidth>>(stream, grid, kGridThreads, params);
  });
}

void store_words(StreamHandle stream, const StoreWords& p) {
  launch<store_words_kernel>(stream, dim3{1, 1, 1}, kStoreThreads, p);
}

void copy_pixels(StreamHandle stream, const CopyPixels& p) {
  PointwiseParams<CopyPixels> params{p, {}};
  CopyPixels& f = params.operation;
  const bool wide =
      plan_pointwise(params.walk, f.pixels, f.channels, {{f.from, f.ld_from}, {f.to, f.ld_to}});
  launch_walk(params.walk, wide, [&]<int kWidth>(dim3 grid) {
    launch<copy_pixels_kernel<kWidth>>(stream, grid, kGridThreads, params);
  });
}

void relu_forward(StreamHandle stream, const ReluForward& p) {
  PointwiseParams<ReluForward> params{p, {}};
  ReluForward& f = params.operation;
  const bool wide = plan_pointwise(params.walk, f.pixels, f.channels, {{f.x, f.ldx}, {f.y, f.ldy}});
  launch_walk(params.walk, wide, [&]<int kWidth>(dim3 grid) {
    launch<relu_forward_kernel<kWidth>>(stream, grid, kGridThreads, params);
  });
}

void relu_backward(StreamHandle stream, const ReluBackward& p) {
  PointwiseParams<ReluBackward> params{p, {}};
  ReluBackward& f = params.operation;
  const bool wide = plan_pointwise(params.walk, f.pixels, f.channels,
                                   {{f.y, f.ldy}, {f.dy, f.ld_dy}, {f.dx, f.ld_dx}});
  launch_walk(params.walk, wide, [&]<int kWidth>(dim3 grid) {
    launch<relu_backward_kernel<kWidth>>(stream, grid, kGridThreads, params);
  });
}

void add_bias(StreamHandle stream, const AddBias& p) {
  // Never flat: an element's channel matters.
  const bool wide = wide_lanes(p.channels, {{p.x, p.ldx}, {p.b, 0}, {p.y, p.ldy}});
  const PointwiseParams<AddBias> params{p, plan_pixels(p.pixels, p.channels, wide)};
  launch_walk(params.walk, wide, [&]<int kWidth>(dim3 grid) {
    launch<add_bias_kernel<kWidth>>(stream, grid, kGridThreads, params);
  });
}

std::int64_t channel_sum_workspace(const ChannelSum& p) {
  if (p.channels == 0) return 0;
  const std::int64_t splits = channel_sum_plan(p.pixels, p.channels, 0).splits;
  return splits > 1 ? splits * p.channels : 0;
}

void channel_sum(StreamHandle stream, const ChannelSum& p) {
  if (p.channels == 0) return;  // no pixels, though, is a sum of nothing: db = 0
  const ChannelSumPlan plan = channel_sum_plan(p.pixels, p.channels, p.squared_images);
  const ChannelSumParams params{p, plan};
  const dim3 blocks{static_cast<unsigned>(plan.splits) * static_cast<unsigned>(plan.channel_blocks),
                    1, 1};
  const dim3 channels{static_cast<unsigned>(p.channels), 1, 1};
  if (p.squared_images > 0)
    launch<channel_sum_kernel<true>, ChannelSumShared>(stream, blocks, ChannelSumPlan::kSlots,
                                                       params);
  else
    launch<channel_sum_kernel<false>, ChannelSumShared>(stream, blocks, ChannelSumPlan::kSlots,
                                                        params);
  if (plan.splits == 1) return;
  if (p.squared_images > 0 && plan.parts > 1)
    launch<sum_channel_splits_kernel<true>, SumSplitsShared>(stream, channels, kSumSplitsThreads,
                                                             params);
  else
    launch<sum_channel_splits_kernel<false>, SumSplitsShared>(stream, channels, kSumSplitsThreads,
                                                              params);
}

}  // namespace curvseg::CURVSEG_TARGET
