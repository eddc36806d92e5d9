// Memory and streams of the cuda target.
#pragma once

#include "target.hpp"

namespace curvseg {

const Runtime& cuda_runtime();

namespace target_cuda {
/// Frees what cuSOLVER has for a stream, before it is destroyed (dense_cuda.cu).
void forget_stream(StreamHandle stream);
}  // namespace target_cuda

}  // namespace curvseg
