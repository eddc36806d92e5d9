// Convolution in its three directions against oneDNN, in one run, as a Markdown table.
//
// oneDNN runs twice: on NHWC activations, as ours are, and on the layout it likes best ("any"),
// without counting what it costs to bring the data there; its filters are in its own layout both
// times, reordered beforehand, whereas ours packs its filters within the time. The faster of the
// two is the peer. Sides are timed in pairs, one right after the other, so that a change of the
// machine's speed hits both; the ratio is the median of the pairs, with the least and the largest.
#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <dnnl.hpp>
#include <exception>
#include <functional>
#include <stdexcept>
#include <string>
#include <unordered_map>
#include <vector>

#include "curvseg/ops.hpp"
#include "perf/support/arguments.hpp"
#include "perf/support/conv2d_cases.hpp"
#include "perf/support/data.hpp"
#include "perf/support/peaks.hpp"

namespace curvseg::perf {
namespace {

constexpr const char* kUsage =
    R"(onednn_conv2d [--pairs 9] [--clock wall|cpu] [--only PART_OF_A_NAME]

Convolution in its three directions against oneDNN, in one run, as a Markdown table.
)";

using Tag = dnnl::memory::format_tag;
constexpr std::array kDirections = {"forward", "data", "weights"};
constexpr double kShortest = 0.002;  // seconds of a sample: below, one run is too short to time

/// A convolution as both sides see it; that of a transposed one is its adjoint.
struct Problem {
  explicit Problem(const Conv2dCase& c)
      : x{c.n, c.h, c.w, c.c}, filter(nullptr, c.r, c.s, c.c, c.k), geometry(c.geometry()) {
    y = conv2d_output_shape(x, filter, geometry);
  }
  double flops() const {
    return 2.0 * static_cast<double>(y.pixels()) * static_cast<double>(filter.elements());
  }
  Shape x, y;
  ConstFilterView filter;
  Conv2dGeometry geometry;
};

/// Something to time, and how to get at what it computed: [N,H,W,C] or [R,S,C,K].
struct Side {
  std::function<void()> run;
  std::function<std::vector<float>()> result;
};

// ---- ours --------------------------------------------------------------------------------------

class Ours {
 public:
  Ours(const Stream& stream, const Problem& p)
      : stream_(stream),
        p_(p),
        x_(random_tensor(stream, p.x, 1)),
        y_(random_tensor(stream, p.y, 2)),
        out_x_(stream.device(), p.x),
        out_y_(stream.device(), p.y),
        w_(random_vector(stream, p.filter.elements(), 3)),
        dw_(stream.device(), p.filter.elements()),
        workspace_(stream.device(), workspace_floats()) {}

  std::array<Side, 3> sides() {
    const ConstFilterView& f = p_.filter;
    const ConstFilterView w{w_.data(), f.r, f.s, f.c, f.k};
    const FilterView dw{dw_.data(), f.r, f.s, f.c, f.k};
    const Conv2dGeometry geometry = p_.geometry;
    return {
        Side{[this, w, geometry] {
               conv2d_forward(stream_, x_, w, {.geometry = geometry}, workspace(), out_y_);
             },
             [this] { return out_y_.to_host(stream_); }},
        Side{[this, w, geometry] {
               conv2d_backward_data(stream_, y_, w, {.geometry = geometry}, workspace(), out_x_);
             },
             [this] { return out_x_.to_host(stream_); }},
        Side{[this, dw, geometry] {
               conv2d_backward_weights(stream_, x_, y_, geometry, false, workspace(), dw);
             },
             [this] { return dw_.to_host(stream_); }},
    };
  }

 private:
  Workspace workspace() const { return {workspace_.data(), workspace_.bytes()}; }
  std::int64_t workspace_floats() const {
    const Device device = stream_.device();
    const std::size_t bytes =
        std::max({conv2d_forward_workspace(device, p_.x, p_.filter, p_.geometry),
                  conv2d_backward_data_workspace(device, p_.x, p_.filter, p_.geometry),
                  conv2d_backward_weights_workspace(device, p_.x, p_.filter, p_.geometry)});
    return static_cast<std::int64_t>(bytes / sizeof(float));
  }

  Stream stream_;
  Problem p_;
  Tensor x_, y_, out_x_, out_y_;
  DeviceArray<float> w_, dw_, workspace_;
};

// ---- oneDNN ------------------------------------------------------------------------------------

class OneDnn {
 public:
  OneDnn(const Problem& p, Tag layout)
      : engine_(dnnl::engine::kind::cpu, 0), stream_(engine_), layout_(layout), p_(p) {
    using dnnl::algorithm;
    using dnnl::prop_kind;
    const auto x = wish(x_dims(), layout), y = wish(y_dims(), layout);
    const auto w = wish(w_dims(), Tag::any);
    const dnnl::memory::dims stride{p.geometry.stride_h, p.geometry.stride_w};
    const dnnl::memory::dims dilation{p.geometry.dilation_h - 1, p.geometry.dilation_w - 1};
    const dnnl::memory::dims pad{p.geometry.pad_h, p.geometry.pad_w};
    const auto pad_behind = padding_behind();
    const auto direct = algorithm::convolution_direct;
    forward_ = {{prop_kind::forward_training, direct, x, w, y, stride, dilation, pad, pad_behind},
                engine_};
    data_ = {{direct, x, w, y, stride, dilation, pad, pad_behind}, engine_, forward_};
    weights_ = {{direct, x, w, y, stride, dilation, pad, pad_behind}, engine_, forward_};
  }

