#include <stdexcept>
#include <string>

#include "curvseg/curvature.hpp"
#include "curvseg/ops.hpp"

namespace curvseg {

void gauss_newton_bartlett_diagonal(const Stream& stream, BatchLoss& loss,
                                    const BartlettOptions& options, VectorView diagonal) {
  const std::string name = "gauss_newton_bartlett_diagonal: ";
  if (options.samples < 1)
    throw std::invalid_argument(name + "there are " + std::to_string(options.samples) +
                                " samples, it takes at least 1");
  if (diagonal.size != loss.theta().size)
    throw std::invalid_argument(name + "the diagonal has " + std::to_string(diagonal.size) +
                                " elements, theta " + std::to_string(loss.theta().size));
  const unsigned long long number = options.seed;
  DeviceArray<unsigned long long> seed(stream.device(), 1);
  seed.upload(stream, &number, 1);
  DeviceArray<float> grad(stream.device(), diagonal.size);
  const VectorView g{grad.data(), grad.size()};
  const float share = 1.0f / static_cast<float>(options.samples);
  for (int i = 0; i < options.samples; ++i) {
    loss.sampled_gradient({seed.data(), static_cast<std::uint64_t>(i)}, g);
    multiply(stream, g, g, share, /*accumulate=*/i > 0, diagonal);
  }
  linear_combination(stream, {{diagonal, 1.0f, loss.denominator()}}, diagonal);
  stream.synchronise();  // its memory goes
}

}  // namespace curvseg
