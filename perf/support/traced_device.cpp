#include "perf/support/traced_device.hpp"

#include <utility>

#include "host/device/device_double.hpp"

namespace curvseg::perf {
namespace {

struct Trace {
  Clock clock = Clock::kWall;
  const Kernels* kernels = nullptr;
  std::vector<TraceEntry> entries;
};

Trace& trace() {
  static Trace the_only_one;
  return the_only_one;
}

std::string by(std::initializer_list<int> extents) {
  std::string text;
  for (const int e : extents) text += (text.empty() ? "" : "x") + std::to_string(e);
  return text;
}

double product(std::initializer_list<int> factors) {
  double result = 1.0;
  for (const int f : factors) result *= f;
  return result;
}

constexpr double kFloat = sizeof(float);

// ---- what a launch does, by its parameters -----------------------------------------------------

std::string geometry(const Conv2dProblem& p) {
  std::string text = by({p.n, p.h, p.w}) + " " + std::to_string(p.c) + "->" + std::to_string(p.k) +
                     " " + by({p.r, p.s});
  if (p.stride_h > 1) text += "/" + std::to_string(p.stride_h);
  if (p.dilation_h > 1) text += " dilated " + std::to_string(p.dilation_h);
  return text;
}

/// A stride leaves the products of a convolution as they are: one a tap and output.
double conv_flops(const Conv2dProblem& p, int terms) {
  return 2.0 * terms * product({p.n, p.p, p.q, p.k, p.c, p.r, p.s});
}

TraceEntry describe(const Conv2dGather& p) {
  TraceEntry e;
  e.problem =
      (p.direction == Conv2dDirection::kForward ? "forward " : "data ") + geometry(p.problem);
  if (p.epilogue.bias) e.problem += " bias";
  if (p.epilogue.relu) e.problem += " relu";
  if (p.epilogue.mask) e.problem += " mask" + std::to_string(p.epilogue.mask_channels);
  if (p.epilogue.accumulate) e.problem += " +=";
  e.flops = conv_flops(p.problem, p.terms);
  return e;
}

TraceEntry describe(const Conv2dWeightGradient& p) {
  TraceEntry e;
  e.problem = "weight " + geometry(p.problem);
  e.flops = conv_flops(p.problem, p.terms);
  return e;
}

template <class Pool>
TraceEntry describe_pool(const Pool& p, double bytes) {
  TraceEntry e;
  const PoolProblem& q = p.problem;
  e.problem = by({q.n, q.h, q.w, q.c}) + " " + by({q.r, q.s});
  e.bytes = bytes;
  return e;
}

double elements_in(const PoolProblem& p) { return product({p.n, p.h, p.w, p.c}); }
double elements_out(const PoolProblem& p) { return product({p.n, p.p, p.q, p.c}); }
double epilogue_streams(const GradientEpilogue& e) {
  return 1.0 + (e.mask ? 1.0 : 0.0) + (e.accumulate ? 1.0 : 0.0);
}

TraceEntry describe(const MaxPoolForward& p) {
  const double index = p.index ? 2.0 : 0.0;
  return describe_pool(
      p, kFloat * elements_in(p.problem) + (kFloat + index) * elements_out(p.problem));
}
TraceEntry describe(const MaxPoolSelect& p) {
  return describe_pool(p, (2.0 * kFloat + 2.0) * elements_out(p.problem));
}
TraceEntry describe(const MaxPoolBackward& p) {
  TraceEntry e = describe_pool(p, epilogue_streams(p.epilogue) * kFloat * elements_in(p.problem) +
                                      (kFloat + 2.0) * elements_out(p.problem));
  if (p.epilogue.mask) e.problem += " mask";
  if (p.epilogue.accumulate) e.problem += " +=";
  return e;
}
TraceEntry describe(const AveragePoolForward& p) {
  return describe_pool(p, kFloat * (elements_in(p.problem) + elements_out(p.problem)));
}
TraceEntry describe(const AveragePoolBackward& p) {
  return describe_pool(p, kFloat * (epilogue_streams(p.epilogue) * elements_in(p.problem) +
                                    elements_out(p.problem)));
}

TraceEntry describe_resize(const ResizeProblem& p, double streams) {
  TraceEntry e;
  e.problem = by({p.n, p.h, p.w, p.c}) + " and " + by({p.p, p.q});
  e.bytes = kFloat * (streams * product({p.n, p.h, p.w, p.c}) + product({p.n, p.p, p.q, p.c}));
  return e;
}
TraceEntry describe(const BilinearForward& p) { return describe_resize(p.problem, 1.0); }
TraceEntry describe(const BilinearBackward& p) {
  return describe_resize(p.problem, epilogue_streams(p.epilogue));
}

TraceEntry describe_pixels(std::int64_t pixels, int channels, double bytes_each) {
  TraceEntry e;
  e.problem = std::to_string(pixels) + " x " + std::to_string(channels);
  e.bytes = bytes_each * static_cast<double>(pixels) * channels;
  return e;
}
TraceEntry describe_flat(std::int64_t n, double bytes_each) {
  TraceEntry e;
  e.problem = std::to_string(n);
  e.bytes = bytes_each * static_cast<double>(n);
  return e;
}

TraceEntry describe(const Fill& p) { return describe_flat(p.n, kFloat); }
TraceEntry describe(const StoreWords& p) { return describe_flat(p.words, kFloat); }
TraceEntry describe(const CopyPixels& p) {
  return describe_pixels(p.pixels, p.channels, (p.accumulate ? 3.0 : 2.0) * kFloat);
}
TraceEntry describe(const ReluForward& p) {
  return describe_pixels(p.pixels, p.channels, 2.0 * kFloat);
}
TraceEntry describe(const ReluBackward& p) {
  return describe_pixels(p.pixels, p.channels, (p.accumulate ? 4.0 : 3.0) * kFloat);
}
TraceEntry describe(const AddBias& p) {
  return describe_pixels(p.pixels, p.channels, 2.0 * kFloat);
}
TraceEntry describe(const ChannelSum& p) { return describe_pixels(p.pixels, p.channels, kFloat); }
TraceEntry describe(const LabelWeight& p) { return describe_pixels(p.pixels, 1, kFloat); }
TraceEntry describe(const SoftmaxCrossEntropy& p) {
  TraceEntry e = describe_pixels(p.pixels, p.classes, (p.dx ? 2.0 : 1.0) * kFloat);
  e.bytes += kFloat * static_cast<double>(p.pixels);
  return e;
}
TraceEntry describe(const MeanSquaredError& p) {
  return describe_pixels(p.pixels, p.channels, (p.dx ? 3.0 : 2.0) * kFloat);
}
TraceEntry describe(const Argmax& p) {
  TraceEntry e = describe_pixels(p.pixels, p.classes, kFloat);
  e.bytes += kFloat * static_cast<double>(p.pixels);
  return e;
}
TraceEntry describe(const ConfusionMatrix& p) { return describe_pixels(p.pixels, 1, 2.0 * kFloat); }
TraceEntry describe(const SquaredNorm& p) { return describe_flat(p.n, kFloat); }
TraceEntry describe(const SgdUpdate& p) {
  return describe_flat(p.n, (p.momentum_buffer ? 5.0 : 3.0) * kFloat);
}
TraceEntry describe(const AdamUpdate& p) { return describe_flat(p.n, 7.0 * kFloat); }
TraceEntry describe(const RandomFill& p) { return describe_flat(p.n, kFloat); }
TraceEntry describe(const DotProducts& p) { return describe_flat(p.n, 2.0 * p.count * kFloat); }
TraceEntry describe(const LinearCombination& p) {
  return describe_flat(p.n, (p.terms + 1.0) * kFloat);
}
TraceEntry describe(const ElementwiseProduct& p) {
  return describe_flat(p.n, (p.accumulate ? 4.0 : 3.0) * kFloat);
}
TraceEntry describe(const Normalise& p) { return describe_flat(p.n, 2.0 * kFloat); }

// ---- the table ---------------------------------------------------------------------------------

TraceEntry& entry_for(TraceEntry described) {
  for (TraceEntry& e : trace().entries)
    if (e.kernel == described.kernel && e.problem == described.problem) return e;
  trace().entries.push_back(std::move(described));
  return trace().entries.back();
}

/// Stands in the table for the kernel `Member`.
template <auto Member>
struct Traced {
  static inline const char* name = "";

