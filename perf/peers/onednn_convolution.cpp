#include "perf/peers/onednn_convolution.hpp"

#include <dnnl.hpp>
#include <unordered_map>
#include <utility>

namespace curvseg::perf {
namespace {

using Dims = dnnl::memory::dims;
using Tag = dnnl::memory::format_tag;
using Arguments = std::unordered_map<int, dnnl::memory>;

struct Geometry {
  Dims stride, dilation, pad, pad_behind;
};

/// What the last windows reach over the far edge; negative where they end before it.
int behind(int in, int out, int filter, int stride, int pad, int dilation) {
  return (out - 1) * stride + dilation * (filter - 1) + 1 - in - pad;
}

Geometry geometry_of(const ConvolutionShapes& s) {
  const Conv2dGeometry& g = s.geometry;
  return {{g.stride_h, g.stride_w},
          {g.dilation_h - 1, g.dilation_w - 1},
          {g.pad_h, g.pad_w},
          {behind(s.x.h, s.y.h, s.filter.r, g.stride_h, g.pad_h, g.dilation_h),
           behind(s.x.w, s.y.w, s.filter.s, g.stride_w, g.pad_w, g.dilation_w)}};
}

struct Operands {
  dnnl::memory::desc x, w, y;
};

constexpr auto kAlgorithm = dnnl::algorithm::convolution_direct;
constexpr auto kTraining = dnnl::prop_kind::forward_training;

// Version 3 has no descriptors of operations between memory and primitive.
template <class Primitive, class... Hint>
typename Primitive::primitive_desc describe(const dnnl::engine& engine, const Operands& o,
                                            const Geometry& g, const Hint&... hint) {
#if DNNL_VERSION_MAJOR >= 3
  if constexpr (sizeof...(Hint) == 0)
    return {engine, kTraining, kAlgorithm, o.x,   o.w,
            o.y,    g.stride,  g.dilation, g.pad, g.pad_behind};
  else
    return {engine, kAlgorithm, o.x, o.w, o.y, g.stride, g.dilation, g.pad, g.pad_behind, hint...};
#else
  if constexpr (sizeof...(Hint) == 0)
    return {{kTraining, kAlgorithm, o.x, o.w, o.y, g.stride, g.dilation, g.pad, g.pad_behind},
            engine};
  else
    return {
        {kAlgorithm, o.x, o.w, o.y, g.stride, g.dilation, g.pad, g.pad_behind}, engine, hint...};
#endif
}

}  // namespace

struct OneDnnConvolution::State {
  State(const Conv2dCase& c, Direction direction, OneDnnLayout layout)
      : shapes(c), engine(dnnl::engine::kind::cpu, 0), stream(engine) {
    const Tag activations = layout == OneDnnLayout::kNhwc ? Tag::nhwc : Tag::any;
    const Operands o{wish(x_dims(), activations), wish(w_dims(), Tag::any),
                     wish(y_dims(), activations)};
    const Geometry g = geometry_of(shapes);
    const auto forward = describe<dnnl::convolution_forward>(engine, o, g);
    if (direction == Direction::kForward)
      prepare_forward(forward);
    else if (direction == Direction::kData)
      prepare_data(describe<dnnl::convolution_backward_data>(engine, o, g, forward));
    else
      prepare_weights(describe<dnnl::convolution_backward_weights>(engine, o, g, forward));
  }

  Dims x_dims() const { return {shapes.x.n, shapes.x.c, shapes.x.h, shapes.x.w}; }
  Dims y_dims() const { return {shapes.y.n, shapes.y.c, shapes.y.h, shapes.y.w}; }
  Dims w_dims() const {
    return {shapes.filter.k, shapes.filter.c, shapes.filter.r, shapes.filter.s};
  }
  static dnnl::memory::desc wish(const Dims& dims, Tag tag) {
    return {dims, dnnl::memory::data_type::f32, tag};
  }

