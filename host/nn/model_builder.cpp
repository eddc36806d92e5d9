#include <algorithm>
#include <limits>
#include <map>
#include <set>
#include <stdexcept>

#include "curvseg/error.hpp"
#include "host/nn/model_state.hpp"

namespace curvseg {
namespace {

/// Parameters begin at multiples of this many floats, one cache line: wide loads stay aligned.
constexpr std::int64_t kParameterAlignment = 16;

[[noreturn]] void refuse(const std::string& layer, const std::string& why) {
  throw std::invalid_argument(layer + ": " + why);
}

std::int64_t round_up(std::int64_t n) {
  return (n + kParameterAlignment - 1) / kParameterAlignment * kParameterAlignment;
}

}  // namespace

struct ModelBuilder::State {
  std::string name;
  int image_h = 0, image_w = 0;
  std::vector<Node> nodes;
  std::vector<Shape> shapes;  // for one image, when its size is fixed
  std::map<std::string, int> numbers;
  std::set<std::string> names;

  bool fixed_size() const { return image_h > 0; }

  /// `given`, or "conv1", "conv2", … after `stem`.
  std::string unique_name(const std::string& given, const std::string& stem) {
    std::string result = given;
    while (result.empty() || (given.empty() && names.count(result)))
      result = stem + std::to_string(++numbers[stem]);
    if (!names.insert(result).second) refuse(result, "there is a layer of this name already");
    return result;
  }

  const Node& source(const std::string& layer, int i) const {
    if (i < 0 || at(i) >= nodes.size())
      refuse(layer, "there is no node " + std::to_string(i) + ", there are " +
                        std::to_string(nodes.size()));
    return nodes[at(i)];
  }

