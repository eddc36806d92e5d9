// Products of matrices, as the 1x1 convolutions that they are: a row is a pixel, a column a
// channel. Asynchronous, fixed order of additions, nothing is allocated.
//
// Where a filter stands in the convolution, a matrix has to be dense (ld = columns): b of
// multiply() and multiply_a_bt(), c of multiply_at_b(). Other matrices may have gaps between their
// rows. An output may overlap no input. All functions throw std::invalid_argument for sizes that do
// not fit together, beyond 2^29 − 1 rows or columns, or without memory.
#pragma once

#include "curvseg/ops.hpp"

namespace curvseg {

struct MultiplyOptions {
  bool accumulate = false;  // add to c instead of overwriting it
};

/// c = a·b (+ c): [m,k]·[k,n], b dense.
void multiply(const Stream& stream, ConstMatrixView a, ConstMatrixView b,
              const MultiplyOptions& options, Workspace workspace, MatrixView c);
std::size_t multiply_workspace(const Device& device, int m, int k, int n);

/// c = aᵀ·b (+ c): [k,m]ᵀ·[k,n], c dense.
void multiply_at_b(const Stream& stream, ConstMatrixView a, ConstMatrixView b,
                   const MultiplyOptions& options, Workspace workspace, MatrixView c);
std::size_t multiply_at_b_workspace(const Device& device, int m, int k, int n);

/// c = a·bᵀ (+ c): [m,k]·[n,k]ᵀ, b dense.
void multiply_a_bt(const Stream& stream, ConstMatrixView a, ConstMatrixView b,
                   const MultiplyOptions& options, Workspace workspace, MatrixView c);
std::size_t multiply_a_bt_workspace(const Device& device, int m, int k, int n);

}  // namespace curvseg
