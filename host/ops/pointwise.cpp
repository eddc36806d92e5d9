// Pointwise operations: checks, then kernels/pointwise.
#include "host/ops/check.hpp"

namespace curvseg {
namespace {

void check_equal_pair(std::string_view op, const char* a_name, const ConstTensorView& a,
                      const char* b_name, const TensorView& b) {
  check_tensor(op, a_name, a);
  check_tensor(op, b_name, b);
  check_same_shape(op, a_name, a.shape, b_name, b.shape);
}

}  // namespace

void fill(const Stream& stream, VectorView to, float value) {
  check_elements("fill", "to", to.size);
  require(to.data || to.size == 0, "fill", "there is no memory");
  const CurrentDevice current(stream.device());
  kernels_of(stream).fill(stream.native(), {to.data, to.size, value});
}

void relu_forward(const Stream& stream, ConstTensorView x, TensorView y) {
  check_equal_pair("relu_forward", "x", x, "y", y);
  const CurrentDevice current(stream.device());
  kernels_of(stream).relu_forward(stream.native(),
                                  {x.shape.pixels(), x.shape.c, x.data, x.ld, y.data, y.ld});
}

void relu_backward(const Stream& stream, ConstTensorView y, ConstTensorView dy, bool accumulate,
                   TensorView dx) {
  check_equal_pair("relu_backward", "y", y, "dx", dx);
  check_equal_pair("relu_backward", "dy", dy, "dx", dx);
  const CurrentDevice current(stream.device());
  kernels_of(stream).relu_backward(stream.native(), {y.shape.pixels(), y.shape.c, y.data, y.ld,
                                                     dy.data, dy.ld, dx.data, dx.ld, accumulate});
}

void copy_tensor(const Stream& stream, ConstTensorView from, float scale, bool accumulate,
                 TensorView to) {
  check_equal_pair("copy_tensor", "from", from, "to", to);
  const CurrentDevice current(stream.device());
  kernels_of(stream).copy_pixels(stream.native(), {from.shape.pixels(), from.shape.c, from.data,
                                                   from.ld, to.data, to.ld, scale, accumulate});
}

void add_bias(const Stream& stream, ConstTensorView x, ConstVectorView b, TensorView y) {
  check_equal_pair("add_bias", "x", x, "y", y);
  if (b.size != x.shape.c)
    refuse("add_bias", "b has " + std::to_string(b.size) + " entries, x has " +
                           std::to_string(x.shape.c) + " channels");
  require(b.data || b.size == 0, "add_bias", "b has no memory");
  const CurrentDevice current(stream.device());
  kernels_of(stream).add_bias(stream.native(),
                              {x.shape.pixels(), x.shape.c, x.data, x.ld, b.data, y.data, y.ld});
}

}  // namespace curvseg
