#include "host/optim/flat_vector.hpp"

#include "curvseg/ops.hpp"

namespace curvseg {

DeviceArray<float> zeroed_vector(const Stream& stream, std::int64_t elements) {
  DeviceArray<float> result(stream.device(), elements);
  fill(stream, view(result), 0.0f);
  return result;
}

}  // namespace curvseg
