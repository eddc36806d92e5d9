// Dense factorisations: checks, then kernels/dense.
#include "host/ops/check.hpp"

namespace curvseg {
namespace {

static_assert(kLargestMatrixBatch == kDenseBatch, "the public limit is the kernels'");

void check_batch(std::string_view op, std::size_t count) {
  if (count > static_cast<std::size_t>(kDenseBatch))
    refuse(op, std::to_string(count) + " matrices were given, at most " +
                   std::to_string(kDenseBatch) + " are possible");
}

/// Libraries count the elements of a matrix, and their workspaces, in 32 bits.
void check_size(std::string_view op, int n) {
  constexpr int kLargest = 16384;
  if (n < 0 || n > kLargest)
    refuse(op, "a matrix has " + std::to_string(n) + " rows, 0 to " + std::to_string(kLargest) +
                   " are possible");
}

void check_square(std::string_view op, const char* in_name, const ConstMatrixView& in,
                  const char* out_name, const MatrixView& out) {
  check_matrix(op, in_name, in);
  check_matrix(op, out_name, out);
  const auto size = [](const char* name, int rows, int columns) {
    return std::string(name) + " is " + std::to_string(rows) + "x" + std::to_string(columns);
  };
  if (in.rows != in.columns)
    refuse(op, size(in_name, in.rows, in.columns) + ", which is not square");
  if (out.rows != in.rows || out.columns != in.columns)
    refuse(op, size(in_name, in.rows, in.columns) + ", " + size(out_name, out.rows, out.columns));
  check_size(op, in.rows);
}

template <class Params>
std::size_t bytes_for(std::string_view op, std::span<const int> sizes,
                      WorkspaceSize<Params> floats) {
  check_batch(op, sizes.size());
  Params p;
  for (const int n : sizes) {
    check_size(op, n);
    p.matrix[p.count++].n = n;
  }
  return static_cast<std::size_t>(floats(p)) * sizeof(float);
}

template <class Params>
void run(std::string_view op, const Stream& stream, Params& p, WorkspaceSize<Params> floats,
         Operation<Params> operation, const Workspace& workspace) {
  const CurrentDevice current(stream.device());
  check_bytes(op, workspace, floats(p));
  p.workspace = static_cast<float*>(workspace.data);
  operation(stream.native(), p);
}

}  // namespace

void inverse_spd(const Stream& stream, std::span<const InverseSpdOperands> matrices,
                 const Damping& damping, Workspace workspace) {
  constexpr const char* kOp = "inverse_spd";
  check_batch(kOp, matrices.size());
  InverseSpd p;
  for (const InverseSpdOperands& m : matrices) {
    check_square(kOp, "a", m.a, "inverse", m.inverse);
    p.matrix[p.count++] = {m.a.rows, m.a.data, m.a.ld, m.inverse.data, m.inverse.ld, m.status};
  }
  p.relative = damping.relative;
  p.absolute = damping.absolute;
  p.damping = damping.from_device;
  const Kernels& kernels = kernels_of(stream);
  run(kOp, stream, p, kernels.inverse_spd_workspace, kernels.inverse_spd, workspace);
}

std::size_t inverse_spd_workspace(const Device& device, std::span<const int> sizes) {
  const CurrentDevice current(device);
  return bytes_for("inverse_spd_workspace", sizes, device.target().kernels->inverse_spd_workspace);
}

void orthonormal_basis(const Stream& stream, std::span<const OrthonormalBasisOperands> matrices,
                       Workspace workspace) {
  constexpr const char* kOp = "orthonormal_basis";
  check_batch(kOp, matrices.size());
  OrthonormalBasis p;
  for (const OrthonormalBasisOperands& m : matrices) {
    check_square(kOp, "m", m.m, "q", m.q);
    p.matrix[p.count++] = {m.m.rows, m.m.data, m.m.ld, m.q.data, m.q.ld, m.status};
  }
  const Kernels& kernels = kernels_of(stream);
  run(kOp, stream, p, kernels.orthonormal_basis_workspace, kernels.orthonormal_basis, workspace);
}

std::size_t orthonormal_basis_workspace(const Device& device, std::span<const int> sizes) {
  const CurrentDevice current(device);
  return bytes_for("orthonormal_basis_workspace", sizes,
                   device.target().kernels->orthonormal_basis_workspace);
}

void symmetric_eigen(const Stream& stream, std::span<const SymmetricEigenOperands> matrices,
                     Workspace workspace) {
  constexpr const char* kOp = "symmetric_eigen";
  check_batch(kOp, matrices.size());
  SymmetricEigen p;
  for (const SymmetricEigenOperands& m : matrices) {
    check_square(kOp, "a", m.a, "vectors", m.vectors);
    if (m.values.size != m.a.rows)
      refuse(kOp, "values has " + std::to_string(m.values.size) + " entries, a has " +
                      std::to_string(m.a.rows) + " rows");
    require(m.values.data || m.values.size == 0, kOp, "values has no memory");
    p.matrix[p.count++] = {m.a.rows,       m.a.data,     m.a.ld,  m.values.data,
                           m.vectors.data, m.vectors.ld, m.status};
  }
  const Kernels& kernels = kernels_of(stream);
  run(kOp, stream, p, kernels.symmetric_eigen_workspace, kernels.symmetric_eigen, workspace);
}

std::size_t symmetric_eigen_workspace(const Device& device, std::span<const int> sizes) {
  const CurrentDevice current(device);
  return bytes_for("symmetric_eigen_workspace", sizes,
                   device.target().kernels->symmetric_eigen_workspace);
}

}  // namespace curvseg
