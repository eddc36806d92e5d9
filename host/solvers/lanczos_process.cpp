#include "host/solvers/lanczos_process.hpp"

#include <cmath>
#include <utility>

#include "curvseg/error.hpp"
#include "host/solvers/vector_ops.hpp"

namespace curvseg {

LanczosProcess::LanczosProcess(const Stream& stream, std::string name, std::int64_t size,
                               int max_steps)
    : stream_(stream),
      name_(std::move(name)),
      max_steps_(max_steps),
      basis_(stream, size, max_steps + 1),
      scalars_(stream.device(), 2 * std::int64_t{max_steps} + 1),
      read_(static_cast<std::size_t>(scalars_.size())),
      diagonal_(static_cast<std::size_t>(max_steps)),
      beside_(static_cast<std::size_t>(max_steps)) {
  fill(stream_, {scalars_.data(), scalars_.size()}, 0.0f);
}

void LanczosProcess::begin(int at, std::uint64_t seed, std::uint64_t index, ConstVectorView mask) {
  random_signs(stream_, seed, index, mask, basis_.vector(at));
  basis_.orthonormalise(at, scalars_.data() + 2 * std::int64_t{max_steps_});
}

void LanczosProcess::step(const LinearMap& a, int j) {
  a(basis_.vector(j), basis_.vector(j + 1));
  basis_.orthonormalise(j + 1, scalars_.data() + max_steps_ + j);
  basis_.copy_coefficient(j, scalars_.data() + j);
}

void LanczosProcess::read(int from, int to) {
  scalars_.download(stream_, read_.data(), scalars_.size());
  stream_.synchronise();
  for (auto j = static_cast<std::size_t>(from); j < static_cast<std::size_t>(to); ++j) {
    diagonal_[j] = static_cast<double>(read_[j]);
    beside_[j] = static_cast<double>(read_[j + static_cast<std::size_t>(max_steps_)]);
    if (!std::isfinite(diagonal_[j]) || !std::isfinite(beside_[j]))
      throw Error(name_ + ": the product of step " + std::to_string(j + 1) + " is not finite");
  }
}

bool LanczosProcess::began() {
  scalars_.download(stream_, read_.data(), scalars_.size());
  stream_.synchronise();
  return read_.back() != 0.0f;
}

}  // namespace curvseg
