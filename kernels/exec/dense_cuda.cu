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
#include "exec/block_reduce.hpp"
#include "exec/exec.hpp"

namespace curvseg::CURVSEG_TARGET {
namespace {

void check(cusolverStatus_t status, const char* call) {
  if (status != CUSOLVER_STATUS_SUCCESS)
    throw TargetError(std::string("cuda: cuSOLVER's ") + call + " failed with status " +
                      std::to_string(static_cast<int>(status)));
}

/// A handle a device and stream, made at first use (outside of stream capture: it allocates) and
/// kept: at the program's end the driver may be gone before a destructor runs.
cusolverDnHandle_t handle_of(StreamHandle stream) {
  static std::mutex& mutex = *new std::mutex;
  static auto& handles = *new std::map<std::pair<int, StreamHandle>, cusolverDnHandle_t>;
  int device = 0;
  if (cudaGetDevice(&device) != cudaSuccess) throw TargetError("cuda: there is no current device");
  const std::lock_guard lock(mutex);
  const auto [at, fresh] = handles.try_emplace({device, stream}, nullptr);
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

// ---- kernels -----------------------------------------------------------------------------------

/// A square matrix: element (row, column) at row·row_step + column·column_step.
struct Square {
  int n;
  const float* data;
  std::int64_t row_step, column_step;
};

/// defects += values that are not finite: whole numbers, so the order does not matter.
struct CountDefects {
  Square from;
  unsigned* defects;
};
__global__ void count_defects_kernel(CountDefects p) {
  unsigned count = 0;
  for (const std::int64_t i : grid_range(static_cast<std::int64_t>(p.from.n) * p.from.n))
    count +=
        isfinite(p.from.data[i / p.from.n * p.from.row_step + i % p.from.n * p.from.column_step])
            ? 0
            : 1;
  if (count > 0) atomicAdd(p.defects, count);
}

/// to[row + column·n] = from, or the identity if there are defects.
struct Load {
  Square from;
  const unsigned* defects;
  float* to;
};
__global__ void load_kernel(Load p) {
  const int n = p.from.n;
  for (const std::int64_t i : grid_range(static_cast<std::int64_t>(n) * n)) {
    const std::int64_t row = i / n, column = i % n;
    const float value = p.from.data[row * p.from.row_step + column * p.from.column_step];
    p.to[row + column * n] = *p.defects == 0 ? value : row == column ? 1.0f : 0.0f;
  }
}

/// Adds the damping of inverse_spd to the diagonal; one block.
struct Damp {
  int n;
  float* a;
  float relative, absolute;
  const float* damping;
  unsigned* defects;
};
struct DampShared {
  BlockSumScratch<double> sum;
};
constexpr int kDampThreads = 256;
__global__ void __launch_bounds__(kDampThreads) damp_kernel(Damp p) {
  const std::int64_t step = p.n + std::int64_t{1};
  const double share = thread_sum<double>(p.n, [&](std::int64_t i) { return p.a[i * step]; });
  const double trace = block_sum(share, block_shared<DampShared>().sum);
  const float relative = p.damping ? p.damping[0] : p.relative;
  const float absolute = p.damping ? p.damping[1] : p.absolute;
  const float shift = static_cast<float>(absolute + relative * (trace / p.n));
  const bool good = isfinite(shift);
  for (std::int64_t i = block_begin(); i < p.n; i += block_step())
    if (good) p.a[i * step] += shift;
  if (!good && threadIdx.x == 0) atomicAdd(p.defects, 1u);
}

/// to[i] = a[i + i·n]
struct Diagonal {
  int n;
  const float* a;
  float* to;
};
__global__ void diagonal_kernel(Diagonal p) {
  for (const std::int64_t i : grid_range(p.n)) p.to[i] = p.a[i * (p.n + std::int64_t{1})];
}

/// If there is neither a defect nor an error of the library: to[row·ld + column] = from, columns
/// times the sign of `signs`, and to_values = values. Sets the status.
struct Store {
  Square from;
  const unsigned* defects;
  const int* info;
  bool lower;  // of `from`, row ≥ column stands for both triangles
  const float* signs;
  float* to;
  std::int64_t ld;
  const float* values;
  float* to_values;
  int* status;
};
__global__ void store_kernel(Store p) {
  const int n = p.from.n;
  const bool good = *p.defects == 0 && p.info[0] == 0 && p.info[1] == 0;
  if (p.status && blockIdx.x == 0 && threadIdx.x == 0) *p.status = good ? 0 : 1;
  if (!good) return;
  for (const std::int64_t i : grid_range(static_cast<std::int64_t>(n) * n)) {
    const std::int64_t row = i / n, column = i % n;
    const bool swap = p.lower && row < column;
    const float value = p.from.data[(swap ? column : row) * p.from.row_step +
                                    (swap ? row : column) * p.from.column_step];
    p.to[row * p.ld + column] = p.signs && p.signs[column] < 0.0f ? -value : value;
  }
  if (p.to_values)
    for (const std::int64_t i : grid_range(n)) p.to_values[i] = p.values[i];
}

// ---- one matrix --------------------------------------------------------------------------------

/// Clears the flags and fills the scratch matrix.
void load(StreamHandle stream, const Square& from, const Scratch& s) {
  // defects and info are neighbours.
  if (cudaMemsetAsync(s.defects, 0, 3 * sizeof(int), static_cast<cudaStream_t>(stream)) !=
      cudaSuccess) {
    (void)cudaGetLastError();
    throw TargetError("cuda: memset failed");
  }
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
  if (largest(p) == 0) return;
  const Scratch s = scratch_of(work, p);
  for (int j = 0; j < p.count; ++j)
    if (p.matrix[j].n > 0) factorise(stream, p, p.matrix[j], s);
}

}  // namespace

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
