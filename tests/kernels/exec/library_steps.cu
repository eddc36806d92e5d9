#include "library_steps.hpp"

#include "dense/library_steps.hpp"

namespace curvseg::CURVSEG_TARGET {

void load_square(StreamHandle stream, int n, const float* from, std::int64_t ld, unsigned* defects,
                 float* to) {
  const Square square{n, from, ld, 1};
  const dim3 grid = grid_for(static_cast<std::int64_t>(n) * n);
  launch<count_defects_kernel>(stream, grid, kGridThreads, CountDefects{square, defects});
  launch<load_kernel>(stream, grid, kGridThreads, Load{square, defects, to});
}

void damp_square(StreamHandle stream, int n, float* a, float relative, float absolute,
                 const float* damping, unsigned* defects) {
  launch<damp_kernel, DampShared>(stream, dim3{1, 1, 1}, kDampThreads,
                                  Damp{n, a, relative, absolute, damping, defects});
}

void take_diagonal(StreamHandle stream, int n, const float* a, float* to) {
  launch<diagonal_kernel>(stream, grid_for(n), kGridThreads, Diagonal{n, a, to});
}

void store_square(StreamHandle stream, const StoredSquare& s) {
  launch<store_kernel>(stream, grid_for(static_cast<std::int64_t>(s.n) * s.n), kGridThreads,
                       Store{{s.n, s.scratch, 1, s.n},
                             s.defects,
                             s.info,
                             s.lower,
                             s.signs,
                             s.to,
                             s.ld,
                             s.values,
                             s.to_values,
                             s.status});
}

}  // namespace curvseg::CURVSEG_TARGET
