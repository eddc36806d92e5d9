// The factorisations of dense/dense.hpp on the cuda target: cuSOLVER in a scratch copy, one matrix
// after the other on the stream, between kernels that check and move.
//
//   inverse_spd         potrf, potri
//   orthonormal_basis   geqrf, orgqr
//   symmetric_eigen     syevd
//
// cuSOLVER's matrices are column-major: the scratch copy holds element (i, j) at i + j·n. Nothing
// waits for the device: a matrix with a value that is not finite is replaced by the identity before
// the library sees it, and the outputs are written by a kernel that first asks whether all went
// well.
#include <cuda_runtime.h>
#include <cusolverDn.h>

#include <algorithm>
#include <map>
#include <mutex>
#include <string>
#include <utility>

#include "curvseg/error.hpp"
#include "dense/launchers.hpp"
#include "dense/library_steps.hpp"
#include "exec/cuda_runtime.hpp"

namespace curvseg::CURVSEG_TARGET {
namespace {

void check(cusolverStatus_t status, const char* call) {
  if (status != CUSOLVER_STATUS_SUCCESS)
    throw TargetError(std::string("cuda: cuSOLVER's ") + call + " failed with status " +
                      std::to_string(static_cast<int>(status)));
}

struct Handles {
  std::mutex mutex;
  std::map<std::pair<int, StreamHandle>, cusolverDnHandle_t> map;  // of a device and stream
};
/// Never destroyed: at the program's end the driver may be gone before a destructor runs.
Handles& handles() {
  static auto& result = *new Handles;
  return result;
}

/// Made at first use (outside of stream capture: it allocates), and kept as long as a
/// stream of the library's own.
cusolverDnHandle_t handle_of(StreamHandle stream) {
  int device = 0;
  if (cudaGetDevice(&device) != cudaSuccess) throw TargetError("cuda: there is no current device");
  const std::lock_guard lock(handles().mutex);
  const auto [at, fresh] = handles().map.try_emplace({device, stream}, nullptr);
  if (!at->second) check(cusolverDnCreate(&at->second), "create");
  check(cusolverDnSetStream(at->second, static_cast<cudaStream_t>(stream)), "set stream");
  return at->second;
}

// ---- workspace ---------------------------------------------------------------------------------

constexpr std::int64_t kSection = 64;  // floats: sections begin at multiples of 256 bytes

std::int64_t section(std::int64_t floats) { return divide_up(floats, kSection) * kSection; }

/// Shared by the matrices of a call, which take turns.
struct Scratch {
  float* matrix;      // [n, n] column-major
  float* vector;      // [n]: reflections' coefficients, eigenvalues
  float* signs;       // [n]: the diagonal of R
  unsigned* defects;  // values that are not finite
  int* info;          // two of the library
  float* library;
  int library_floats;
};

enum class Work { kInverse, kBasis, kEigen };

/// Floats that the library needs for one n x n matrix. It depends on sizes alone.
int library_floats(Work work, int n) {
  const cusolverDnHandle_t handle = handle_of(nullptr);
  constexpr auto kLower = CUBLAS_FILL_MODE_LOWER;
  int first = 0, second = 0;
  switch (work) {
    case Work::kInverse:
      check(cusolverDnSpotrf_bufferSize(handle, kLower, n, nullptr, n, &first), "potrf_bufferSize");
      check(cusolverDnSpotri_bufferSize(handle, kLower, n, nullptr, n, &second),
            "potri_bufferSize");
      break;
    case Work::kBasis:
      check(cusolverDnSgeqrf_bufferSize(handle, n, n, nullptr, n, &first), "geqrf_bufferSize");
      check(cusolverDnSorgqr_bufferSize(handle, n, n, n, nullptr, n, nullptr, &second),
            "orgqr_bufferSize");
      break;
    case Work::kEigen:
      check(cusolverDnSsyevd_bufferSize(handle, CUSOLVER_EIG_MODE_VECTOR, kLower, n, nullptr, n,
                                        nullptr, &first),
            "syevd_bufferSize");
      break;
  }
  return std::max(first, second);
}

/// Of all matrices of a call.
template <class Params>
int largest(const Params& p) {
  int n = 0;
  for (int j = 0; j < p.count; ++j) n = std::max(n, p.matrix[j].n);
  return n;
}
template <class Params>
int library_floats_of(Work work, const Params& p) {
  int floats = 0;
  for (int j = 0; j < p.count; ++j)
    if (p.matrix[j].n > 0) floats = std::max(floats, library_floats(work, p.matrix[j].n));
  return floats;
}

/// Floats before the library's section: matrix, vector, signs, defects and info.
std::int64_t own_floats(int n) {
  return section(static_cast<std::int64_t>(n) * n) + 2 * section(n) + kSection;
}

template <class Params>
Scratch scratch_of(Work work, const Params& p) {
  const int n = largest(p);
  Scratch s{};
  s.matrix = p.workspace;
  s.vector = s.matrix + section(static_cast<std::int64_t>(n) * n);
  s.signs = s.vector + section(n);
  s.defects = reinterpret_cast<unsigned*>(s.signs + section(n));
  s.info = reinterpret_cast<int*>(s.defects + 1);
  s.library = p.workspace + own_floats(n);
  s.library_floats = library_floats_of(work, p);
  return s;
}

template <class Params>
std::int64_t workspace_of(Work work, const Params& p) {
  return largest(p) == 0 ? 0 : own_floats(largest(p)) + library_floats_of(work, p);
}

// ---- one matrix --------------------------------------------------------------------------------

void clear(StreamHandle stream, void* memory, std::size_t bytes) {
  if (cudaMemsetAsync(memory, 0, bytes, static_cast<cudaStream_t>(stream)) != cudaSuccess) {
    (void)cudaGetLastError();
    throw TargetError("cuda: memset failed");
  }
}

/// Clears the flags and fills the scratch matrix.
void load(StreamHandle stream, const Square& from, const Scratch& s) {
  clear(stream, s.defects, 3 * sizeof(int));  // defects and info are neighbours
  const dim3 grid = grid_for(static_cast<std::int64_t>(from.n) * from.n);
  launch<count_defects_kernel>(stream, grid, kGridThreads, CountDefects{from, s.defects});
  launch<load_kernel>(stream, grid, kGridThreads, Load{from, s.defects, s.matrix});
}

/// Checks the scratch matrix and writes the outputs.
void store(StreamHandle stream, Store p, const Scratch& s) {
  p.from = {p.from.n, s.matrix, 1, p.from.n};
  p.defects = s.defects;
  p.info = s.info;
  const dim3 grid = grid_for(static_cast<std::int64_t>(p.from.n) * p.from.n);
  launch<count_defects_kernel>(stream, grid, kGridThreads, CountDefects{p.from, s.defects});
  launch<store_kernel>(stream, grid, kGridThreads, p);
}

void factorise(StreamHandle stream, const InverseSpd& p, const SpdMatrix& m, const Scratch& s) {
  const cusolverDnHandle_t handle = handle_of(stream);
  load(stream, {m.n, m.a, m.lda, 1}, s);
  launch<damp_kernel, DampShared>(
      stream, dim3{1, 1, 1}, kDampThreads,
      Damp{m.n, s.matrix, p.relative, p.absolute, p.damping, s.defects});
  check(cusolverDnSpotrf(handle, CUBLAS_FILL_MODE_LOWER, m.n, s.matrix, m.n, s.library,
                         s.library_floats, s.info),
        "potrf");
  check(cusolverDnSpotri(handle, CUBLAS_FILL_MODE_LOWER, m.n, s.matrix, m.n, s.library,
                         s.library_floats, s.info + 1),
        "potri");
  Store out{};
  out.from.n = m.n;
  out.lower = true;
  out.to = m.inverse;
  out.ld = m.ld_inverse;
  out.status = m.status;
  store(stream, out, s);
}

void factorise(StreamHandle stream, const OrthonormalBasis&, const BasisMatrix& m,
               const Scratch& s) {
  const cusolverDnHandle_t handle = handle_of(stream);
  load(stream, {m.n, m.m, m.ldm, 1}, s);
  check(cusolverDnSgeqrf(handle, m.n, m.n, s.matrix, m.n, s.vector, s.library, s.library_floats,
                         s.info),
        "geqrf");
  launch<diagonal_kernel>(stream, grid_for(m.n), kGridThreads, Diagonal{m.n, s.matrix, s.signs});
  check(cusolverDnSorgqr(handle, m.n, m.n, m.n, s.matrix, m.n, s.vector, s.library,
                         s.library_floats, s.info + 1),
        "orgqr");
  Store out{};
  out.from.n = m.n;
  out.signs = s.signs;
  out.to = m.q;
  out.ld = m.ldq;
  out.status = m.status;
  store(stream, out, s);
}

void factorise(StreamHandle stream, const SymmetricEigen&, const EigenMatrix& m, const Scratch& s) {
  const cusolverDnHandle_t handle = handle_of(stream);
  load(stream, {m.n, m.a, m.lda, 1}, s);
  check(cusolverDnSsyevd(handle, CUSOLVER_EIG_MODE_VECTOR, CUBLAS_FILL_MODE_LOWER, m.n, s.matrix,
                         m.n, s.vector, s.library, s.library_floats, s.info),
        "syevd");
  Store out{};
  out.from.n = m.n;
  out.to = m.vectors;
  out.ld = m.ld_vectors;
  out.values = s.vector;
  out.to_values = m.values;
  out.status = m.status;
  store(stream, out, s);
}

template <class Params>
void factorise_all(StreamHandle stream, Work work, const Params& p) {
  const Scratch s = largest(p) == 0 ? Scratch{} : scratch_of(work, p);
  for (int j = 0; j < p.count; ++j)
    if (p.matrix[j].n > 0)
      factorise(stream, p, p.matrix[j], s);
    else if (p.matrix[j].status)  // nothing can fail
      clear(stream, p.matrix[j].status, sizeof(int));
}

}  // namespace

void forget_stream(StreamHandle stream) {
  const std::lock_guard lock(handles().mutex);
  for (auto at = handles().map.begin(); at != handles().map.end();)
    if (at->first.second == stream) {
      (void)cusolverDnDestroy(at->second);
      at = handles().map.erase(at);
    } else {
      ++at;
    }
}

std::int64_t inverse_spd_workspace(const InverseSpd& p) { return workspace_of(Work::kInverse, p); }
void inverse_spd(StreamHandle stream, const InverseSpd& p) {
  factorise_all(stream, Work::kInverse, p);
}

std::int64_t orthonormal_basis_workspace(const OrthonormalBasis& p) {
  return workspace_of(Work::kBasis, p);
}
void orthonormal_basis(StreamHandle stream, const OrthonormalBasis& p) {
  factorise_all(stream, Work::kBasis, p);
}

std::int64_t symmetric_eigen_workspace(const SymmetricEigen& p) {
  return workspace_of(Work::kEigen, p);
}
void symmetric_eigen(StreamHandle stream, const SymmetricEigen& p) {
  factorise_all(stream, Work::kEigen, p);
}

}  // namespace curvseg::CURVSEG_TARGET
