#include "host/optim/gradient_norm.hpp"

#include <stdexcept>
#include <string>

#include "kernels/target.hpp"

namespace curvseg {
namespace {

SquaredNorm parameters(const float* x, std::int64_t n) {
  SquaredNorm p;
  p.x = x;
  p.n = n;
  return p;
}

}  // namespace

GradientNorm::GradientNorm(const Device& device, std::int64_t elements)
    : elements_(elements),
      workspace_(device,
                 device.target().kernels->squared_norm_workspace(parameters(nullptr, elements))) {}

void GradientNorm::compute(const Stream& stream, ConstVectorView grad, float* squared_norm) {
  if (grad.size != elements_)
    throw std::invalid_argument("gradient norm: grad has " + std::to_string(grad.size) +
                                " elements, the workspace was made for " +
                                std::to_string(elements_));
  SquaredNorm p = parameters(grad.data, grad.size);
  p.norm = squared_norm;
  p.workspace = workspace_.data();
  const CurrentDevice current(stream.device());
  stream.device().target().kernels->squared_norm(stream.native(), p);
}

}  // namespace curvseg
