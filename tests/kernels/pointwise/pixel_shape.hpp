// Pixels of a number of channels.
#pragma once

#include <cstddef>

namespace curvseg::testing {

struct PixelShape {
  int pixels, channels;
  std::size_t size() const {
    return static_cast<std::size_t>(pixels) * static_cast<std::size_t>(channels);
  }
};

}  // namespace curvseg::testing