  std::array<Side, 3> sides() { return {forward(), data(), weights()}; }

 private:
  dnnl::memory::dims x_dims() const { return {p_.x.n, p_.x.c, p_.x.h, p_.x.w}; }
  dnnl::memory::dims y_dims() const { return {p_.y.n, p_.y.c, p_.y.h, p_.y.w}; }
  dnnl::memory::dims w_dims() const { return {p_.filter.k, p_.filter.c, p_.filter.r, p_.filter.s}; }
  static dnnl::memory::desc wish(const dnnl::memory::dims& dims, Tag tag) {
    return {dims, dnnl::memory::data_type::f32, tag};
  }

  /// What the last windows reach over the far edges; negative where they end before them.
  dnnl::memory::dims padding_behind() const {
    const auto behind = [](int in, int out, int filter, int stride, int pad, int dilation) {
      return (out - 1) * stride + dilation * (filter - 1) + 1 - in - pad;
    };
    const Conv2dGeometry& g = p_.geometry;
    return {behind(p_.x.h, p_.y.h, p_.filter.r, g.stride_h, g.pad_h, g.dilation_h),
            behind(p_.x.w, p_.y.w, p_.filter.s, g.stride_w, g.pad_w, g.dilation_w)};
  }

  /// Memory of layout `desc` that holds `values` of layout `tag`.
  dnnl::memory filled(const dnnl::memory::desc& desc, const dnnl::memory::dims& dims, Tag tag,
                      std::vector<float> values) {
    dnnl::memory plain(wish(dims, tag), engine_, values.data()), memory(desc, engine_);
    dnnl::reorder(plain, memory).execute(stream_, plain, memory);
    stream_.wait();
    return memory;
  }
  dnnl::memory x_memory(const dnnl::memory::desc& desc) {
    return filled(desc, x_dims(), Tag::nhwc, whole_numbers(p_.x.elements(), 1));
  }
  dnnl::memory y_memory(const dnnl::memory::desc& desc) {
    return filled(desc, y_dims(), Tag::nhwc, whole_numbers(p_.y.elements(), 2));
  }
  dnnl::memory w_memory(const dnnl::memory::desc& desc) {
    return filled(desc, w_dims(), Tag::hwio, whole_numbers(p_.filter.elements(), 3));
  }

  Side side(dnnl::primitive primitive, std::unordered_map<int, dnnl::memory> arguments,
            dnnl::memory output, dnnl::memory::dims dims, Tag plain) {
    return {[this, primitive, arguments] {
              primitive.execute(stream_, arguments);
              dnnl::stream(stream_).wait();
            },
            [this, output, dims, plain] {
              std::size_t count = 1;
              for (const auto d : dims) count *= static_cast<std::size_t>(d);
              std::vector<float> values(count);
              dnnl::memory from = output, to(wish(dims, plain), engine_, values.data());
              dnnl::reorder(from, to).execute(stream_, from, to);
              stream_.wait();
              return values;
            }};
  }

  Side forward() {
    const dnnl::memory out(forward_.dst_desc(), engine_);
    return side(dnnl::convolution_forward(forward_),
                {{DNNL_ARG_SRC, x_memory(forward_.src_desc())},
                 {DNNL_ARG_WEIGHTS, w_memory(forward_.weights_desc())},
                 {DNNL_ARG_DST, out}},
                out, y_dims(), Tag::nhwc);
  }
  Side data() {
    const dnnl::memory out(data_.diff_src_desc(), engine_);
    return side(dnnl::convolution_backward_data(data_),
                {{DNNL_ARG_DIFF_DST, y_memory(data_.diff_dst_desc())},
                 {DNNL_ARG_WEIGHTS, w_memory(data_.weights_desc())},
                 {DNNL_ARG_DIFF_SRC, out}},
                out, x_dims(), Tag::nhwc);
  }
  Side weights() {
    const dnnl::memory out(weights_.diff_weights_desc(), engine_);
    return side(dnnl::convolution_backward_weights(weights_),
                {{DNNL_ARG_SRC, x_memory(weights_.src_desc())},
                 {DNNL_ARG_DIFF_DST, y_memory(weights_.diff_dst_desc())},
                 {DNNL_ARG_DIFF_WEIGHTS, out}},
                out, w_dims(), Tag::hwio);
  }