  int append(Node node) {
    const int number = static_cast<int>(nodes.size());
    nodes.push_back(std::move(node));
    if (!fixed_size()) return number;
    try {
      shapes.emplace_back();
      shapes.back() = output_shape(nodes, number, shapes);
    } catch (...) {
      nodes.pop_back();
      shapes.pop_back();
      throw;
    }
    return number;
  }
};

ModelBuilder::ModelBuilder(std::string name, int in_channels, int image_h, int image_w)
    : state_(std::make_shared<State>()) {
  if (in_channels < 1)
    refuse(name,
           "the image has " + std::to_string(in_channels) + " channels, at least 1 is needed");
  if (image_h < 0 || image_w < 0 || (image_h == 0) != (image_w == 0))
    refuse(name, "an image of " + std::to_string(image_h) + "x" + std::to_string(image_w) +
                     ": both extents are positive, or both 0 for any size");
  state_->name = std::move(name);
  state_->image_h = image_h;
  state_->image_w = image_w;
  state_->names.insert("input");
  Node input;
  input.name = "input";
  input.channels = in_channels;
  state_->nodes.push_back(std::move(input));
  state_->shapes.push_back({1, image_h, image_w, in_channels});
}

namespace {

/// A convolution's node but for its inputs; weight and bias are marked and numbered by build().
Node convolution(NodeKind kind, std::string name, const ModelBuilder::Conv& o, int in_channels) {
  if (o.k < 1) refuse(name, "it has " + std::to_string(o.k) + " output channels");
  if (o.r < 1 || o.s < 1)
    refuse(name, "its filter is " + std::to_string(o.r) + "x" + std::to_string(o.s));
  if (o.stride < 1 || o.dilation < 1)
    refuse(name, "stride " + std::to_string(o.stride) + " and dilation " +
                     std::to_string(o.dilation) + ": both are at least 1");
  if (o.pad_h < -1 || o.pad_w < -1) refuse(name, "its padding is negative");
  Node node;
  node.kind = kind;
  node.name = std::move(name);
  node.channels = o.k;
  node.r = o.r;
  node.s = o.s;
  node.in_channels = in_channels;
  node.geometry.stride_h = node.geometry.stride_w = o.stride;
  node.geometry.dilation_h = node.geometry.dilation_w = o.dilation;
  node.geometry.pad_h = o.pad_h < 0 ? o.dilation * (o.r - 1) / 2 : o.pad_h;
  node.geometry.pad_w = o.pad_w < 0 ? o.dilation * (o.s - 1) / 2 : o.pad_w;
  node.relu = o.relu;
  node.weight = 0;
  node.bias = o.bias ? 0 : -1;
  return node;
}

}  // namespace

int ModelBuilder::conv(int from, const Conv& options) {
  const std::string name = state_->unique_name(options.name, "conv");
  Node node = convolution(NodeKind::kConv, name, options, state_->source(name, from).channels);
  node.inputs = {from};
  return state_->append(std::move(node));
}

int ModelBuilder::conv_transpose(int from, const Conv& options, int like) {
  const std::string name = state_->unique_name(options.name, "conv_transpose");
  Node node =
      convolution(NodeKind::kConvTranspose, name, options, state_->source(name, from).channels);
  state_->source(name, like);
  node.inputs = {from};
  node.like = like;
  return state_->append(std::move(node));
}

int ModelBuilder::dense(int from, int k, bool relu, const std::string& given) {
  const std::string name = state_->unique_name(given, "dense");
  state_->source(name, from);
  if (!state_->fixed_size())
    refuse(name, "a dense layer needs images of one size, and " + state_->name +
                     " was begun for any size");
  const Shape& x = state_->shapes[at(from)];
  if (x.elements() > std::numeric_limits<int>::max())
    refuse(name, "its input " + to_string(x) + " has too many elements");
  const Conv options{.name = name, .k = k, .r = 1, .s = 1, .relu = relu};
  Node node = convolution(NodeKind::kConv, name, options, static_cast<int>(x.elements()));
  node.flatten = true;
  node.inputs = {from};
  return state_->append(std::move(node));
}

namespace {

void check_window(const std::string& layer, const PoolWindow& window) {
  try {
    pool_output_shape({1, 1, 1, 1}, window);
  } catch (const std::invalid_argument& e) {
    refuse(layer, e.what());
  }
}

}  // namespace

int ModelBuilder::max_pool(int from, const PoolWindow& window) {
  Node node;
  node.kind = NodeKind::kMaxPool;
  node.name = state_->unique_name({}, "max_pool");
  node.channels = state_->source(node.name, from).channels;
  node.window = window;
  check_window(node.name, window);
  node.inputs = {from};
  return state_->append(std::move(node));
}

int ModelBuilder::average_pool(int from, const PoolWindow& window, bool count_include_pad) {
  Node node;
  node.kind = NodeKind::kAveragePool;
  node.name = state_->unique_name({}, "average_pool");
  node.channels = state_->source(node.name, from).channels;
  node.window = window;
  check_window(node.name, window);
  node.count_include_pad = count_include_pad;
  node.inputs = {from};
  return state_->append(std::move(node));
}

int ModelBuilder::upsample(int from, int like) {
  Node node;
  node.kind = NodeKind::kUpsample;
  node.name = state_->unique_name({}, "upsample");
  node.channels = state_->source(node.name, from).channels;
  state_->source(node.name, like);
  node.like = like;
  node.inputs = {from};
  return state_->append(std::move(node));
}

int ModelBuilder::concat(int a, int b) {
  Node node;
  node.kind = NodeKind::kConcat;
  node.name = state_->unique_name({}, "concat");
  node.channels = state_->source(node.name, a).channels + state_->source(node.name, b).channels;
  node.inputs = {a, b};
  return state_->append(std::move(node));
}

int ModelBuilder::add(int a, int b) {
  Node node;
  node.kind = NodeKind::kAdd;
  node.name = state_->unique_name({}, "add");
  node.channels = state_->source(node.name, a).channels;
  if (state_->source(node.name, b).channels != node.channels)
    refuse(node.name, state_->nodes[at(a)].name + " has " + std::to_string(node.channels) +
                          " channels, " + state_->nodes[at(b)].name + " has " +
                          std::to_string(state_->nodes[at(b)].channels));
  node.inputs = {a, b};
  return state_->append(std::move(node));
}

int ModelBuilder::relu(int from) {
  Node node;
  node.kind = NodeKind::kRelu;
  node.name = state_->unique_name({}, "relu");
  node.channels = state_->source(node.name, from).channels;
  node.relu = true;
  node.inputs = {from};
  return state_->append(std::move(node));
}

namespace {

/// Every layer must be of use: one that is not is a slip in the wiring.
void check_all_used(const std::vector<Node>& nodes, int output) {
  std::vector<bool> used(nodes.size(), false);
  used[at(output)] = true;
  for (std::size_t i = nodes.size(); i-- > 0;)
    if (used[i])
      for (const int input : nodes[i].inputs) used[at(input)] = true;
  for (std::size_t i = 0; i < nodes.size(); ++i)
    if (!used[i])
      refuse(nodes[i].name, "it does not lead to the output, " + nodes[at(output)].name);
}

/// How many taps reach one element, on average: a filter at stride t sees every t-th one.
std::int64_t reach(const Node& node) {
  const std::int64_t taps = static_cast<std::int64_t>(node.r) * node.s;
  const std::int64_t phases =
      static_cast<std::int64_t>(node.geometry.stride_h) * node.geometry.stride_w;
  return std::max<std::int64_t>(1, taps / phases);
}

class ParameterTable {
 public:
  std::vector<Parameter> parameters;
  std::int64_t count = 0;

