// Kernels whose memory requests and arithmetic are known beforehand.
#pragma once

#include "exec/stream.hpp"

namespace curvseg::target_emulated {

inline constexpr int kCountedThreads = 64;  // two warps

/// to[i] = from[stride · i] by every thread: 4 bytes a lane.
void strided_read(StreamHandle stream, const float* from, float* to, int stride);
/// As above with 16 bytes a lane and no stride.
void vector_copy(StreamHandle stream, const float* from, float* to);
/// Every thread writes shared[stride · i] and reads it back.
void shared_stride(StreamHandle stream, float* to, int stride);
/// Rows of 16 bytes, `stride` floats apart, read from shared memory.
void shared_vectors(StreamHandle stream, float* to, int stride);
/// `rounds` fma() a thread and `rounds` barriers, in 3 blocks.
void multiply_adds(StreamHandle stream, float* to, int rounds);

}  // namespace curvseg::target_emulated
