#include "perf/support/data.hpp"

#include <cmath>
#include <stdexcept>

namespace curvseg::perf {

std::vector<float> whole_numbers(std::int64_t count, unsigned seed) {
  std::uint32_t state = seed;  // Numerical Recipes' generator: there may be gigabytes to fill
  std::vector<float> result(static_cast<std::size_t>(count));
  for (float& value : result) {
    state = state * 1664525u + 1013904223u;
    value = static_cast<float>(static_cast<int>((state >> 16) % 7) - 3);
  }
  return result;
}

Tensor random_tensor(const Stream& stream, const Shape& shape, unsigned seed) {
  Tensor tensor(stream.device(), shape);
  tensor.upload(stream, whole_numbers(shape.elements(), seed));
  stream.synchronise();
  return tensor;
}

DeviceArray<float> random_vector(const Stream& stream, std::int64_t count, unsigned seed) {
  DeviceArray<float> vector(stream.device(), count);
  const std::vector<float> values = whole_numbers(count, seed);
  vector.upload(stream, values.data(), count);
  stream.synchronise();
  return vector;
}

void require_close(const std::string& what, const std::vector<float>& actual,
                   const std::vector<double>& expected, const std::vector<double>& bound) {
  if (actual.size() != expected.size())
    throw std::runtime_error(what + ": " + std::to_string(actual.size()) +
                             " numbers, the reference "
                             "has " +
                             std::to_string(expected.size()));
  for (std::size_t i = 0; i < actual.size(); ++i)
    if (!(std::fabs(static_cast<double>(actual[i]) - expected[i]) <= bound[i]))
      throw std::runtime_error(what + ": element " + std::to_string(i) + " is " +
                               std::to_string(actual[i]) + ", the reference says " +
                               std::to_string(expected[i]));
}

void require_equal(const std::string& what, const std::vector<float>& actual,
                   const std::vector<double>& expected) {
  require_close(what, actual, expected, std::vector<double>(expected.size(), 0.0));
}

}  // namespace curvseg::perf