  /// Rectified layers start as He et al. (2015) say, linear ones as Glorot and Bengio (2010).
  int add_weight(const Node& node, bool rectified) {
    const auto w = filter_view<float>(node, nullptr);
    Parameter p;
    p.name = node.name + ".weight";
    p.shape = {w.r, w.s, w.c, w.k};
    p.initialiser = rectified ? Initialiser::kHeNormal : Initialiser::kGlorotUniform;
    const std::int64_t taps = static_cast<std::int64_t>(node.r) * node.s;
    const bool transposed = node.kind == NodeKind::kConvTranspose;
    p.fan_in = (transposed ? reach(node) : taps) * node.in_channels;
    p.fan_out = (transposed ? taps : reach(node)) * node.channels;
    p.size = w.elements();
    return add(std::move(p));
  }

  int add_bias(const Node& node) {
    Parameter p;
    p.name = node.name + ".bias";
    p.shape = {node.channels};
    p.size = node.channels;
    return add(std::move(p));
  }

 private:
  int add(Parameter parameter) {
    parameter.offset = count;
    count = round_up(count + parameter.size);
    parameters.push_back(std::move(parameter));
    return static_cast<int>(parameters.size()) - 1;
  }
};

}  // namespace

Model ModelBuilder::build(int output) {
  state_->source(state_->name, output);
  if (output == 0) refuse(state_->name, "its output is its input");
  check_all_used(state_->nodes, output);
  auto model = std::make_shared<Model::State>();
  model->name = state_->name;
  model->image_h = state_->image_h;
  model->image_w = state_->image_w;
  model->nodes = state_->nodes;
  const auto consumers = consumers_of(model->nodes);
  ParameterTable table;
  for (std::size_t i = 0; i < model->nodes.size(); ++i) {
    Node& node = model->nodes[i];
    const bool rectified =
        node.relu || std::any_of(consumers[i].begin(), consumers[i].end(), [&](int consumer) {
          return model->nodes[at(consumer)].kind == NodeKind::kRelu;
        });
    if (node.weight >= 0) node.weight = table.add_weight(node, rectified);
    if (node.bias >= 0) node.bias = table.add_bias(node);
  }
  model->parameters = std::move(table.parameters);
  model->parameter_count = table.count;
  Model result;
  result.state_ = std::move(model);
  return result;
}

}  // namespace curvseg
