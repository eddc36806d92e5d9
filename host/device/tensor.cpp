#include "curvseg/tensor.hpp"

#include <initializer_list>
#include <optional>
#include <stdexcept>

#include "host/device/extents.hpp"
#include "target.hpp"

namespace curvseg {

std::string to_string(const Shape& shape) {
  return "[" + std::to_string(shape.n) + "," + std::to_string(shape.h) + "," +
         std::to_string(shape.w) + "," + std::to_string(shape.c) + "]";
}

namespace {

/// The product of factors of at least 0, or nothing if 64 bits do not hold it.
std::optional<std::int64_t> product(std::initializer_list<std::int64_t> factors) {
  std::int64_t result = 1;
  for (const std::int64_t factor : factors)
    if (__builtin_mul_overflow(result, factor, &result)) return {};
  return result;
}

[[noreturn]] void refuse_to_count(const std::string& extents) {
  throw std::invalid_argument(extents + " has more elements than 64 bits count");
}

}  // namespace

std::int64_t Shape::pixels() const {
  const auto count = product({n, h, w});
  if (!count) refuse_to_count(to_string(*this));
  return *count;
}

std::int64_t Shape::elements() const {
  const auto count = product({n, h, w, c});
  if (!count) refuse_to_count(to_string(*this));
  return *count;
}

void refuse_channels(int first, int count, const Shape& shape) {
  throw std::invalid_argument("channels: " + std::to_string(count) + " from channel " +
                              std::to_string(first) + " on were asked for, the view " +
                              to_string(shape) + " has " + std::to_string(shape.c));
}

void check_shape(std::string_view operation, std::string_view name, const Shape& s,
                 std::int64_t ld) {
  const std::int64_t most = most_elements(sizeof(float));
  const auto pixels = product({s.n, s.h, s.w});
  const auto spanned = product({s.n, s.h, s.w, ld});
  if (s.n >= 0 && s.h >= 0 && s.w >= 0 && s.c >= 0 && ld >= s.c && pixels && *pixels <= most &&
      spanned && *spanned <= most)
    return;
  // Written only when it is needed: a step that is as planned takes nothing from the heap.
  const std::string who = std::string(operation) + ": " + std::string(name) + " ";
  if (s.n < 0 || s.h < 0 || s.w < 0 || s.c < 0)
    throw std::invalid_argument(who + "has a negative extent, " + to_string(s));
  if (ld < s.c)
    throw std::invalid_argument(who + "has pixel stride " + std::to_string(ld) +
                                ", less than its " + std::to_string(s.c) + " channels");
  throw std::invalid_argument(who + to_string(s) +
                              (ld == s.c ? "" : " with pixel stride " + std::to_string(ld)) +
                              " spans more pixels or elements than the " + std::to_string(most) +
                              " of 4 bytes that 64 bits address");
}

namespace {

std::size_t bytes_of(std::int64_t elements, std::size_t size) {
  const std::int64_t most = most_elements(size);
  if (elements < 0 || elements > most)
    throw std::invalid_argument("DeviceArray: " + std::to_string(elements) + " elements of " +
                                std::to_string(size) + " bytes were asked for, 0 to " +
                                std::to_string(most) + " are possible");
  return static_cast<std::size_t>(elements) * size;
}

}  // namespace

template <class T>
DeviceArray<T>::DeviceArray(const Device& device, std::int64_t elements)
    : device_{device},
      data_(static_cast<T*>(
          device.target().runtime->allocate(device.index(), bytes_of(elements, sizeof(T))))),
      size_(elements) {}

template <class T>
DeviceArray<T>::~DeviceArray() {
  if (!data_) return;
  try {
    device_[0].target().runtime->release(device_[0].index(), data_);
  } catch (...) {
    // A device that has failed frees nothing; its error was or will be thrown by synchronise().
  }
}

namespace {

void check_count(const char* what, std::int64_t count, std::int64_t size) {
  if (count < 0 || count > size)
    throw std::invalid_argument(std::string(what) + ": " + std::to_string(count) +
                                " elements asked for, the array has " + std::to_string(size));
}

}  // namespace

template <class T>
void DeviceArray<T>::upload(const Stream& stream, const T* from, std::int64_t count) {
  check_count("upload", count, size_);
  const CurrentDevice current(stream.device());
  stream.device().target().runtime->copy(stream.native(), data_, from,
                                         static_cast<std::size_t>(count) * sizeof(T));
}

template <class T>
void DeviceArray<T>::download(const Stream& stream, T* to, std::int64_t count) const {
  check_count("download", count, size_);
  const CurrentDevice current(stream.device());
  stream.device().target().runtime->copy(stream.native(), to, data_,
                                         static_cast<std::size_t>(count) * sizeof(T));
}

template <class T>
std::vector<T> DeviceArray<T>::to_host(const Stream& stream) const {
  std::vector<T> result(static_cast<std::size_t>(size_));
  if (size_ > 0) download(stream, result.data(), size_);
  stream.synchronise();
  return result;
}

template class DeviceArray<float>;
template class DeviceArray<std::int32_t>;
template class DeviceArray<std::uint16_t>;
template class DeviceArray<std::uint64_t>;
template class DeviceArray<unsigned long long>;

namespace {

std::int64_t checked_elements(const Shape& shape) {
  check_shape("Tensor", "the shape", shape);
  return shape.elements();
}

}  // namespace

Tensor::Tensor(const Device& device, Shape shape)
    : shape_(shape), memory_(device, checked_elements(shape)) {}

void Tensor::upload(const Stream& stream, const std::vector<float>& values) {
  if (static_cast<std::int64_t>(values.size()) != shape_.elements())
    throw std::invalid_argument("upload: " + std::to_string(values.size()) +
                                " values for a tensor " + to_string(shape_));
  memory_.upload(stream, values.data(), shape_.elements());
}

}  // namespace curvseg
