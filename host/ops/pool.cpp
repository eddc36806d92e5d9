// Pooling and resizing: checks, then kernels/pool and kernels/resize.
#include <algorithm>

#include "host/ops/check.hpp"

namespace curvseg {
namespace {

PoolProblem problem_of(std::string_view op, const Shape& x, const Shape& y,
                       const PoolWindow& window) {
  const Shape expected = pool_output_shape(x, window);
  if (!(y == expected))
    refuse(op, "y is " + to_string(y) + ", pooling x " + to_string(x) + " gives " +
                   to_string(expected));
  if (static_cast<std::int64_t>(window.r) * window.s > 65536)
    refuse(op, "a window of " + std::to_string(window.r) + "x" + std::to_string(window.s) +
                   " has more than 65536 positions");
  PoolProblem p;
  p.n = x.n, p.h = x.h, p.w = x.w, p.c = x.c;
  p.p = y.h, p.q = y.w;
  p.r = window.r, p.s = window.s;
  p.stride_h = window.stride_h, p.stride_w = window.stride_w;
  p.pad_h = window.pad_h, p.pad_w = window.pad_w;
  return p;
}

ResizeProblem resize_problem(std::string_view op, const Shape& x, const Shape& y) {
  const auto both = [&] { return "x is " + to_string(x) + ", y is " + to_string(y) + ": "; };
  if (x.n != y.n || x.c != y.c) refuse(op, both() + "they differ in more than height and width");
  if (x.pixels() == 0 && y.pixels() != 0)
    refuse(op, both() + "an image without " + (x.h == 0 ? "rows" : "columns") +
                   " has nothing to interpolate");
  // ResizeWeights of kernels/resize counts distances in 32 bits, in units below half a pixel.
  constexpr int kLargest = (1 << 29) - 1;
  if (std::max({x.h, x.w, y.h, y.w}) > kLargest)
    refuse(op, both() + "heights and widths must be at most " + std::to_string(kLargest));
  return {x.n, x.h, x.w, x.c, y.h, y.w};
}

GradientEpilogue epilogue_of(std::string_view op, const GradientOptions& options, const Shape& dx) {
  if (options.mask.data) {
    check_tensor(op, "mask", options.mask);
    check_same_shape(op, "mask", options.mask.shape, "dx", dx);
  }
  return {options.mask.data, options.mask.ld, options.accumulate};
}

void check_pair(std::string_view op, const char* a_name, const ConstTensorView& a,
                const char* b_name, const TensorView& b) {
  check_tensor(op, a_name, a);
  check_tensor(op, b_name, b);
}

template <class Params>
void enqueue(const Stream& stream, Operation<Params> operation, const Params& params) {
  const CurrentDevice current(stream.device());
  operation(stream.native(), params);
}

}  // namespace

Shape pool_output_shape(const Shape& x, const PoolWindow& w) {
  constexpr const char* kOp = "pool_output_shape";
  require(w.r > 0 && w.s > 0, kOp, "the window is empty");
  require(w.stride_h > 0 && w.stride_w > 0, kOp, "a stride is less than 1");
  require(w.pad_h >= 0 && w.pad_w >= 0, kOp, "a padding is negative");
  if (2 * w.pad_h > w.r || 2 * w.pad_w > w.s)
    refuse(kOp, "the padding " + std::to_string(w.pad_h) + "," + std::to_string(w.pad_w) +
                    " is more than half of the window " + std::to_string(w.r) + "x" +
                    std::to_string(w.s));
  const auto extent = [](int in, int window, int stride, int pad) {
    const std::int64_t reach = in + 2 * std::int64_t{pad} - window;
    return reach < 0 ? 0 : static_cast<int>(reach / stride + 1);
  };
  // A window that reaches beyond 32 bits of coordinates would be larger than any tensor.
  constexpr int kLargest = 1 << 29;
  if (w.r >= kLargest || w.s >= kLargest || x.h >= kLargest || x.w >= kLargest)
    refuse(kOp, "a window of " + std::to_string(w.r) + "x" + std::to_string(w.s) + " on " +
                    to_string(x) + ": extents must be below " + std::to_string(kLargest));
  return {x.n, extent(x.h, w.r, w.stride_h, w.pad_h), extent(x.w, w.s, w.stride_w, w.pad_w), x.c};
}

void max_pool_forward(const Stream& stream, ConstTensorView x, const PoolWindow& window,
                      TensorView y, std::uint16_t* index) {
  constexpr const char* kOp = "max_pool_forward";
  check_pair(kOp, "x", x, "y", y);
  enqueue(stream, kernels_of(stream).max_pool_forward,
          {problem_of(kOp, x.shape, y.shape, window), x.data, x.ld, y.data, y.ld, index});
}

void max_pool_select(const Stream& stream, ConstTensorView x, const std::uint16_t* index,
                     const PoolWindow& window, TensorView y) {
  constexpr const char* kOp = "max_pool_select";
  check_pair(kOp, "x", x, "y", y);
  require(index || y.shape.elements() == 0, kOp, "there is no index");
  enqueue(stream, kernels_of(stream).max_pool_select,
          {problem_of(kOp, x.shape, y.shape, window), index, x.data, x.ld, y.data, y.ld});
}

void max_pool_backward(const Stream& stream, ConstTensorView dy, const std::uint16_t* index,
                       const PoolWindow& window, const GradientOptions& options, TensorView dx) {
  constexpr const char* kOp = "max_pool_backward";
  check_pair(kOp, "dy", dy, "dx", dx);
  require(index || dy.shape.elements() == 0, kOp, "there is no index");
  enqueue(stream, kernels_of(stream).max_pool_backward,
          {problem_of(kOp, dx.shape, dy.shape, window), index, dy.data, dy.ld, dx.data, dx.ld,
           epilogue_of(kOp, options, dx.shape)});
}

void average_pool_forward(const Stream& stream, ConstTensorView x, const PoolWindow& window,
                          bool count_include_pad, TensorView y) {
  constexpr const char* kOp = "average_pool_forward";
  check_pair(kOp, "x", x, "y", y);
  enqueue(
      stream, kernels_of(stream).average_pool_forward,
      {problem_of(kOp, x.shape, y.shape, window), count_include_pad, x.data, x.ld, y.data, y.ld});
}

void average_pool_backward(const Stream& stream, ConstTensorView dy, const PoolWindow& window,
                           bool count_include_pad, const GradientOptions& options, TensorView dx) {
  constexpr const char* kOp = "average_pool_backward";
  check_pair(kOp, "dy", dy, "dx", dx);
  enqueue(stream, kernels_of(stream).average_pool_backward,
          {problem_of(kOp, dx.shape, dy.shape, window), count_include_pad, dy.data, dy.ld, dx.data,
           dx.ld, epilogue_of(kOp, options, dx.shape)});
}

void bilinear_forward(const Stream& stream, ConstTensorView x, TensorView y) {
  constexpr const char* kOp = "bilinear_forward";
  check_pair(kOp, "x", x, "y", y);
  enqueue(stream, kernels_of(stream).bilinear_forward,
          {resize_problem(kOp, x.shape, y.shape), x.data, x.ld, y.data, y.ld});
}

void bilinear_backward(const Stream& stream, ConstTensorView dy, const GradientOptions& options,
                       TensorView dx) {
  constexpr const char* kOp = "bilinear_backward";
  check_pair(kOp, "dy", dy, "dx", dx);
  enqueue(stream, kernels_of(stream).bilinear_backward,
          {resize_problem(kOp, dx.shape, dy.shape), dy.data, dy.ld, dx.data, dx.ld,
           epilogue_of(kOp, options, dx.shape)});
}

}  // namespace curvseg
