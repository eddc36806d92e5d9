// The public convolutions against the double reference, on every target: shapes, workspaces,
// terms and the mapping of a transposed convolution onto the convolution it is the adjoint of.
#include "reference/conv2d.hpp"

#include <algorithm>

#include "curvseg/ops.hpp"
#include "support/random_data.hpp"
#include "support/targets.hpp"

namespace curvseg::testing {
namespace {

using reference::Conv2d;
using reference::Sums;

std::vector<Conv2d> cases() {
  return {
      {1, 1, 1, 1, 1, 1, 1},       {2, 7, 5, 3, 4, 3, 3, 1, 1, 1, 1},
      {1, 9, 8, 5, 6, 2, 2, 2, 2}, {1, 11, 10, 3, 5, 3, 3, 2, 1, 3, 2, 3, 2},
      {3, 5, 6, 17, 9, 1, 1},      {0, 5, 5, 3, 4, 3, 3, 1, 1, 1, 1},
  };
}

Shape x_shape(const Conv2d& g) { return {g.n, g.h, g.w, g.c}; }
Shape y_shape(const Conv2d& g) { return {g.n, g.p(), g.q(), g.k}; }
Conv2dGeometry geometry(const Conv2d& g) {
  return {g.stride_h, g.stride_w, g.pad_h, g.pad_w, g.dilation_h, g.dilation_w};
}
ConstFilterView filter(const Conv2d& g, const float* w) { return {w, g.r, g.s, g.c, g.k}; }
FilterView filter(const Conv2d& g, float* w) { return {w, g.r, g.s, g.c, g.k}; }

/// Where the filter's last tap is still on the padded line, counted one by one.
int positions(int in, int filter, int stride, int pad, int dilation) {
  int count = 0;
  for (int first = -pad; first + dilation * (filter - 1) < in + pad; first += stride) ++count;
  return count;
}

TEST(Conv2dOutputShape, CountsThePositionsOfTheFilter) {
  int empty = 0;
  for (int in = 1; in < 9; ++in)
    for (int r = 1; r < 5; ++r)
      for (int stride = 1; stride < 4; ++stride)
        for (int pad = 0; pad < 3; ++pad)
          for (int dilation = 1; dilation < 4; ++dilation) {
            SCOPED_TRACE(std::to_string(in) + " " + std::to_string(r) + " " +
                         std::to_string(stride) + " " + std::to_string(pad) + " " +
                         std::to_string(dilation));
            const ConstFilterView rows(nullptr, r, 1, 3, 5), columns(nullptr, 1, r, 3, 5);
            const int expected = positions(in, r, stride, pad, dilation);
            EXPECT_EQ(
                conv2d_output_shape({2, in, 4, 3}, rows,
                                    {.stride_h = stride, .pad_h = pad, .dilation_h = dilation}),
                (Shape{2, expected, 4, 5}));
            EXPECT_EQ(
                conv2d_output_shape({2, 4, in, 3}, columns,
                                    {.stride_w = stride, .pad_w = pad, .dilation_w = dilation}),
                (Shape{2, 4, expected, 5}));
            empty += expected == 0;
          }
  EXPECT_GT(empty, 0);
}

class Conv2dOperations : public TargetTest {
 protected:
  Device device() const { return Device::open(GetParam()); }
  Stream queue() const { return Stream::wrap(device(), stream()); }

