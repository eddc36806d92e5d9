/// \file
/// Tensors: shapes, views over anybody's memory, and memory of our own.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "curvseg/device.hpp"

namespace curvseg {

/// Element types. There is one for now; views carry it so that more can come.
enum class DType : std::uint8_t {
  kFloat32,  ///< `float`
};

/// Extents of an activation, in the order of memory: NHWC.
struct Shape {
  int n = 0;  ///< images
  int h = 0;  ///< rows
  int w = 0;  ///< columns
  int c = 0;  ///< channels

  /// N·H·W. \throws std::invalid_argument if 64 bits do not hold it.
  std::int64_t pixels() const;
  /// N·H·W·C. \throws std::invalid_argument likewise.
  std::int64_t elements() const;
  /// All four extents.
  friend bool operator==(const Shape&, const Shape&) = default;
};

std::string to_string(const Shape& shape);  ///< "[8,96,96,3]"

/// What BasicTensorView::channels() says of channels that a view of this shape has not.
/// \throws std::invalid_argument always.
[[noreturn]] void refuse_channels(int first, int count, const Shape& shape);

/// An activation in device memory that somebody else owns: element (n,h,w,c) lies at
/// `data[((n·H + h)·W + w)·ld + c]`. `ld` ≥ C is the pixel stride in elements; a slice of the
/// channels of a larger tensor is a view with that tensor's stride.
template <class T>
struct BasicTensorView {
  T* data = nullptr;              ///< of element (0,0,0,0); nullptr leaves an optional tensor out
  Shape shape;                    ///< [N,H,W,C]
  std::int64_t ld = 0;            ///< pixel stride in elements
  DType dtype = DType::kFloat32;  ///< what T is

  BasicTensorView() = default;
  /// Pixels without gaps: `ld` = C.
  BasicTensorView(T* memory, Shape extents) : data(memory), shape(extents), ld(extents.c) {}
  /// Pixels `pixel_stride` elements apart; functions that take the view refuse one below C.
  BasicTensorView(T* memory, Shape extents, std::int64_t pixel_stride)
      : data(memory), shape(extents), ld(pixel_stride) {}
  /// A view of writable memory is a view of readable memory.
  operator BasicTensorView<const T>() const {
    BasicTensorView<const T> readable(data, shape, ld);
    readable.dtype = dtype;
    return readable;
  }

  /// Channels [first, first + count); without memory where there is none.
  /// \throws std::invalid_argument if the view has not all of them.
  BasicTensorView channels(int first, int count) const {
    if (first < 0 || count < 0 || count > shape.c || first > shape.c - count)
      refuse_channels(first, count, shape);
    BasicTensorView slice = *this;
    if (data) slice.data += first;
    slice.shape.c = count;
    return slice;
  }
  bool dense() const { return ld == shape.c; }  ///< no gaps between pixels
};
/// An activation that is written.
using TensorView = BasicTensorView<float>;
/// An activation that is read.
using ConstTensorView = BasicTensorView<const float>;

/// Convolution weights [R,S,C,K], K contiguous.
template <class T>
struct BasicFilterView {
  T* data = nullptr;  ///< device memory; nullptr where extents alone matter
  int r = 0;          ///< rows
  int s = 0;          ///< columns
  int c = 0;          ///< channels that a convolution reads, and a transposed one writes
  int k = 0;          ///< channels that a convolution writes, and a transposed one reads

  BasicFilterView() = default;
  /// Element (r,s,c,k) lies at `memory[((r·S + s)·C + c)·K + k]`.
  BasicFilterView(T* memory, int rows, int columns, int in, int out)
      : data(memory), r(rows), s(columns), c(in), k(out) {}
  /// A view of writable memory is a view of readable memory.
  operator BasicFilterView<const T>() const { return {data, r, s, c, k}; }
  /// R·S·C·K.
  std::int64_t elements() const { return static_cast<std::int64_t>(r) * s * c * k; }
};
/// Weights that are written.
using FilterView = BasicFilterView<float>;
/// Weights that are read.
using ConstFilterView = BasicFilterView<const float>;

/// Flat device memory.
template <class T>
struct BasicVectorView {
  T* data = nullptr;      ///< nullptr leaves an optional vector out
  std::int64_t size = 0;  ///< in elements

