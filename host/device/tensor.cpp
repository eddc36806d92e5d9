#include "curvseg/tensor.hpp"

#include <stdexcept>

#include "target.hpp"

namespace curvseg {

std::string to_string(const Shape& shape) {
  return "[" + std::to_string(shape.n) + "," + std::to_string(shape.h) + "," +
         std::to_string(shape.w) + "," + std::to_string(shape.c) + "]";
}

namespace {

std::size_t bytes_of(std::int64_t elements, std::size_t size) {
  if (elements < 0)
    throw std::invalid_argument("DeviceArray: " + std::to_string(elements) +
                                " elements were asked for");
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
  if (count > size)
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

void Tensor::upload(const Stream& stream, const std::vector<float>& values) {
  if (static_cast<std::int64_t>(values.size()) != shape_.elements())
    throw std::invalid_argument("upload: " + std::to_string(values.size()) +
                                " values for a tensor " + to_string(shape_));
  memory_.upload(stream, values.data(), shape_.elements());
}

}  // namespace curvseg
