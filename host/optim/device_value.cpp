#include "host/optim/device_value.hpp"

#include "host/ops/check.hpp"
#include "kernels/target.hpp"

namespace curvseg {

void store_words(const Stream& stream, const StoreWords& store) {
  const CurrentDevice current(stream.device());
  kernels_of(stream).store_words(stream.native(), store);
}

}  // namespace curvseg
