// Things that are made for one shape of batch, by that shape.
#pragma once

#include <algorithm>
#include <cstddef>
#include <functional>
#include <list>
#include <utility>

#include "curvseg/device.hpp"
#include "curvseg/tensor.hpp"

namespace curvseg {

/// How many a training keeps.
inline constexpr std::size_t kTrainingShapes = 4;

/// The T of the shapes used last; T has input_shape() and memory_bytes(). Training sees one or two
/// shapes (the last batch of an epoch may be smaller); images of mixed sizes see many, and then the
/// one that was not used for the longest time gives way.
template <class T>
class ShapeCache {
 public:
  ShapeCache(Stream stream, std::size_t capacity, std::function<T(const Shape&)> make)
      : stream_(std::move(stream)), capacity_(capacity), make_(std::move(make)) {}

  /// The T of `input`; valid until the next call. Waits when another must be freed.
  T& get(const Shape& input) {
    const auto found = std::find_if(items_.begin(), items_.end(), [&input](const T& item) {
      return item.input_shape() == input;
    });
    if (found != items_.end()) {
      items_.splice(items_.begin(), items_, found);
      return items_.front();
    }
    if (items_.size() >= capacity_) {
      stream_.synchronise();  // its memory may still be in use
      items_.pop_back();
    }
    items_.push_front(make_(input));
    return items_.front();
  }

  std::size_t memory_bytes() const {
    std::size_t result = 0;
    for (const T& item : items_) result += item.memory_bytes();
    return result;
  }

 private:
  Stream stream_;
  std::size_t capacity_;
  std::function<T(const Shape&)> make_;
  std::list<T> items_;  // the one used last in front
};

}  // namespace curvseg
