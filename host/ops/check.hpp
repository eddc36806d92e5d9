// Argument checks of the operations: one clear sentence with both sides of a disagreement.
#pragma once

#include <cstdint>
#include <stdexcept>
#include <string>
#include <string_view>

#include "curvseg/ops.hpp"
#include "host/device/extents.hpp"
#include "target.hpp"

namespace curvseg {

[[noreturn]] inline void refuse(std::string_view operation, const std::string& why) {
  throw std::invalid_argument(std::string(operation) + ": " + why);
}

inline void require(bool condition, std::string_view operation, const char* why) {
  if (!condition) refuse(operation, why);
}

/// A tensor that a kernel may touch: extents and stride make sense, and there is memory.
template <class T>
void check_tensor(std::string_view operation, const char* name, const BasicTensorView<T>& view) {
  check_shape(operation, name, view.shape, view.ld);
  if (!view.data && view.shape.elements() > 0)
    refuse(operation, std::string(name) + " " + to_string(view.shape) + " has no memory");
}

/// A number of float32 elements that a kernel may count.
inline void check_elements(std::string_view operation, const char* name, std::int64_t elements) {
  constexpr std::int64_t kMost = most_elements(sizeof(float));
  if (elements < 0 || elements > kMost)
    refuse(operation, std::string(name) + " has " + std::to_string(elements) + " elements, 0 to " +
                          std::to_string(kMost) + " are possible");
}

/// A matrix that a kernel may touch.
template <class T>
void check_matrix(std::string_view operation, const char* name, const BasicMatrixView<T>& view) {
  // Written only when it is needed: a step that is as planned takes nothing from the heap.
  const auto size = [&] {
    return std::string(name) + " is " + std::to_string(view.rows) + "x" +
           std::to_string(view.columns);
  };
  if (view.rows < 0 || view.columns < 0) refuse(operation, size());
  if (view.ld < view.columns)
    refuse(operation, size() + ", more than its row stride of " + std::to_string(view.ld));
  constexpr std::int64_t kMost = most_elements(sizeof(float));
  if (view.rows > 0 && view.ld > kMost / view.rows)
    refuse(operation, size() + " with row stride " + std::to_string(view.ld) +
                          ", it spans more elements than the " + std::to_string(kMost) +
                          " of 4 bytes that 64 bits address");
  if (!view.data && view.rows > 0 && view.columns > 0)
    refuse(operation, size() + " without memory");
}

inline void check_same_shape(std::string_view operation, const char* a_name, const Shape& a,
                             const char* b_name, const Shape& b) {
  if (!(a == b))
    refuse(operation,
           std::string(a_name) + " is " + to_string(a) + ", " + b_name + " is " + to_string(b));
}

inline void check_bytes(std::string_view operation, const Workspace& workspace,
                        std::int64_t floats) {
  const std::size_t bytes = static_cast<std::size_t>(floats) * sizeof(float);
  if (workspace.bytes < bytes || (!workspace.data && bytes > 0))
    refuse(operation, "the workspace has " + std::to_string(workspace.bytes) + " bytes, " +
                          std::to_string(bytes) + " are needed");
  constexpr std::uintptr_t kAlignment = 16;  // of asynchronous copies from filter panels
  if (bytes > 0 && reinterpret_cast<std::uintptr_t>(workspace.data) % kAlignment != 0)
    refuse(operation, "the workspace is not aligned to 16 bytes");
}

inline const Kernels& kernels_of(const Stream& stream) { return *stream.device().target().kernels; }

}  // namespace curvseg
