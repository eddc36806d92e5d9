#include "host/train/raw_copy.hpp"

#include "kernels/target.hpp"

namespace curvseg {

void copy_bytes(const Stream& stream, void* to, const void* from, std::size_t bytes) {
  const CurrentDevice current(stream.device());
  stream.device().target().runtime->copy(stream.native(), to, from, bytes);
}

std::vector<float> read_vector(const Stream& stream, ConstVectorView from) {
  std::vector<float> result(static_cast<std::size_t>(from.size));
  copy_bytes(stream, result.data(), from.data, result.size() * sizeof(float));
  stream.synchronise();
  return result;
}

}  // namespace curvseg
