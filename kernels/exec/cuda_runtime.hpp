// Memory and streams of the cuda target.
#pragma once

#include "target.hpp"

namespace curvseg {

const Runtime& cuda_runtime();

}  // namespace curvseg
