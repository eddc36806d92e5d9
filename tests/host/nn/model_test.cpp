// Models: names, layout of theta, initial values, builder's and zoo's messages.
#include "curvseg/model.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <set>
#include <stdexcept>
#include <type_traits>

#include "curvseg/error.hpp"
#include "host/nn/message_of.hpp"
#include "host/nn/model_name.hpp"

namespace curvseg {
namespace {

std::vector<std::string> parameter_names(const Model& model) {
  std::vector<std::string> result;
  for (const Parameter& p : model.parameters()) result.push_back(p.name);
  return result;
}

TEST(Model, UnetNamesItsParameters) {
  EXPECT_EQ(parameter_names(zoo::unet(3, 2, {.width = 4, .depth = 1})),
            (std::vector<std::string>{
                "encoder1.conv1.weight", "encoder1.conv1.bias", "encoder1.conv2.weight",
                "encoder1.conv2.bias", "bottleneck.conv1.weight", "bottleneck.conv1.bias",
                "bottleneck.conv2.weight", "bottleneck.conv2.bias", "decoder1.up.weight",
                "decoder1.up.bias", "decoder1.conv1.weight", "decoder1.conv1.bias",
                "decoder1.conv2.weight", "decoder1.conv2.bias", "head.weight", "head.bias"}));
}

TEST(Model, ParameterShapes) {
  const Model model = zoo::unet(3, 5, {.width = 4, .depth = 1});
  using Extents = std::vector<std::int64_t>;
  EXPECT_EQ(model.parameters()[0].shape, (Extents{3, 3, 3, 4}));  // encoder1.conv1.weight
  EXPECT_EQ(model.parameters()[8].shape, (Extents{2, 2, 4, 8}));  // decoder1.up: writes 4, reads 8
  EXPECT_EQ(model.parameters()[9].shape, (Extents{4}));
  EXPECT_EQ(model.parameters()[10].shape, (Extents{3, 3, 8, 4}));  // decoder1.conv1, after concat
  EXPECT_EQ(model.parameters()[14].shape, (Extents{1, 1, 4, 5}));  // head
  const Model dense = zoo::classifier2(1, 10, 28, 28);
  EXPECT_EQ(dense.parameters()[4].shape, (Extents{1, 1, 7 * 7 * 64, 128}));
  const Model small = zoo::classifier3(3, 10, 32, 32, {.width = 3, .hidden = 7});
  EXPECT_EQ(zoo::classifier2(3, 10, 32, 32, {.width = 16}).name(),
            zoo::make("classifier2(width=16)", 3, 10, 32, 32).name());
  EXPECT_EQ(small.parameters()[0].shape, (Extents{3, 3, 3, 3}));
  EXPECT_EQ(small.parameters()[2].shape, (Extents{3, 3, 3, 6}));
  EXPECT_EQ(small.parameters()[6].shape, (Extents{1, 1, 4 * 4 * 12, 7}));
}

TEST(Model, ParametersAreAlignedAndDisjoint) {
  for (const std::string& name : zoo::names()) {
    const Model model = zoo::make(name, 3, 7, 32, 32);
    std::int64_t end = 0;
    std::set<std::string> seen;
    for (const Parameter& p : model.parameters()) {
      EXPECT_EQ(p.offset % 16, 0) << p.name;
      EXPECT_GE(p.offset, end) << p.name;
      std::int64_t size = 1;
      for (const std::int64_t extent : p.shape) size *= extent;
      EXPECT_EQ(p.size, size) << p.name;
      EXPECT_TRUE(seen.insert(p.name).second) << p.name;
      end = p.offset + p.size;
    }
    EXPECT_GE(model.parameter_count(), end);
    EXPECT_LT(model.parameter_count(), end + 16);
    EXPECT_EQ(model.classes(), 7);
    EXPECT_EQ(model.in_channels(), 3);
  }
}

TEST(Model, NameRebuildsIt) {
  for (const char* name : {"unet", "unet(width=7, depth=2)", "unet( transpose = false )", "fcn",
                           "fcn(width=9)", "segnet", "segnet(depth=2)", "classifier2",
                           "classifier3", "classifier2(width=3)", "classifier3(hidden=5)"}) {
    const Model model = zoo::make(name, 2, 5, 24, 24);
    const Model again = zoo::make(model.name(), 2, 5, 24, 24);
    EXPECT_EQ(model.name(), again.name());
    EXPECT_EQ(parameter_names(model), parameter_names(again));
    EXPECT_EQ(model.parameter_count(), again.parameter_count());
  }
  EXPECT_EQ(zoo::make("unet(depth=4)", 3, 2).name(), "unet(width=16, depth=4, transpose=true)");
  EXPECT_EQ(zoo::make("segnet", 3, 2).name(), "segnet(width=16, depth=3)");
  EXPECT_EQ(zoo::make("classifier3", 3, 2, 8, 8).name(), "classifier3(width=32, hidden=512)");
}

TEST(Model, ClassifiersHaveOneSizeSegmentersAny) {
  const Model classifier = zoo::classifier3(3, 10, 32, 24);
  EXPECT_TRUE(classifier.is_classifier());
  EXPECT_EQ(classifier.fixed_input(), (Shape{0, 32, 24, 3}));
  const Model segmenter = zoo::unet(1, 2);
  EXPECT_FALSE(segmenter.is_classifier());
  EXPECT_EQ(segmenter.fixed_input(), (Shape{0, 0, 0, 1}));
}

TEST(Model, WhatATemporaryTellsOutlivesIt) {
  static_assert(std::is_same_v<decltype(zoo::fcn(1, 2).parameters()), std::vector<Parameter>>);
  static_assert(std::is_same_v<decltype(zoo::fcn(1, 2).name()), std::string>);
  std::vector<std::string> names;
  for (const Parameter& p : zoo::fcn(1, 2).parameters()) names.push_back(p.name);
  EXPECT_EQ(names, parameter_names(zoo::fcn(1, 2)));
}

std::vector<float> initial_values(const Model& model, std::uint64_t seed) {
  const Device device = Device::open("host");
  const Stream stream(device);
  DeviceArray<float> theta(device, model.parameter_count());
  const std::vector<float> nothing(static_cast<std::size_t>(theta.size()), NAN);
  theta.upload(stream, nothing.data(), theta.size());
  model.initialise(stream, seed, {theta.data(), theta.size()});
  return theta.to_host(stream);
}

TEST(Model, InitialValuesHaveTheirVariance) {
  const Model model = zoo::unet(3, 3);
  const std::vector<float> theta = initial_values(model, 1);
  std::vector<bool> owned(theta.size(), false);
  for (const Parameter& p : model.parameters()) {
    double sum = 0.0, squares = 0.0;
    for (std::int64_t i = p.offset; i < p.offset + p.size; ++i) {
      const float value = theta[static_cast<std::size_t>(i)];
      sum += value;
      squares += static_cast<double>(value) * value;
      owned[static_cast<std::size_t>(i)] = true;
    }
    const double n = static_cast<double>(p.size);
    if (p.initialiser == Initialiser::kZero) {
      EXPECT_EQ(squares, 0.0) << p.name;
      continue;
    }
    const double variance = p.initialiser == Initialiser::kHeNormal
                                ? 2.0 / static_cast<double>(p.fan_in)
                                : 2.0 / static_cast<double>(p.fan_in + p.fan_out);
    EXPECT_NEAR(sum / n, 0.0, 5.0 * std::sqrt(variance / n)) << p.name;
    EXPECT_NEAR(squares / n / variance, 1.0, 8.0 / std::sqrt(n)) << p.name;
  }
  for (std::size_t i = 0; i < theta.size(); ++i)
    EXPECT_TRUE(owned[i] || theta[i] == 0.0f) << "padding at " << i;
}

TEST(Model, LayersBeforeAReluStartAsHeEtAl) {
  const Model model = zoo::unet(3, 3, {.width = 4, .depth = 1});
  for (const Parameter& p : model.parameters()) {
    if (p.shape.size() == 1) continue;
    const bool linear = p.name == "head.weight" || p.name == "decoder1.up.weight";
    EXPECT_EQ(p.initialiser, linear ? Initialiser::kGlorotUniform : Initialiser::kHeNormal)
        << p.name;
  }
  EXPECT_EQ(model.parameters()[0].fan_in, 27);
  EXPECT_EQ(model.parameters()[8].fan_in, 8);  // a 2x2 filter at stride 2: one tap an output
  ModelBuilder b("separate", 1);
  const Model separate = b.build(b.relu(b.conv(b.input(), {.k = 2, .relu = false})));
  EXPECT_EQ(separate.parameters()[0].initialiser, Initialiser::kHeNormal);
}

TEST(Model, SeedsAndParametersHaveTheirOwnNumbers) {
  const Model model = zoo::segnet(3, 3, 4, 1);
  const std::vector<float> one = initial_values(model, 1);
  EXPECT_EQ(one, initial_values(model, 1));
  EXPECT_NE(one, initial_values(model, 2));
  const auto& p = model.parameters();  // encoder1.conv2 and decoder1.conv1: same shape and scale
  ASSERT_EQ(p[2].shape, p[4].shape);
  EXPECT_FALSE(std::equal(one.begin() + p[2].offset, one.begin() + p[2].offset + p[2].size,
                          one.begin() + p[4].offset));
}

// ---- messages ----------------------------------------------------------------------------------

std::string make_message(const char* name) {
  return message_of<InputError>([&] { zoo::make(name, 3, 2, 4, 4); });
}

TEST(ZooMessages, SayWhatThereIs) {
  EXPECT_EQ(make_message("vnet"),
            "there is no model \"vnet\"; there are: unet, fcn, segnet, classifier3, classifier2");
  EXPECT_EQ(make_message("unet(widht=3)"),
            "unet has no option \"widht\"; it has: width, depth, transpose");
  EXPECT_EQ(make_message("classifier2(depth=3)"),
            "classifier2 has no option \"depth\"; it has: width, hidden");
  EXPECT_EQ(make_message("unet(depth=9)"), "unet: depth is 9, it takes a whole number from 1 to 8");
  EXPECT_EQ(make_message("unet(width=a)"),
            "unet: width is a, it takes a whole number from 1 to 1024");
  EXPECT_EQ(make_message("classifier2(hidden=0)"),
            "classifier2: hidden is 0, it takes a whole number from 1 to 65536");
  EXPECT_EQ(make_message("unet(transpose=1)"), "unet: transpose is 1, it takes true or false");
  EXPECT_EQ(make_message("unet(width=2, width=3)"),
            "the model \"unet(width=2, width=3)\" has width twice");
  EXPECT_EQ(make_message("classifier3"),
            "max_pool3: a window of 2x2 does not fit its input of 1x1; use larger images or fewer "
            "poolings");
  for (const char* malformed : {"", "(width=2)", "unet(width=2", "unet(width)", "unet(=2)",
                                "unet(width=2,)", "unet(width=2) x"})
    EXPECT_EQ(make_message(malformed), "the model \"" + std::string(malformed) +
                                           "\" is not of the form name or name(option=value, ...)");
}

TEST(BuilderMessages, NameTheLayer) {
  const auto refused = [](auto build) {
    ModelBuilder b("net", 3);
    return message_of<std::invalid_argument>([&] { build(b); });
  };
  EXPECT_EQ(refused([](ModelBuilder& b) { b.conv(4, {.name = "c", .k = 2}); }),
            "c: there is no node 4, there are 1");
  EXPECT_EQ(refused([](ModelBuilder& b) { b.conv(0, {.name = "c"}); }),
            "c: it has 0 output channels");
  EXPECT_EQ(refused([](ModelBuilder& b) {
              b.conv(b.conv(0, {.name = "c", .k = 2}), {.name = "c", .k = 2});
            }),
            "c: there is a layer of this name already");
  EXPECT_EQ(refused([](ModelBuilder& b) { b.add(b.conv(0, {.name = "c", .k = 2}), 0); }),
            "add1: c has 2 channels, input has 3");
  EXPECT_EQ(refused([](ModelBuilder& b) { b.dense(0, 4, true); }),
            "dense1: a dense layer needs images of one size, and net was begun for any size");
  EXPECT_EQ(refused([](ModelBuilder& b) {
              const int used = b.conv(0, {.name = "used", .k = 2});
              b.conv(0, {.name = "idle", .k = 2});
              b.build(used);
            }),
            "idle: it does not lead to the output, used");
  EXPECT_EQ(refused([](ModelBuilder& b) { b.max_pool(0, {.r = 0}); }),
            "max_pool1: pool_output_shape: the window is empty");
  EXPECT_EQ(refused([](ModelBuilder& b) { b.build(0); }), "net: its output is its input");
}

TEST(BuilderMessages, LayersAreNumberedAroundGivenNames) {
  ModelBuilder b("net", 1);
  int x = b.conv(b.input(), {.name = "conv1", .k = 2});
  x = b.conv(x, {.k = 2});
  EXPECT_EQ(b.build(x).parameters()[2].name, "conv2.weight");
}

}  // namespace
}  // namespace curvseg
