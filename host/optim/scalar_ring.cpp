#include "host/optim/scalar_ring.hpp"

#include <cstring>

namespace curvseg {

ScalarRing::ScalarRing(const Device& device) : memory_(device, kFloats) {
  fences_.reserve(kPlaces);
  for (std::size_t i = 0; i < kPlaces; ++i) fences_.emplace_back(device);
}

void ScalarRing::upload(const Stream& stream, const UpdateScalars& scalars) {
  fences_[next_].wait();
  std::memcpy(host_[next_].data(), &scalars, sizeof(scalars));
  memory_.upload(stream, host_[next_].data(), kFloats);
  fences_[next_].record(stream);
  next_ = (next_ + 1) % kPlaces;
}

}  // namespace curvseg
