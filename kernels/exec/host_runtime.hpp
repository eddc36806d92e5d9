// Memory and streams of the host target.
#pragma once

#include "target.hpp"

namespace curvseg {

const Runtime& host_runtime();

/// The widest instruction set of this processor that kernels may be compiled for: "x86-64-v4",
/// "x86-64-v3" or "x86-64".
const char* host_instruction_set();

}  // namespace curvseg
