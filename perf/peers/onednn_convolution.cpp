#include "perf/peers/onednn_convolution.hpp"

#include <dnnl.hpp>
#include <unordered_map>
#include <utility>

namespace curvseg::perf {
namespace {

using Dims = dnnl::memory::dims;
using Tag = dnnl::memory::format_tag;
using PrimitiveArguments = std::unordered_map<int, dnnl::memory>;

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

class OneDnnConvolution final : public PeerConvolution {
 public:
  OneDnnConvolution(const Conv2dCase& c, Direction direction, OneDnnLayout layout)
      : shapes_(c), engine_(dnnl::engine::kind::cpu, 0), stream_(engine_) {
    const Tag activations = layout == OneDnnLayout::kNhwc ? Tag::nhwc : Tag::any;
    const Operands o{wish(x_dims(), activations), wish(w_dims(), Tag::any),
                     wish(y_dims(), activations)};
    const Geometry g = geometry_of(shapes_);
    const auto forward = describe<dnnl::convolution_forward>(engine_, o, g);
    if (direction == Direction::kForward)
      prepare_forward(forward);
    else if (direction == Direction::kData)
      prepare_data(describe<dnnl::convolution_backward_data>(engine_, o, g, forward));
    else
      prepare_weights(describe<dnnl::convolution_backward_weights>(engine_, o, g, forward));
  }

  void run() override {
    primitive_.execute(stream_, sets_[0].next());
    stream_.wait();
  }

  std::vector<float> result() override {
    std::size_t count = 1;
    for (const auto d : output_dims_) count *= static_cast<std::size_t>(d);
    std::vector<float> values(count);
    dnnl::memory from = sets_[0].current().at(output_);
    dnnl::memory to(wish(output_dims_, plain_), engine_, values.data());
    dnnl::reorder(from, to).execute(stream_, from, to);
    stream_.wait();
    return values;
  }

 private:
  Dims x_dims() const { return {shapes_.x.n, shapes_.x.c, shapes_.x.h, shapes_.x.w}; }
  Dims y_dims() const { return {shapes_.y.n, shapes_.y.c, shapes_.y.h, shapes_.y.w}; }
  Dims w_dims() const {
    return {shapes_.filter.k, shapes_.filter.c, shapes_.filter.r, shapes_.filter.s};
  }
  static dnnl::memory::desc wish(const Dims& dims, Tag tag) {
    return {dims, dnnl::memory::data_type::f32, tag};
  }

  /// Memory of layout `desc` that holds whole_numbers() in the order of `tag`.
  dnnl::memory filled(const dnnl::memory::desc& desc, const Dims& dims, Tag tag, unsigned seed) {
    std::int64_t count = 1;
    for (const auto d : dims) count *= d;
    std::vector<float> values = whole_numbers(count, seed);
    dnnl::memory from(wish(dims, tag), engine_, values.data()), memory(desc, engine_);
    dnnl::reorder(from, memory).execute(stream_, from, memory);
    stream_.wait();
    return memory;
  }
  dnnl::memory x(const dnnl::memory::desc& d) { return filled(d, x_dims(), Tag::nhwc, kXSeed); }
  dnnl::memory y(const dnnl::memory::desc& d) { return filled(d, y_dims(), Tag::nhwc, kYSeed); }
  dnnl::memory w(const dnnl::memory::desc& d) {
    return filled(d, w_dims(), Tag::hwio, kFilterSeed);
  }

  template <class Make>
  void rotate(Make make) {
    sets_.emplace_back(shapes_.bytes(), make);
  }

  void prepare_forward(const dnnl::convolution_forward::primitive_desc& d) {
    primitive_ = dnnl::convolution_forward(d);
    output_ = DNNL_ARG_DST, output_dims_ = y_dims(), plain_ = Tag::nhwc;
    const dnnl::memory filter = w(d.weights_desc());
    rotate([&] {
      return PrimitiveArguments{{DNNL_ARG_SRC, x(d.src_desc())},
                                {DNNL_ARG_WEIGHTS, filter},
                                {DNNL_ARG_DST, dnnl::memory(d.dst_desc(), engine_)}};
    });
  }
  void prepare_data(const dnnl::convolution_backward_data::primitive_desc& d) {
    primitive_ = dnnl::convolution_backward_data(d);
    output_ = DNNL_ARG_DIFF_SRC, output_dims_ = x_dims(), plain_ = Tag::nhwc;
    const dnnl::memory filter = w(d.weights_desc());
    rotate([&] {
      return PrimitiveArguments{{DNNL_ARG_DIFF_DST, y(d.diff_dst_desc())},
                                {DNNL_ARG_WEIGHTS, filter},
                                {DNNL_ARG_DIFF_SRC, dnnl::memory(d.diff_src_desc(), engine_)}};
    });
  }
  void prepare_weights(const dnnl::convolution_backward_weights::primitive_desc& d) {
    primitive_ = dnnl::convolution_backward_weights(d);
    output_ = DNNL_ARG_DIFF_WEIGHTS, output_dims_ = w_dims(), plain_ = Tag::hwio;
    const dnnl::memory filter(d.diff_weights_desc(), engine_);
    rotate([&] {
      return PrimitiveArguments{{DNNL_ARG_SRC, x(d.src_desc())},
                                {DNNL_ARG_DIFF_DST, y(d.diff_dst_desc())},
                                {DNNL_ARG_DIFF_WEIGHTS, filter}};
    });
  }

  ConvolutionShapes shapes_;
  dnnl::engine engine_;
  dnnl::stream stream_;
  dnnl::primitive primitive_;
  std::vector<Rotation<PrimitiveArguments>> sets_;  // one, made late
  int output_ = 0;
  Dims output_dims_;
  Tag plain_ = Tag::undef;
};

}  // namespace

std::unique_ptr<PeerConvolution> make_onednn_convolution(const Conv2dCase& c, Direction direction,
                                                         OneDnnLayout layout) {
  return std::make_unique<OneDnnConvolution>(c, direction, layout);
}

std::string onednn_version() {
  const dnnl::version_t* v = dnnl::version();
  return std::to_string(v->major) + "." + std::to_string(v->minor) + "." + std::to_string(v->patch);
}

}  // namespace curvseg::perf
