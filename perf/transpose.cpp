// Transposed copies of the matrices that SOAP turns: GB/s and the part of the measured triad
// bandwidth.
#include <string>
#include <vector>

#include "perf/support/recipe.hpp"
#include "target.hpp"

namespace curvseg::perf {
namespace {

/// Tensor 0 is [batch, rows, columns] as x = [n, h, 1, c], tensor 1 the transposed copy.
Recipe transpose_recipe(const Shape& x) {
  Recipe r;
  r.tensors = {x, {x.n, x.c, 1, x.h}};
  r.bytes = 2.0 * sizeof(float) * static_cast<double>(x.elements());
  r.run = [x](const Stream& stream, Set& s) {
    const CurrentDevice current(stream.device());
    stream.device().target().kernels->transpose(stream.native(),
                                                {x.n, x.h, x.c, s[0].data(), s[1].data()});
  };
  r.result = 1;
  r.expected = [r, x] {
    const std::vector<float> from = r.start(0);
    std::vector<double> to;
    for (int b = 0; b < x.n; ++b)
      for (int j = 0; j < x.c; ++j)
        for (int i = 0; i < x.h; ++i)
          to.push_back(from[(static_cast<std::size_t>(b) * static_cast<std::size_t>(x.h) +
                             static_cast<std::size_t>(i)) *
                                static_cast<std::size_t>(x.c) +
                            static_cast<std::size_t>(j)]);
    return to;
  };
  return r;
}

}  // namespace

void register_benchmarks() {
  for (const Shape& x : {Shape{9, 16, 1, 16}, Shape{9, 64, 1, 64}, Shape{9, 128, 1, 128},
                         Shape{9, 256, 1, 128}, Shape{1, 2304, 1, 256}, Shape{9, 37, 1, 21}})
    add_recipe(
        "transpose/" + std::to_string(x.n) + "x" + std::to_string(x.h) + "x" + std::to_string(x.c),
        transpose_recipe, x);
}

}  // namespace curvseg::perf