  /// Every case, with whole numbers, then with others.
  template <class Test>
  void for_all(Test test) const {
    for (const bool exact : {true, false})
      for (const Conv2d& g : cases()) {
        SCOPED_TRACE(to_string(x_shape(g)) + " to " + to_string(y_shape(g)) +
                     (exact ? ", whole numbers" : ""));
        test(
            g,
            [exact](std::size_t n, unsigned seed) {
              return exact ? small_integers(n, seed) : uniform_floats(n, seed);
            },
            exact);
      }
  }
  DeviceBuffer<float> scratch(std::size_t bytes) const {
    return workspace(static_cast<std::int64_t>(bytes / sizeof(float)));
  }
  static Workspace all_of(const DeviceBuffer<float>& memory) {
    return {memory.get(), memory.size() * sizeof(float)};
  }
  static void expect_sums(const std::vector<float>& actual, const Sums& sums, bool exact) {
    const bool empty =
        std::all_of(sums.terms.begin(), sums.terms.end(), [](int n) { return n == 0; });
    if (empty)  // of no images: nothing but zeros, which expect_equal() mistrusts
      EXPECT_EQ(actual, std::vector<float>(sums.value.size(), 0.0f));
    else if (exact)
      expect_equal(actual, sums.value);
    else
      expect_within(actual, sums.value, sums.bound());
  }
};

TEST_P(Conv2dOperations, BackwardWeights) {
  for_all([this](const Conv2d& g, auto data, bool exact) {
    const auto x = data(g.x_size(), 1), dy = data(g.y_size(), 2);
    const auto x2 = data(g.x_size(), 3), dy2 = data(g.y_size(), 4);
    const auto on_x = upload(x), on_dy = upload(dy), on_x2 = upload(x2), on_dy2 = upload(dy2);
    const auto dw = output<float>(g.w_size());
    const auto memory = scratch(conv2d_backward_weights_workspace(
        device(), x_shape(g), filter(g, static_cast<const float*>(nullptr)), geometry(g)));
    Sums expected(g.w_size());
    reference::backward_weights(g, x, dy, expected);
    conv2d_backward_weights(queue(), ConstTensorView(on_x.get(), x_shape(g)),
                            ConstTensorView(on_dy.get(), y_shape(g)), geometry(g), false,
                            all_of(memory), filter(g, dw.get()));
    expect_sums(download(dw), expected, exact);

    // Once more on top, and a second term.
    const Conv2dGradientOperands terms[] = {
        {{on_x.get(), x_shape(g)}, {on_dy.get(), y_shape(g)}},
        {{on_x2.get(), x_shape(g)}, {on_dy2.get(), y_shape(g)}}};
    reference::backward_weights(g, x, dy, expected);
    reference::backward_weights(g, x2, dy2, expected);
    conv2d_backward_weights(queue(), terms, geometry(g), true, all_of(memory), filter(g, dw.get()));
    expect_sums(download(dw), expected, exact);
  });
}

TEST_P(Conv2dOperations, TransposeForward) {
  for_all([this](const Conv2d& g, auto data, bool exact) {
    const auto x = data(g.y_size(), 1), w = data(g.w_size(), 2);
    const auto bias = data(static_cast<std::size_t>(g.c), 3);
    const auto on_x = upload(x), on_w = upload(w), on_bias = upload(bias);
    const auto y = output<float>(g.x_size());
    const auto memory = scratch(conv2d_transpose_forward_workspace(
        device(), x_shape(g), filter(g, static_cast<const float*>(on_w.get())), geometry(g)));
    Sums expected(g.x_size());
    reference::backward_data(g, x, w, expected);
    for (std::size_t i = 0; i < g.x_size(); ++i)
      expected.add(i, static_cast<double>(bias[i % bias.size()]));
    const Conv2dOperands term{{on_x.get(), y_shape(g)},
                              filter(g, static_cast<const float*>(on_w.get()))};
    const ConstVectorView b{on_bias.get(), g.c};
    conv2d_transpose_forward(queue(), {&term, 1}, {.geometry = geometry(g), .bias = b},
                             all_of(memory), {y.get(), x_shape(g)});
    expect_sums(download(y), expected, exact);
    for (double& value : expected.value) value = std::max(value, 0.0);
    conv2d_transpose_forward(queue(), {&term, 1},
                             {.geometry = geometry(g), .bias = b, .relu = true}, all_of(memory),
                             {y.get(), x_shape(g)});
    expect_sums(download(y), expected, exact);
  });
}

TEST_P(Conv2dOperations, TransposeBackwardData) {
  for_all([this](const Conv2d& g, auto data, bool exact) {
    const auto dy = data(g.x_size(), 1), w = data(g.w_size(), 2), mask = data(g.y_size(), 3);
    const auto on_dy = upload(dy), on_w = upload(w), on_mask = upload(mask);
    const auto dx = output<float>(g.y_size());
    const auto memory = scratch(conv2d_transpose_backward_data_workspace(
        device(), x_shape(g), filter(g, static_cast<const float*>(on_w.get())), geometry(g)));
    Sums expected(g.y_size());
    reference::forward(g, dy, w, expected);
    const Conv2dOperands term{{on_dy.get(), x_shape(g)},
                              filter(g, static_cast<const float*>(on_w.get()))};
    conv2d_transpose_backward_data(queue(), {&term, 1}, {.geometry = geometry(g)}, all_of(memory),
                                   {dx.get(), y_shape(g)});
    expect_sums(download(dx), expected, exact);
    for (std::size_t i = 0; i < mask.size(); ++i)
      if (!(mask[i] > 0.0f)) expected.value[i] = 0.0;
    conv2d_transpose_backward_data(queue(), {&term, 1},
                                   {.geometry = geometry(g), .mask = {on_mask.get(), y_shape(g)}},
                                   all_of(memory), {dx.get(), y_shape(g)});
    expect_sums(download(dx), expected, exact);
  });
}

TEST_P(Conv2dOperations, TransposeBackwardWeights) {
  for_all([this](const Conv2d& g, auto data, bool exact) {
    const auto x = data(g.y_size(), 1), dy = data(g.x_size(), 2);
    const auto on_x = upload(x), on_dy = upload(dy);
    const auto dw = output<float>(g.w_size());
    const auto memory = scratch(conv2d_transpose_backward_weights_workspace(
        device(), x_shape(g), filter(g, static_cast<const float*>(nullptr)), geometry(g)));
    Sums expected(g.w_size());
    reference::backward_weights(g, dy, x, expected);
    const Conv2dGradientOperands term{{on_x.get(), y_shape(g)}, {on_dy.get(), x_shape(g)}};
    conv2d_transpose_backward_weights(queue(), {&term, 1}, geometry(g), false, all_of(memory),
                                      filter(g, dw.get()));
    expect_sums(download(dw), expected, exact);
  });
}

TEST_P(Conv2dOperations, EveryAlgorithmMakesDoWithTheWorkspaceOfItsQuery) {
  const Conv2d g{1, 5, 6, 33, 34, 3, 3, 1, 1, 1, 1};
  const auto x = small_integers(g.x_size(), 1), w = small_integers(g.w_size(), 2);
  const auto dy = small_integers(g.y_size(), 3);
  const auto on_x = upload(x), on_w = upload(w), on_dy = upload(dy);
  const ConstFilterView filters = filter(g, static_cast<const float*>(on_w.get()));
  Sums y(g.y_size()), dx(g.x_size()), dw(g.w_size());
  reference::forward(g, x, w, y);
  reference::backward_data(g, dy, w, dx);
  reference::backward_weights(g, x, dy, dw);
  for (const ConvAlgorithm algorithm :
       {ConvAlgorithm::kAutomatic, ConvAlgorithm::kDirect, ConvAlgorithm::kWinograd}) {
    SCOPED_TRACE(static_cast<int>(algorithm));
    Conv2dGeometry by = geometry(g);
    by.algorithm = algorithm;
    const auto to_y = output<float>(g.y_size()), to_dx = output<float>(g.x_size());
    const auto to_dw = output<float>(g.w_size());
    const auto forward = scratch(conv2d_forward_workspace(device(), x_shape(g), filters, by));
    conv2d_forward(queue(), ConstTensorView(on_x.get(), x_shape(g)), filters, {.geometry = by},
                   all_of(forward), {to_y.get(), y_shape(g)});
    expect_sums(download(to_y), y, true);
    const auto data = scratch(conv2d_backward_data_workspace(device(), x_shape(g), filters, by));
    conv2d_backward_data(queue(), ConstTensorView(on_dy.get(), y_shape(g)), filters,
                         {.geometry = by}, all_of(data), {to_dx.get(), x_shape(g)});
    expect_sums(download(to_dx), dx, true);
    const auto weights =
        scratch(conv2d_backward_weights_workspace(device(), x_shape(g), filters, by));
    conv2d_backward_weights(queue(), ConstTensorView(on_x.get(), x_shape(g)),
                            ConstTensorView(on_dy.get(), y_shape(g)), by, false, all_of(weights),
                            filter(g, to_dw.get()));
    expect_sums(download(to_dw), dw, true);
  }
}

TEST_P(Conv2dOperations, BackwardBiasOfNoChannels) {
  const ConstTensorView dy(nullptr, {2, 8, 8, 0});
  EXPECT_EQ(conv2d_backward_bias_workspace(device(), dy.shape), 0U);
  for (const bool accumulate : {false, true}) {
    conv2d_backward_bias(queue(), dy, accumulate, {}, {nullptr, 0});
    conv2d_backward_bias_squared(queue(), dy, accumulate, {}, {nullptr, 0});
  }
  synchronise();
}

CURVSEG_INSTANTIATE_TARGETS(Conv2dOperations);

}  // namespace
}  // namespace curvseg::testing