  BasicVectorView() = default;
  /// `elements` of them from `memory` on.
  BasicVectorView(T* memory, std::int64_t elements) : data(memory), size(elements) {}
  /// A view of writable memory is a view of readable memory.
  operator BasicVectorView<const T>() const { return {data, size}; }
};
/// A vector that is written.
using VectorView = BasicVectorView<float>;
/// A vector that is read.
using ConstVectorView = BasicVectorView<const float>;

/// A row-major matrix in device memory: element (i, j) lies at `data[i·ld + j]`, `ld` ≥ columns.
template <class T>
struct BasicMatrixView {
  T* data = nullptr;    ///< of element (0, 0)
  int rows = 0;         ///< extent of i
  int columns = 0;      ///< extent of j, contiguous
  std::int64_t ld = 0;  ///< row stride in elements

  BasicMatrixView() = default;
  /// Dense rows.
  BasicMatrixView(T* memory, int row_count, int column_count)
      : data(memory), rows(row_count), columns(column_count), ld(column_count) {}
  /// Rows that begin `row_stride` elements apart.
  BasicMatrixView(T* memory, int row_count, int column_count, std::int64_t row_stride)
      : data(memory), rows(row_count), columns(column_count), ld(row_stride) {}
  /// A view of writable memory is a view of readable memory.
  operator BasicMatrixView<const T>() const { return {data, rows, columns, ld}; }
  bool dense() const { return ld == columns; }  ///< no gaps between rows
};
/// A matrix that is written.
using MatrixView = BasicMatrixView<float>;
/// A matrix that is read.
using ConstMatrixView = BasicMatrixView<const float>;

/// Owned device memory, uninitialised. Movable, not copyable.
///
/// The destructor does not wait for work that still uses the memory: that must have been
/// synchronised. On a GPU it waits, as cudaFree() does, for whatever else the device works on.
template <class T>
class DeviceArray {
 public:
  DeviceArray() = default;
  /// \throws std::invalid_argument for a negative number, or one whose bytes 64 bits do not count,
  ///         TargetError if the device has no such memory left.
  DeviceArray(const Device& device, std::int64_t elements);
  /// Takes the memory of `other`, which is empty then.
  DeviceArray(DeviceArray&& other) noexcept
      : device_(std::move(other.device_)),
        data_(std::exchange(other.data_, nullptr)),
        size_(std::exchange(other.size_, 0)) {}
  /// Swaps the two: what was here lives on in `other`.
  DeviceArray& operator=(DeviceArray&& other) noexcept {
    std::swap(device_, other.device_);
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
    return *this;
  }
  ~DeviceArray();

  T* data() const { return data_; }            ///< of the device; nullptr: there is none
  std::int64_t size() const { return size_; }  ///< in elements
  /// size() in bytes.
  std::size_t bytes() const { return static_cast<std::size_t>(size_) * sizeof(T); }

  /// Asynchronous copy of `count` elements from host memory, which must stay as it is until the
  /// stream has been synchronised. \throws std::invalid_argument unless 0 ≤ `count` ≤ size().
  void upload(const Stream& stream, const T* from, std::int64_t count);
  /// Asynchronous copy of the first `count` elements to host memory; from a GPU into memory that is
  /// not pinned it returns when it is done. \throws likewise.
  void download(const Stream& stream, T* to, std::int64_t count) const;
  /// All elements, after waiting for the stream.
  std::vector<T> to_host(const Stream& stream) const;

 private:
  std::vector<Device> device_;  // none when empty: a Device has no null state
  T* data_ = nullptr;
  std::int64_t size_ = 0;
};
extern template class DeviceArray<float>;
extern template class DeviceArray<std::int32_t>;
extern template class DeviceArray<std::uint16_t>;
extern template class DeviceArray<std::uint64_t>;
extern template class DeviceArray<unsigned long long>;

/// An activation with memory of its own, dense.
class Tensor {
 public:
  Tensor() = default;
  /// \throws std::invalid_argument for negative extents, or more elements than 64 bits count,
  ///         TargetError if the device has no such memory left.
  Tensor(const Device& device, Shape shape);

  const Shape& shape() const { return shape_; }   ///< all extents 0 for a default object
  float* data() const { return memory_.data(); }  ///< of the device
  /// All of it; valid as long as the tensor.
  TensorView view() const { return {memory_.data(), shape_}; }
  operator TensorView() const { return view(); }       ///< where one is written
  operator ConstTensorView() const { return view(); }  ///< where one is read

  /// Asynchronous copy of all elements [N,H,W,C]; `values` must stay as they are until the stream
  /// has been synchronised. \throws std::invalid_argument for another number of values.
  void upload(const Stream& stream, const std::vector<float>& values);
  /// All elements [N,H,W,C], after waiting for the stream.
  std::vector<float> to_host(const Stream& stream) const { return memory_.to_host(stream); }

 private:
  Shape shape_;
  DeviceArray<float> memory_;
};

}  // namespace curvseg
