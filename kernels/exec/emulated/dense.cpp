// The factorisations of dense/dense.hpp on the emulated target. On a GPU they are a library's
// kernels; here the portable code of the host does them, as one function in the late stream.
#define CURVSEG_TARGET target_emulated
#include <array>

#include "dense/launchers.hpp"
#include "exec/emulated/host_work.hpp"
#include "kernels.hpp"

extern "C" const curvseg::Kernels* curvseg_kernels_target_host_baseline();

namespace curvseg::CURVSEG_TARGET {
namespace {

using emulation::Region;

const Kernels& host() { return *curvseg_kernels_target_host_baseline(); }

Region matrix(const float* data, int n, std::int64_t ld) {
  return {data, n, static_cast<std::size_t>(n) * sizeof(float),
          static_cast<std::size_t>(ld) * sizeof(float)};
}
Region vector(const float* data, std::int64_t n) {
  const std::size_t bytes = static_cast<std::size_t>(n) * sizeof(float);
  return {data, 1, bytes, bytes};
}
Region status_of(const int* status) { return {status, status ? 1 : 0, sizeof(int), sizeof(int)}; }

Region input(const SpdMatrix& m) { return matrix(m.a, m.n, m.lda); }
Region input(const BasisMatrix& m) { return matrix(m.m, m.n, m.ldm); }
Region input(const EigenMatrix& m) { return matrix(m.a, m.n, m.lda); }

std::array<Region, 2> outputs(const SpdMatrix& m) {
  return {matrix(m.inverse, m.n, m.ld_inverse), vector(nullptr, 0)};
}
std::array<Region, 2> outputs(const BasisMatrix& m) {
  return {matrix(m.q, m.n, m.ldq), vector(nullptr, 0)};
}
std::array<Region, 2> outputs(const EigenMatrix& m) {
  return {matrix(m.vectors, m.n, m.ld_vectors), vector(m.values, m.n)};
}

Region damping(const InverseSpd& p) { return vector(p.damping, p.damping ? 2 : 0); }
Region damping(const OrthonormalBasis&) { return vector(nullptr, 0); }
Region damping(const SymmetricEigen&) { return vector(nullptr, 0); }

/// Runs `operation` of the host between the checks of all that it reads and writes.
template <class Params>
void run(const char* name, Operation<Params> operation, const Params& p, const Region& workspace) {
  check_read(name, damping(p));
  check_write(name, workspace);
  for (int j = 0; j < p.count; ++j) {
    check_read(name, input(p.matrix[j]));
    check_write(name, status_of(p.matrix[j].status));
    for (const Region& output : outputs(p.matrix[j])) check_write(name, output);
  }
  int status[kDenseBatch];
  Params here = p;
  for (int j = 0; j < p.count; ++j) here.matrix[j].status = &status[j];
  operation(nullptr, here);
  mark_written(workspace);
  for (int j = 0; j < p.count; ++j) {
    mark_written(status_of(p.matrix[j].status));
    if (p.matrix[j].status) *p.matrix[j].status = status[j];
    // After a failure the outputs are what they were, and maybe nobody's.
    if (status[j] == 0)
      for (const Region& output : outputs(p.matrix[j])) mark_written(output);
  }
}

template <class Params>
void queue(StreamHandle stream, const char* name, Operation<Params> operation, const Params& p,
           std::int64_t workspace) {
  emulation::enqueue(stream,
                     {name, [=] { run(name, operation, p, vector(p.workspace, workspace)); }});
}

}  // namespace

std::int64_t inverse_spd_workspace(const InverseSpd& p) { return host().inverse_spd_workspace(p); }
std::int64_t orthonormal_basis_workspace(const OrthonormalBasis& p) {
  return host().orthonormal_basis_workspace(p);
}
std::int64_t symmetric_eigen_workspace(const SymmetricEigen& p) {
  return host().symmetric_eigen_workspace(p);
}

void inverse_spd(StreamHandle stream, const InverseSpd& p) {
  queue(stream, "inverse_spd", host().inverse_spd, p, inverse_spd_workspace(p));
}
void orthonormal_basis(StreamHandle stream, const OrthonormalBasis& p) {
  queue(stream, "orthonormal_basis", host().orthonormal_basis, p, orthonormal_basis_workspace(p));
}
void symmetric_eigen(StreamHandle stream, const SymmetricEigen& p) {
  queue(stream, "symmetric_eigen", host().symmetric_eigen, p, symmetric_eigen_workspace(p));
}

}  // namespace curvseg::CURVSEG_TARGET
