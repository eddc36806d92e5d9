// Runs the convolution kernels on a target, for the tests of this folder.
#pragma once

#include <string>
#include <vector>

#include "reference/conv2d.hpp"
#include "support/pixels.hpp"
#include "support/random_data.hpp"

namespace curvseg::testing {

using reference::Conv2d;

struct Conv2dCase {
  std::string name;
  Conv2d g;
};

inline Conv2dProblem problem_of(const Conv2d& g) {
  Conv2dProblem p;
  p.n = g.n, p.h = g.h, p.w = g.w, p.c = g.c;
  p.p = g.p(), p.q = g.q(), p.k = g.k, p.r = g.r, p.s = g.s;
  p.stride_h = g.stride_h, p.stride_w = g.stride_w, p.pad_h = g.pad_h, p.pad_w = g.pad_w;
  p.dilation_h = g.dilation_h, p.dilation_w = g.dilation_w;
  return p;
}

inline std::vector<float> integers(std::size_t n, unsigned seed) {
  return small_integers(n, seed, 3);
}

class Conv2dTest : public PixelTest {
 protected:
  struct Extra {
    int terms = 1;
    PixelLayout layout = {};
    Conv2dEpilogue epilogue = {};
    ConvAlgorithm algorithm = ConvAlgorithm::kDirect;
    const std::vector<float>* initial = nullptr;  // of the output, for accumulation
  };

  std::vector<float> run_gather(const Conv2d& g, Conv2dDirection direction,
                                const std::vector<std::vector<float>>& sources,
                                const std::vector<std::vector<float>>& filters,
                                const Extra& extra) const {
    const bool forward = direction == Conv2dDirection::kForward;
    const int in_channels = forward ? g.c : g.k, out_channels = forward ? g.k : g.c;
    std::vector<PixelBuffer> tensors;
    std::vector<DeviceBuffer<float>> weights;
    Conv2dGather p;
    p.problem = problem_of(g);
    p.problem.algorithm = extra.algorithm;
    p.direction = direction;
    p.terms = extra.terms;
    for (int t = 0; t < extra.terms; ++t) {
      const auto i = static_cast<std::size_t>(t);
      const auto& source =
          tensors.emplace_back(upload_pixels(sources[i], in_channels, extra.layout));
      const auto& w = weights.emplace_back(upload(filters[i]));
      p.term[t] = {source.get(), source.ld(), w.get()};
    }
    const std::size_t size = forward ? g.y_size() : g.x_size();
    const auto out = extra.initial ? upload_pixels(*extra.initial, out_channels, extra.layout)
                                   : output_pixels(size, out_channels, extra.layout);
    p.epilogue = extra.epilogue;
    p.out = out.get();
    p.ld_out = out.ld();
    auto scratch = workspace(kernels().conv2d_gather_workspace(p));
    p.workspace = scratch.get();
    kernels().conv2d_gather(stream(), p);
    return download_pixels(out);
  }

  std::vector<float> run_weights(const Conv2d& g, const std::vector<std::vector<float>>& x,
                                 const std::vector<std::vector<float>>& dy, PixelLayout layout,
                                 const std::vector<float>* initial,
                                 ConvAlgorithm algorithm = ConvAlgorithm::kDirect) const {
    std::vector<PixelBuffer> tensors;
    Conv2dWeightGradient p;
    p.problem = problem_of(g);
    p.problem.algorithm = algorithm;
    p.terms = static_cast<int>(x.size());
    for (std::size_t t = 0; t < x.size(); ++t) {
      const auto& xt = tensors.emplace_back(upload_pixels(x[t], g.c, layout));
      p.term[t].x = xt.get();
      p.term[t].ldx = xt.ld();
      const auto& dyt = tensors.emplace_back(upload_pixels(dy[t], g.k, layout));
      p.term[t].dy = dyt.get();
      p.term[t].ldy = dyt.ld();
    }
    auto dw = initial ? upload(*initial) : output<float>(g.w_size());
    p.accumulate = initial != nullptr;
    p.dw = dw.get();
    auto scratch = workspace(kernels().conv2d_weight_workspace(p));
    p.workspace = scratch.get();
    kernels().conv2d_weight_gradient(stream(), p);
    return download(dw);
  }
};

}  // namespace curvseg::testing
