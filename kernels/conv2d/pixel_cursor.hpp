// Walks [images, rows, columns] in memory order without a division a step.
#pragma once

#include "exec/exec.hpp"

namespace curvseg::CURVSEG_TARGET {

class PixelCursor {
 public:
  __device__ PixelCursor(std::int64_t pixel, int images, int rows, int columns)
      : images_(images), rows_(rows), columns_(columns) {
    const std::int64_t line = pixel / columns;
    column_ = static_cast<int>(pixel - line * columns);
    image_ = static_cast<int>(line / rows);
    row_ = static_cast<int>(line - static_cast<std::int64_t>(image_) * rows);
  }
  __device__ PixelCursor(int image, int row, int column, int images, int rows, int columns)
      : images_(images),
        rows_(rows),
        columns_(columns),
        image_(image),
        row_(row),
        column_(column) {}

  __device__ bool valid() const { return image_ < images_; }
  __device__ int image() const { return image_; }
  __device__ int row() const { return row_; }
  __device__ int column() const { return column_; }

  __device__ void advance(int pixels) {
    column_ += pixels;
    while (column_ >= columns_) {
      column_ -= columns_;
      if (++row_ == rows_) {
        row_ = 0;
        ++image_;
      }
    }
  }

 private:
  int images_, rows_, columns_;
  int image_, row_, column_;
};

}  // namespace curvseg::CURVSEG_TARGET