  dnnl::engine engine_;
  dnnl::stream stream_;
  Tag layout_;
  Problem p_;
  dnnl::convolution_forward::primitive_desc forward_;
  dnnl::convolution_backward_data::primitive_desc data_;
  dnnl::convolution_backward_weights::primitive_desc weights_;
};

// ---- the comparison ----------------------------------------------------------------------------

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

/// Both sum whole numbers, which is exact as long as they are small; long sums may round.
void require_same(const std::string& what, const Side& ours, const Side& theirs) {
  ours.run();
  theirs.run();
  const std::vector<float> a = ours.result(), b = theirs.result();
  double largest = 1.0;
  for (const float value : b) largest = std::max(largest, std::fabs(static_cast<double>(value)));
  std::vector<double> expected(b.begin(), b.end());
  require_close(what, a, expected, std::vector<double>(b.size(), 1e-5 * largest));
}

struct Pairs {
  double ours = 0.0, theirs = 0.0;  // seconds, medians
  double ratio = 0.0, least = 0.0, most = 0.0;
};

class Comparison {
 public:
  Comparison(int pairs, Clock clock) : pairs_(pairs), clock_(clock) {}

  Pairs compare(const Side& ours, const Side& theirs) const {
    const int repeat = repetitions(ours);
    std::vector<double> mine, peer, ratios;
    for (int i = 0; i < pairs_; ++i) {
      mine.push_back(time(ours, repeat));
      peer.push_back(time(theirs, repeat));
      ratios.push_back(peer.back() / mine.back());
    }
    return {median(mine), median(peer), median(ratios),
            *std::min_element(ratios.begin(), ratios.end()),
            *std::max_element(ratios.begin(), ratios.end())};
  }
  Clock clock() const { return clock_; }

 private:
  double time(const Side& side, int repeat) const {
    const double start = seconds(clock_);
    for (int i = 0; i < repeat; ++i) side.run();
    return (seconds(clock_) - start) / repeat;
  }
  int repetitions(const Side& side) const {
    return std::max(1, static_cast<int>(std::ceil(kShortest / time(side, 1))));
  }

  int pairs_;
  Clock clock_;
};

void print_row(const Conv2dCase& c, const char* direction, double flops, const Pairs& nhwc,
               const Pairs& any, double peak) {
  const Pairs& best = any.ratio < nhwc.ratio ? any : nhwc;
  const double rate = flops / best.ours;
  std::printf("| %s | %s | %.1f | %.0f | %.1f | %.1f | %.2f [%.2f, %.2f] |\n", c.name, direction,
              rate / 1e9, 100.0 * rate / peak, flops / nhwc.theirs / 1e9, flops / any.theirs / 1e9,
              best.ratio, best.least, best.most);
  std::fflush(stdout);
}

void compare_case(const Stream& stream, const Conv2dCase& c, const Comparison& comparison) {
  const Problem problem(c);
  Ours ours(stream, problem);
  OneDnn nhwc(problem, Tag::nhwc), any(problem, Tag::any);
  const auto our_sides = ours.sides();
  const auto nhwc_sides = nhwc.sides(), any_sides = any.sides();
  for (std::size_t d = 0; d < kDirections.size(); ++d) {
    // A transposed layer's forward pass is the data gradient of its convolution, and the reverse.
    const std::size_t as = c.transposed && d < 2 ? 1 - d : d;
    const std::string what = std::string(c.name) + " " + kDirections[d];
    require_same(what, our_sides[as], nhwc_sides[as]);
    require_same(what, our_sides[as], any_sides[as]);
    print_row(c, kDirections[d], problem.flops(), comparison.compare(our_sides[as], nhwc_sides[as]),
              comparison.compare(our_sides[as], any_sides[as]), fma_peak(comparison.clock()));
  }
}

void run(Arguments& arguments) {
  const Comparison comparison(arguments.number("pairs", 9), arguments.clock());
  const std::string only = arguments.text("only", "");
  arguments.done();
  const Stream stream(Device::open("host"));
  const dnnl::version_t* version = dnnl::version();
  std::printf(
      "curvseg (%s) and oneDNN %d.%d.%d, %d threads, %s time; ratio: oneDNN's time over "
      "ours, against its better layout.\n\n",
      stream.device().info().instruction_set.c_str(), version->major, version->minor,
      version->patch, threads(), comparison.clock() == Clock::kWall ? "wall" : "cpu");
  std::printf(
      "| convolution | direction | GFLOP/s | %% of FMA peak | oneDNN nhwc | oneDNN any | "
      "ratio |\n| --- | --- | ---: | ---: | ---: | ---: | ---: |\n");
  for (const Conv2dCase& c : kConv2dCases)
    if (std::string(c.name).find(only) != std::string::npos) compare_case(stream, c, comparison);
}

}  // namespace
}  // namespace curvseg::perf

int main(int argc, char** argv) {
  try {
    curvseg::perf::Arguments arguments(argc, argv, curvseg::perf::kUsage);
    curvseg::perf::run(arguments);
    return 0;
  } catch (const std::exception& e) {
    std::fprintf(stderr, "onednn_conv2d: %s\n", e.what());
    return 1;
  }
}