  /// Memory of layout `desc` that holds whole_numbers() in the order of `tag`.
  dnnl::memory filled(const dnnl::memory::desc& desc, const Dims& dims, Tag tag, unsigned seed) {
    std::int64_t count = 1;
    for (const auto d : dims) count *= d;
    std::vector<float> values = whole_numbers(count, seed);
    dnnl::memory from(wish(dims, tag), engine, values.data()), memory(desc, engine);
    dnnl::reorder(from, memory).execute(stream, from, memory);
    stream.wait();
    return memory;
  }
  dnnl::memory x(const dnnl::memory::desc& d) { return filled(d, x_dims(), Tag::nhwc, kXSeed); }
  dnnl::memory y(const dnnl::memory::desc& d) { return filled(d, y_dims(), Tag::nhwc, kYSeed); }
  dnnl::memory w(const dnnl::memory::desc& d) {
    return filled(d, w_dims(), Tag::hwio, kFilterSeed);
  }

  template <class Make>
  void rotate(Make make) {
    sets.emplace_back(shapes.bytes(), make);
  }

  void prepare_forward(const dnnl::convolution_forward::primitive_desc& d) {
    primitive = dnnl::convolution_forward(d);
    output = DNNL_ARG_DST, output_dims = y_dims(), plain = Tag::nhwc;
    const dnnl::memory filter = w(d.weights_desc());
    rotate([&] {
      return Arguments{{DNNL_ARG_SRC, x(d.src_desc())},
                       {DNNL_ARG_WEIGHTS, filter},
                       {DNNL_ARG_DST, dnnl::memory(d.dst_desc(), engine)}};
    });
  }
  void prepare_data(const dnnl::convolution_backward_data::primitive_desc& d) {
    primitive = dnnl::convolution_backward_data(d);
    output = DNNL_ARG_DIFF_SRC, output_dims = x_dims(), plain = Tag::nhwc;
    const dnnl::memory filter = w(d.weights_desc());
    rotate([&] {
      return Arguments{{DNNL_ARG_DIFF_DST, y(d.diff_dst_desc())},
                       {DNNL_ARG_WEIGHTS, filter},
                       {DNNL_ARG_DIFF_SRC, dnnl::memory(d.diff_src_desc(), engine)}};
    });
  }
  void prepare_weights(const dnnl::convolution_backward_weights::primitive_desc& d) {
    primitive = dnnl::convolution_backward_weights(d);
    output = DNNL_ARG_DIFF_WEIGHTS, output_dims = w_dims(), plain = Tag::hwio;
    const dnnl::memory filter(d.diff_weights_desc(), engine);
    rotate([&] {
      return Arguments{{DNNL_ARG_SRC, x(d.src_desc())},
                       {DNNL_ARG_DIFF_DST, y(d.diff_dst_desc())},
                       {DNNL_ARG_DIFF_WEIGHTS, filter}};
    });
  }

  ConvolutionShapes shapes;
  dnnl::engine engine;
  dnnl::stream stream;
  dnnl::primitive primitive;
  std::vector<Rotation<Arguments>> sets;  // one, made late
  int output = 0;
  Dims output_dims;
  Tag plain = Tag::undef;
};

OneDnnConvolution::OneDnnConvolution(const Conv2dCase& c, Direction direction, OneDnnLayout layout)
    : state_(std::make_unique<State>(c, direction, layout)) {}
OneDnnConvolution::~OneDnnConvolution() = default;

void OneDnnConvolution::run() {
  State& s = *state_;
  s.primitive.execute(s.stream, s.sets[0].next());
  s.stream.wait();
}

std::vector<float> OneDnnConvolution::result() {
  State& s = *state_;
  std::size_t count = 1;
  for (const auto d : s.output_dims) count *= static_cast<std::size_t>(d);
  std::vector<float> values(count);
  dnnl::memory from = s.sets[0].current().at(s.output);
  dnnl::memory to(State::wish(s.output_dims, s.plain), s.engine, values.data());
  dnnl::reorder(from, to).execute(s.stream, from, to);
  s.stream.wait();
  return values;
}

std::string onednn_version() {
  const dnnl::version_t* v = dnnl::version();
  return std::to_string(v->major) + "." + std::to_string(v->minor) + "." + std::to_string(v->patch);
}

}  // namespace curvseg::perf