  template <class Params>
  static void run(StreamHandle stream, const Params& params) {
    TraceEntry described = describe(params);
    described.kernel = name;
    TraceEntry& entry = entry_for(std::move(described));
    const double start = seconds(trace().clock);
    (trace().kernels->*Member)(stream, params);  // the host target is done on return
    entry.seconds.push_back(seconds(trace().clock) - start);
  }

  template <class Params>
  static void install(Operation<Params> Kernels::*, Kernels& table, const char* called) {
    name = called;
    table.*Member = run<Params>;
  }
};

template <auto Member>
void install(Kernels& table, const char* name) {
  Traced<Member>::install(Member, table, name);
}

Kernels traced_table(const Kernels& kernels) {
  Kernels table = kernels;
  install<&Kernels::conv2d_gather>(table, "conv2d_gather");
  install<&Kernels::conv2d_weight_gradient>(table, "conv2d_weight_gradient");
  install<&Kernels::max_pool_forward>(table, "max_pool_forward");
  install<&Kernels::max_pool_select>(table, "max_pool_select");
  install<&Kernels::max_pool_backward>(table, "max_pool_backward");
  install<&Kernels::average_pool_forward>(table, "average_pool_forward");
  install<&Kernels::average_pool_backward>(table, "average_pool_backward");
  install<&Kernels::bilinear_forward>(table, "bilinear_forward");
  install<&Kernels::bilinear_backward>(table, "bilinear_backward");
  install<&Kernels::fill>(table, "fill");
  install<&Kernels::store_words>(table, "store_words");
  install<&Kernels::copy_pixels>(table, "copy_pixels");
  install<&Kernels::relu_forward>(table, "relu_forward");
  install<&Kernels::relu_backward>(table, "relu_backward");
  install<&Kernels::add_bias>(table, "add_bias");
  install<&Kernels::channel_sum>(table, "channel_sum");
  install<&Kernels::label_weight>(table, "label_weight");
  install<&Kernels::softmax_cross_entropy>(table, "softmax_cross_entropy");
  install<&Kernels::mean_squared_error>(table, "mean_squared_error");
  install<&Kernels::argmax>(table, "argmax");
  install<&Kernels::confusion_matrix>(table, "confusion_matrix");
  install<&Kernels::squared_norm>(table, "squared_norm");
  install<&Kernels::sgd_update>(table, "sgd_update");
  install<&Kernels::adam_update>(table, "adam_update");
  install<&Kernels::random_fill>(table, "random_fill");
  install<&Kernels::dot_products>(table, "dot_products");
  install<&Kernels::linear_combination>(table, "linear_combination");
  install<&Kernels::multiply>(table, "multiply");
  install<&Kernels::normalise>(table, "normalise");
  return table;
}

}  // namespace

Device traced_host_device(Clock clock) {
  static const Target& host = Device::open("host").target();
  static const Kernels table = traced_table(*host.kernels);
  static const Target target{host.runtime, &table};
  trace().clock = clock;
  trace().kernels = host.kernels;
  return DeviceDouble::make(target);
}

std::vector<TraceEntry> take_trace() { return std::exchange(trace().entries, {}); }

}  // namespace curvseg::perf
