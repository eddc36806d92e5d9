#include "host/ops/matrix.hpp"

#include "host/ops/check.hpp"

namespace curvseg {
namespace {

std::string size_of(const char* name, const ConstMatrixView& view) {
  return std::string(name) + " is " + std::to_string(view.rows) + "x" +
         std::to_string(view.columns);
}

void check_extent(std::string_view op, int extent) {
  constexpr int kLargest = (1 << 29) - 1;  // of convolutions
  if (extent < 0 || extent > kLargest)
    refuse(op, "a matrix has " + std::to_string(extent) + " rows or columns, 0 to " +
                   std::to_string(kLargest) + " are possible");
}

/// A matrix that its two neighbours in the product want to be rows x columns.
void check_operand(std::string_view op, const char* name, const ConstMatrixView& view, int rows,
                   int columns, bool dense) {
  check_matrix(op, name, view);
  check_extent(op, view.rows);
  check_extent(op, view.columns);
  if (view.rows != rows || view.columns != columns)
    refuse(op, size_of(name, view) + ", the other matrices want " + std::to_string(rows) + "x" +
                   std::to_string(columns));
  if (dense && !view.dense())
    refuse(op, size_of(name, view) + " with a row stride of " + std::to_string(view.ld) +
                   ", it has to be dense");
}

/// One line of pixels; no image if there are none.
Shape pixels(int rows, int channels) {
  return {rows > 0 ? 1 : 0, 1, rows > 0 ? rows : 1, channels};
}
ConstTensorView pixels(const ConstMatrixView& m) {
  return {m.data, pixels(m.rows, m.columns), m.ld};
}
TensorView pixels(const MatrixView& m) { return {m.data, pixels(m.rows, m.columns), m.ld}; }
ConstFilterView filter(const ConstMatrixView& m) { return {m.data, 1, 1, m.rows, m.columns}; }
ConstFilterView filter(int rows, int columns) { return {nullptr, 1, 1, rows, columns}; }

void check_extents(std::string_view op, int m, int k, int n) {
  for (const int extent : {m, k, n}) check_extent(op, extent);
}

}  // namespace

void multiply(const Stream& stream, ConstMatrixView a, ConstMatrixView b, const MultiplyOptions& o,
              Workspace workspace, MatrixView c) {
  constexpr const char* kOp = "multiply";
  check_operand(kOp, "a", a, c.rows, b.rows, false);
  check_operand(kOp, "b", b, a.columns, c.columns, true);
  check_operand(kOp, "c", c, a.rows, b.columns, false);
  conv2d_forward(stream, pixels(a), filter(b), {.accumulate = o.accumulate}, workspace, pixels(c));
}

std::size_t multiply_workspace(const Device& device, int m, int k, int n) {
  check_extents("multiply_workspace", m, k, n);
  return conv2d_forward_workspace(device, pixels(m, k), filter(k, n), {});
}

void multiply_at_b(const Stream& stream, ConstMatrixView a, ConstMatrixView b,
                   const MultiplyOptions& o, Workspace workspace, MatrixView c) {
  constexpr const char* kOp = "multiply_at_b";
  check_operand(kOp, "a", a, b.rows, c.rows, false);
  check_operand(kOp, "b", b, a.rows, c.columns, false);
  check_operand(kOp, "c", c, a.columns, b.columns, true);
  conv2d_backward_weights(stream, pixels(a), pixels(b), {}, o.accumulate, workspace,
                          FilterView(c.data, 1, 1, c.rows, c.columns));
}

std::size_t multiply_at_b_workspace(const Device& device, int m, int k, int n) {
  check_extents("multiply_at_b_workspace", m, k, n);
  return conv2d_backward_weights_workspace(device, pixels(k, m), filter(m, n), {});
}

void multiply_a_bt(const Stream& stream, ConstMatrixView a, ConstMatrixView b,
                   const MultiplyOptions& o, Workspace workspace, MatrixView c) {
  constexpr const char* kOp = "multiply_a_bt";
  check_operand(kOp, "a", a, c.rows, b.columns, false);
  check_operand(kOp, "b", b, c.columns, a.columns, true);
  check_operand(kOp, "c", c, a.rows, b.rows, false);
  conv2d_backward_data(stream, pixels(a), filter(b), {.accumulate = o.accumulate}, workspace,
                       pixels(c));
}

std::size_t multiply_a_bt_workspace(const Device& device, int m, int k, int n) {
  check_extents("multiply_a_bt_workspace", m, k, n);
  return conv2d_backward_data_workspace(device, pixels(m, n), filter(n, k), {});
}

}  // namespace curvseg
