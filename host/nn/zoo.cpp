#include <stdexcept>

#include "curvseg/error.hpp"
#include "curvseg/model.hpp"
#include "host/nn/model_name.hpp"

namespace curvseg::zoo {
namespace {

constexpr int kMaxWidth = 1024;
constexpr int kMaxDepth = 8;
constexpr int kMaxHidden = 65536;
constexpr int kHidden3 = 512, kHidden2 = 128;  // by default

std::string number(int i) { return std::to_string(i); }

void check(const std::string& model, const char* what, int value, int high) {
  if (value < 1 || value > high)
    throw std::invalid_argument(model + ": " + what + " is " + number(value) +
                                ", it takes a whole number from 1 to " + number(high));
}

/// Two 3x3 convolutions with ReLU.
int two_convs(ModelBuilder& b, int x, int k, const std::string& name) {
  x = b.conv(x, {.name = name + ".conv1", .k = k});
  return b.conv(x, {.name = name + ".conv2", .k = k});
}

/// 1x1, linear: one score a class.
int scores(ModelBuilder& b, int x, int classes, const std::string& name) {
  return b.conv(x, {.name = name, .k = classes, .r = 1, .s = 1, .relu = false});
}

int double_size(ModelBuilder& b, int x, int like, int k, const UnetOptions& options,
                const std::string& name) {
  if (options.transpose)
    return b.conv_transpose(x, {.name = name, .k = k, .r = 2, .s = 2, .stride = 2, .relu = false},
                            like);
  return b.conv(b.upsample(x, like), {.name = name, .k = k, .relu = false});
}

/// `convolutions` times a 3x3 convolution and a pooling, then two dense layers.
Model classifier(const std::string& family, int in_channels, int classes, int image_h, int image_w,
                 int convolutions, int hidden, ClassifierOptions options) {
  if (options.hidden == 0) options.hidden = hidden;
  check(family, "width", options.width, kMaxWidth);
  check(family, "hidden", options.hidden, kMaxHidden);
  const std::string name =
      family + "(width=" + number(options.width) + ", hidden=" + number(options.hidden) + ")";
  if (image_h < 1 || image_w < 1)
    throw InputError(name + ": it is made for images of one size, and was given " +
                     number(image_h) + "x" + number(image_w));
  ModelBuilder b(name, in_channels, image_h, image_w);
  int x = b.input();
  for (int i = 0; i < convolutions; ++i) {
    x = b.conv(x, {.name = "conv" + number(i + 1), .k = options.width << i});
    x = b.max_pool(x);
  }
  x = b.dense(x, options.hidden, true, "dense1");
  return b.build(b.dense(x, classes, false, "head"));
}

}  // namespace

Model unet(int in_channels, int classes, const UnetOptions& options) {
  check("unet", "width", options.width, kMaxWidth);
  check("unet", "depth", options.depth, kMaxDepth);
  ModelBuilder b("unet(width=" + number(options.width) + ", depth=" + number(options.depth) +
                     ", transpose=" + (options.transpose ? "true" : "false") + ")",
                 in_channels);
  int x = b.input();
  std::vector<int> skips;
  for (int level = 1; level <= options.depth; ++level) {
    x = two_convs(b, x, options.width << (level - 1), "encoder" + number(level));
    skips.push_back(x);
    x = b.max_pool(x);
  }
  x = two_convs(b, x, options.width << options.depth, "bottleneck");
  for (int level = options.depth; level >= 1; --level) {
    const std::string name = "decoder" + number(level);
    const int skip = skips[static_cast<std::size_t>(level) - 1];
    const int k = options.width << (level - 1);
    // The skip comes first: it is rectified, and a convolution can mask the first channels of a
    // gradient, see Conv2dBackwardDataOptions.
    x = b.concat(skip, double_size(b, x, skip, k, options, name + ".up"));
    x = two_convs(b, x, k, name);
  }
  return b.build(scores(b, x, classes, "head"));
}

Model fcn(int in_channels, int classes, int width) {
  check("fcn", "width", width, kMaxWidth);
  ModelBuilder b("fcn(width=" + number(width) + ")", in_channels);
  constexpr int kLevels = 3;
  int x = b.input();
  int pooled[kLevels];
  for (int level = 1; level <= kLevels; ++level) {
    x = two_convs(b, x, width << (level - 1), "encoder" + number(level));
    x = pooled[level - 1] = b.max_pool(x);
  }
  x = b.conv(x, {.name = "bottleneck.conv1", .k = width << kLevels});
  x = scores(b, x, classes, "score3");
  for (int level = kLevels - 1; level >= 1; --level) {
    const int score = scores(b, pooled[level - 1], classes, "score" + number(level));
    const int up = b.conv_transpose(
        x, {.name = "up" + number(level), .k = classes, .r = 4, .s = 4, .stride = 2, .relu = false},
        score);
    x = b.add(score, up);
  }
  return b.build(b.upsample(x, b.input()));
}

Model segnet(int in_channels, int classes, int width, int depth) {
  check("segnet", "width", width, kMaxWidth);
  check("segnet", "depth", depth, kMaxDepth);
  ModelBuilder b("segnet(width=" + number(width) + ", depth=" + number(depth) + ")", in_channels);
  int x = b.input();
  std::vector<int> sizes;
  for (int level = 1; level <= depth; ++level) {
    x = two_convs(b, x, width << (level - 1), "encoder" + number(level));
    sizes.push_back(x);
    x = b.max_pool(x);
  }
  for (int level = depth; level >= 1; --level) {
    x = b.upsample(x, sizes[static_cast<std::size_t>(level) - 1]);
    const std::string name = "decoder" + number(level);
    x = b.conv(x, {.name = name + ".conv1", .k = width << (level - 1)});
    // The next level has half the channels, so the step down is here, before the up-sampling.
    x = b.conv(x, {.name = name + ".conv2", .k = width << (level > 1 ? level - 2 : 0)});
  }
  return b.build(scores(b, x, classes, "head"));
}

Model classifier3(int in_channels, int classes, int image_h, int image_w,
                  const ClassifierOptions& options) {
  return classifier("classifier3", in_channels, classes, image_h, image_w, 3, kHidden3, options);
}

Model classifier2(int in_channels, int classes, int image_h, int image_w,
                  const ClassifierOptions& options) {
  return classifier("classifier2", in_channels, classes, image_h, image_w, 2, kHidden2, options);
}

std::vector<std::string> names() { return {"unet", "fcn", "segnet", "classifier3", "classifier2"}; }

Model make(std::string_view text, int in_channels, int classes, int image_h, int image_w) {
  const ModelName name = ModelName::parse(text);
  ModelOptions options(name);
  if (name.family == "unet") {
    const UnetOptions o{.width = options.whole_number("width", 16, 1, kMaxWidth),
                        .depth = options.whole_number("depth", 3, 1, kMaxDepth),
                        .transpose = options.flag("transpose", true)};
    options.done();
    return unet(in_channels, classes, o);
  }
  if (name.family == "fcn") {
    const int width = options.whole_number("width", 16, 1, kMaxWidth);
    options.done();
    return fcn(in_channels, classes, width);
  }
  if (name.family == "segnet") {
    const int width = options.whole_number("width", 16, 1, kMaxWidth);
    const int depth = options.whole_number("depth", 3, 1, kMaxDepth);
    options.done();
    return segnet(in_channels, classes, width, depth);
  }
  if (name.family == "classifier3" || name.family == "classifier2") {
    const bool three = name.family == "classifier3";
    const ClassifierOptions o{
        .width = options.whole_number("width", 32, 1, kMaxWidth),
        .hidden = options.whole_number("hidden", three ? kHidden3 : kHidden2, 1, kMaxHidden)};
    options.done();
    return three ? classifier3(in_channels, classes, image_h, image_w, o)
                 : classifier2(in_channels, classes, image_h, image_w, o);
  }
  std::string list;
  for (const std::string& known : names()) list += (list.empty() ? "" : ", ") + known;
  throw InputError("there is no model \"" + name.family + "\"; there are: " + list);
}

}  // namespace curvseg::zoo
