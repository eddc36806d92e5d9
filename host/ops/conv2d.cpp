// Convolutions: checks, then kernels/conv2d. A transposed convolution is the data gradient of the
// convolution that its filter belongs to, so everything below is three functions with two callers.
#include <array>

#include "host/ops/check.hpp"

namespace curvseg {
namespace {

/// Kernels compute source coordinates in 32 bits and put what is outside at −2^29: no coordinate
/// may reach that far.
void check_span(std::string_view op, const char* axis, int in, int filter, int stride, int pad,
                int dilation) {
  constexpr std::int64_t kLargest = std::int64_t{1} << 29;
  const std::int64_t span =
      in + 2 * std::int64_t{pad} + std::int64_t{dilation} * (std::int64_t{filter} - 1);
  if (span >= kLargest || stride >= kLargest)
    refuse(op, "a filter of " + std::to_string(filter) + " " + axis + " with stride " +
                   std::to_string(stride) + ", dilation " + std::to_string(dilation) +
                   " and padding " + std::to_string(pad) + " on " + std::to_string(in) + " " +
                   axis + " spans " + std::to_string(span) + ", at most " +
                   std::to_string(kLargest - 1) + " are possible");
}

int output_extent(int in, int filter, int stride, int pad, int dilation) {
  const int reach = in + 2 * pad - dilation * (filter - 1) - 1;
  return reach < 0 ? 0 : reach / stride + 1;
}

void check_geometry(std::string_view op, const Conv2dGeometry& g, const ConstFilterView& w) {
  if (g.groups != 1) refuse(op, "groups is " + std::to_string(g.groups) + ", only 1 is supported");
  require(g.stride_h > 0 && g.stride_w > 0, op, "a stride is less than 1");
  require(g.dilation_h > 0 && g.dilation_w > 0, op, "a dilation is less than 1");
  require(g.pad_h >= 0 && g.pad_w >= 0, op, "a padding is negative");
  require(w.r > 0 && w.s > 0, op, "the filter has no rows or no columns");
  require(w.c >= 0 && w.k >= 0, op, "the filter has a negative number of channels");
  // Each half fits into 64 bits.
  constexpr std::int64_t kMost = most_elements(sizeof(float));
  const std::int64_t taps = std::int64_t{w.r} * w.s, channels = std::int64_t{w.c} * w.k;
  if (channels > kMost / taps)
    refuse(op, "the filter " + to_string(Shape{w.r, w.s, w.c, w.k}) +
                   " spans more elements than the " + std::to_string(kMost) +
                   " of 4 bytes that 64 bits address");
}

/// The convolution from `x` to `y`; throws if y is not its size.
Conv2dProblem problem_of(std::string_view op, const char* x_name, const Shape& x,
                         const char* y_name, const Shape& y, const ConstFilterView& w,
                         const Conv2dGeometry& g) {
  check_geometry(op, g, w);
  if (x.c != w.c)
    refuse(op, "w has " + std::to_string(w.c) + " input channels, " + x_name + " has " +
                   std::to_string(x.c));
  if (y.c != w.k)
    refuse(op, "w has " + std::to_string(w.k) + " output channels, " + y_name + " has " +
                   std::to_string(y.c));
  const Shape expected = conv2d_output_shape(x, w, g);
  if (!(y == expected))
    refuse(op, std::string(y_name) + " is " + to_string(y) + ", a convolution of " + x_name + " " +
                   to_string(x) + " gives " + to_string(expected));
  Conv2dProblem p;
  p.n = x.n, p.h = x.h, p.w = x.w, p.c = x.c;
  p.p = y.h, p.q = y.w, p.k = y.c;
  p.r = w.r, p.s = w.s;
  p.stride_h = g.stride_h, p.stride_w = g.stride_w;
  p.pad_h = g.pad_h, p.pad_w = g.pad_w;
  p.dilation_h = g.dilation_h, p.dilation_w = g.dilation_w;
  p.groups = g.groups;
  p.algorithm = g.algorithm;
  return p;
}

constexpr std::size_t kMostTerms = 2;

void check_terms(std::string_view op, std::size_t terms) {
  if (terms < 1 || terms > kMostTerms)
    refuse(op, std::to_string(terms) + " terms were given, 1 or 2 are possible");
}

std::size_t gather_bytes(const Device& device, const Conv2dProblem& problem,
                         Conv2dDirection direction, int terms) {
  Conv2dGather gather;
  gather.problem = problem;
  gather.direction = direction;
  gather.terms = terms;
  return sizeof(float) *
         static_cast<std::size_t>(device.target().kernels->conv2d_gather_workspace(gather));
}

/// Forward of x to y (kForward), or of y's side to x's (kData).
void gather(std::string_view op, const Stream& stream, Conv2dDirection direction,
            std::span<const Conv2dOperands> terms, const Conv2dGeometry& geometry,
            const ConstVectorView& bias, const ConstTensorView& mask, bool relu, bool accumulate,
            const Workspace& workspace, const TensorView& out, const char* in_name,
            const char* out_name) {
  check_terms(op, terms.size());
  check_tensor(op, out_name, out);
  Conv2dGather p;
  p.direction = direction;
  p.terms = static_cast<int>(terms.size());
  for (std::size_t t = 0; t < terms.size(); ++t) {
    const Conv2dOperands& term = terms[t];
    check_tensor(op, in_name, term.x);
    const Conv2dProblem problem =
        direction == Conv2dDirection::kForward
            ? problem_of(op, in_name, term.x.shape, out_name, out.shape, term.w, geometry)
            : problem_of(op, out_name, out.shape, in_name, term.x.shape, term.w, geometry);
    if (t > 0 && (term.w.r != terms[0].w.r || term.w.s != terms[0].w.s))
      refuse(op, "the filters of the two terms are " + std::to_string(terms[0].w.r) + "x" +
                     std::to_string(terms[0].w.s) + " and " + std::to_string(term.w.r) + "x" +
                     std::to_string(term.w.s));
    require(term.w.data || term.w.elements() == 0, op, "w has no memory");
    p.problem = problem;
    p.term[t] = {term.x.data, term.x.ld, term.w.data};
  }
  if (!bias.data && bias.size != 0)
    refuse(op, "the bias of " + std::to_string(bias.size) + " entries has no memory");
  if (bias.data && bias.size != out.shape.c)
    refuse(op, "the bias has " + std::to_string(bias.size) + " entries, " + out_name + " has " +
                   std::to_string(out.shape.c) + " channels");
  if (mask.data) {
    check_tensor(op, "mask", mask);
    const Shape& m = mask.shape;
    const Shape& o = out.shape;
    if (m.n != o.n || m.h != o.h || m.w != o.w || m.c > o.c)
      refuse(op,
             "mask is " + to_string(mask.shape) + ", " + out_name + " is " + to_string(out.shape));
  }
  p.epilogue = {bias.data, mask.data, mask.ld, mask.data ? mask.shape.c : 0, relu, accumulate};
  p.out = out.data;
  p.ld_out = out.ld;
  const Kernels& kernels = kernels_of(stream);
  check_bytes(op, workspace, kernels.conv2d_gather_workspace(p));
  p.workspace = static_cast<float*>(workspace.data);
  if (out.shape.elements() == 0) return;
  const CurrentDevice current(stream.device());
  kernels.conv2d_gather(stream.native(), p);
}

void weight_gradient(std::string_view op, const Stream& stream,
                     std::span<const Conv2dGradientOperands> terms, const Conv2dGeometry& geometry,
                     bool accumulate, const Workspace& workspace, const FilterView& dw,
                     const char* x_name, const char* dy_name, bool squares = false) {
  check_terms(op, terms.size());
  check_geometry(op, geometry, dw);
  require(dw.data || dw.elements() == 0, op, "dw has no memory");
  Conv2dWeightGradient p;
  p.terms = static_cast<int>(terms.size());
  for (std::size_t t = 0; t < terms.size(); ++t) {
    check_tensor(op, x_name, terms[t].x);
    check_tensor(op, dy_name, terms[t].dy);
    check_same_shape(op, x_name, terms[t].x.shape, "that of the first term", terms[0].x.shape);
    p.problem = problem_of(op, x_name, terms[t].x.shape, dy_name, terms[t].dy.shape, dw, geometry);
    p.term[t] = {terms[t].x.data, terms[t].x.ld, terms[t].dy.data, terms[t].dy.ld};
  }
  p.accumulate = accumulate;
  p.squares = squares;
  p.dw = dw.data;
  const Kernels& kernels = kernels_of(stream);
  check_bytes(op, workspace, kernels.conv2d_weight_workspace(p));
  p.workspace = static_cast<float*>(workspace.data);
  if (dw.elements() == 0) return;
  const CurrentDevice current(stream.device());
  kernels.conv2d_weight_gradient(stream.native(), p);
}

Conv2dProblem problem_from(std::string_view op, const Shape& x, const ConstFilterView& w,
                           const Conv2dGeometry& g) {
  check_geometry(op, g, w);
  check_shape(op, "x", x);
  const Shape y = conv2d_output_shape(x, w, g);
  check_shape(op, "y", y);
  return problem_of(op, "x", x, "y", y, w, g);
}

}  // namespace

Shape conv2d_output_shape(const Shape& x, const ConstFilterView& w, const Conv2dGeometry& g) {
  constexpr const char* kOp = "conv2d_output_shape";
  check_geometry(kOp, g, w);
  check_span(kOp, "rows", x.h, w.r, g.stride_h, g.pad_h, g.dilation_h);
  check_span(kOp, "columns", x.w, w.s, g.stride_w, g.pad_w, g.dilation_w);
  return {x.n, output_extent(x.h, w.r, g.stride_h, g.pad_h, g.dilation_h),
          output_extent(x.w, w.s, g.stride_w, g.pad_w, g.dilation_w), w.k};
}

void conv2d_forward(const Stream& stream, std::span<const Conv2dOperands> terms,
                    const Conv2dForwardOptions& o, Workspace workspace, TensorView y) {
  gather("conv2d_forward", stream, Conv2dDirection::kForward, terms, o.geometry, o.bias, o.mask,
         o.relu, o.accumulate, workspace, y, "x", "y");
}

void conv2d_forward(const Stream& stream, ConstTensorView x, ConstFilterView w,
                    const Conv2dForwardOptions& options, Workspace workspace, TensorView y) {
  const Conv2dOperands term{x, w};
  conv2d_forward(stream, std::span(&term, 1), options, workspace, y);
}

std::size_t conv2d_forward_workspace(const Device& device, const Shape& x, const ConstFilterView& w,
                                     const Conv2dGeometry& geometry, int terms) {
  return gather_bytes(device, problem_from("conv2d_forward_workspace", x, w, geometry),
                      Conv2dDirection::kForward, terms);
}

void conv2d_backward_data(const Stream& stream, std::span<const Conv2dOperands> terms,
                          const Conv2dBackwardDataOptions& o, Workspace workspace, TensorView dx) {
  gather("conv2d_backward_data", stream, Conv2dDirection::kData, terms, o.geometry, {}, o.mask,
         false, o.accumulate, workspace, dx, "dy", "dx");
}

void conv2d_backward_data(const Stream& stream, ConstTensorView dy, ConstFilterView w,
                          const Conv2dBackwardDataOptions& options, Workspace workspace,
                          TensorView dx) {
  const Conv2dOperands term{dy, w};
  conv2d_backward_data(stream, std::span(&term, 1), options, workspace, dx);
}

std::size_t conv2d_backward_data_workspace(const Device& device, const Shape& dx,
                                           const ConstFilterView& w, const Conv2dGeometry& geometry,
                                           int terms) {
  return gather_bytes(device, problem_from("conv2d_backward_data_workspace", dx, w, geometry),
                      Conv2dDirection::kData, terms);
}

void conv2d_backward_weights(const Stream& stream, std::span<const Conv2dGradientOperands> terms,
                             const Conv2dGeometry& geometry, bool accumulate, Workspace workspace,
                             FilterView dw) {
  weight_gradient("conv2d_backward_weights", stream, terms, geometry, accumulate, workspace, dw,
                  "x", "dy");
}

void conv2d_backward_weights(const Stream& stream, ConstTensorView x, ConstTensorView dy,
                             const Conv2dGeometry& geometry, bool accumulate, Workspace workspace,
                             FilterView dw) {
  const Conv2dGradientOperands term{x, dy};
  conv2d_backward_weights(stream, std::span(&term, 1), geometry, accumulate, workspace, dw);
}

void conv2d_backward_weights_squared(const Stream& stream, ConstTensorView x, ConstTensorView dy,
                                     const Conv2dGeometry& geometry, bool accumulate,
                                     Workspace workspace, FilterView dw) {
  const Conv2dGradientOperands term{x, dy};
  weight_gradient("conv2d_backward_weights_squared", stream, std::span(&term, 1), geometry,
                  accumulate, workspace, dw, "x", "dy", /*squares=*/true);
}

std::size_t conv2d_backward_weights_workspace(const Device& device, const Shape& x,
                                              const ConstFilterView& w,
                                              const Conv2dGeometry& geometry) {
  Conv2dWeightGradient p;
  p.problem = problem_from("conv2d_backward_weights_workspace", x, w, geometry);
  return sizeof(float) *
         static_cast<std::size_t>(device.target().kernels->conv2d_weight_workspace(p));
}

namespace {

void bias_gradient(std::string_view op, const Stream& stream, const ConstTensorView& dy,
                   bool accumulate, const Workspace& workspace, const VectorView& db,
                   int squared_images) {
  check_tensor(op, "dy", dy);
  if (db.size != dy.shape.c)
    refuse(op, "db has " + std::to_string(db.size) + " entries, dy has " +
                   std::to_string(dy.shape.c) + " channels");
  require(db.data || db.size == 0, op, "db has no memory");
  ChannelSum p{dy.shape.pixels(), dy.shape.c, dy.data, dy.ld,
               db.data,           accumulate, nullptr, squared_images};
  const Kernels& kernels = kernels_of(stream);
  check_bytes(op, workspace, kernels.channel_sum_workspace(p));
  p.workspace = static_cast<float*>(workspace.data);
  if (db.size == 0) return;
  const CurrentDevice current(stream.device());
  kernels.channel_sum(stream.native(), p);
}

}  // namespace

void conv2d_backward_bias(const Stream& stream, ConstTensorView dy, bool accumulate,
                          Workspace workspace, VectorView db) {
  bias_gradient("conv2d_backward_bias", stream, dy, accumulate, workspace, db, 0);
}

void conv2d_backward_bias_squared(const Stream& stream, ConstTensorView dy, bool accumulate,
                                  Workspace workspace, VectorView db) {
  bias_gradient("conv2d_backward_bias_squared", stream, dy, accumulate, workspace, db, dy.shape.n);
}

std::size_t conv2d_backward_bias_workspace(const Device& device, const Shape& dy) {
  check_shape("conv2d_backward_bias_workspace", "dy", dy);
  ChannelSum p;
  p.pixels = dy.pixels();
  p.channels = dy.c;
  return sizeof(float) *
         static_cast<std::size_t>(device.target().kernels->channel_sum_workspace(p));
}

void conv2d_transpose_forward(const Stream& stream, std::span<const Conv2dOperands> terms,
                              const Conv2dForwardOptions& o, Workspace workspace, TensorView y) {
  gather("conv2d_transpose_forward", stream, Conv2dDirection::kData, terms, o.geometry, o.bias,
         o.mask, o.relu, o.accumulate, workspace, y, "x", "y");
}

void conv2d_transpose_backward_data(const Stream& stream, std::span<const Conv2dOperands> terms,
                                    const Conv2dBackwardDataOptions& o, Workspace workspace,
                                    TensorView dx) {
  gather("conv2d_transpose_backward_data", stream, Conv2dDirection::kForward, terms, o.geometry, {},
         o.mask, false, o.accumulate, workspace, dx, "dy", "dx");
}

void conv2d_transpose_backward_weights(const Stream& stream,
                                       std::span<const Conv2dGradientOperands> terms,
                                       const Conv2dGeometry& geometry, bool accumulate,
                                       Workspace workspace, FilterView dw) {
  constexpr const char* kOp = "conv2d_transpose_backward_weights";
  check_terms(kOp, terms.size());
  // As seen from the convolution that it is the adjoint of.
  std::array<Conv2dGradientOperands, kMostTerms> swapped;
  for (std::size_t t = 0; t < terms.size(); ++t) swapped[t] = {terms[t].dy, terms[t].x};
  weight_gradient(kOp, stream, std::span(swapped).first(terms.size()), geometry, accumulate,
                  workspace, dw, "dy", "x");
}

void conv2d_transpose_backward_weights_squared(const Stream& stream, ConstTensorView x,
                                               ConstTensorView dy, const Conv2dGeometry& geometry,
                                               bool accumulate, Workspace workspace,
                                               FilterView dw) {
  const Conv2dGradientOperands term{dy, x};
  weight_gradient("conv2d_transpose_backward_weights_squared", stream, std::span(&term, 1),
                  geometry, accumulate, workspace, dw, "dy", "x", /*squares=*/true);
}

std::size_t conv2d_transpose_forward_workspace(const Device& device, const Shape& y,
                                               const ConstFilterView& w,
                                               const Conv2dGeometry& geometry, int terms) {
  return conv2d_backward_data_workspace(device, y, w, geometry, terms);
}

std::size_t conv2d_transpose_backward_data_workspace(const Device& device, const Shape& dy,
                                                     const ConstFilterView& w,
                                                     const Conv2dGeometry& geometry, int terms) {
  return conv2d_forward_workspace(device, dy, w, geometry, terms);
}

std::size_t conv2d_transpose_backward_weights_workspace(const Device& device, const Shape& dy,
                                                        const ConstFilterView& w,
                                                        const Conv2dGeometry& geometry) {
  return conv2d_backward_weights_workspace(device, dy, w, geometry);
}

}  // namespace curvseg
