// Data to measure with, and comparisons of results.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "curvseg/device.hpp"
#include "curvseg/tensor.hpp"

namespace curvseg::perf {

/// Whole numbers from -3 to 3, the same for the same seed; and device memory that holds them.
std::vector<float> whole_numbers(std::int64_t count, unsigned seed);
Tensor random_tensor(const Stream& stream, const Shape& shape, unsigned seed);
DeviceArray<float> random_vector(const Stream& stream, std::int64_t count, unsigned seed);

/// \throws std::runtime_error, with `what`, unless every |actual − expected| ≤ bound.
void require_close(const std::string& what, const std::vector<float>& actual,
                   const std::vector<double>& expected, const std::vector<double>& bound);
/// The same with nothing allowed: for sums of whole numbers, which are exact.
void require_equal(const std::string& what, const std::vector<float>& actual,
                   const std::vector<double>& expected);

}  // namespace curvseg::perf
