// CURVSEG_HOST_DEVICE marks the index arithmetic of problem structs, which the host API includes
// without a target.
#pragma once

#if defined(__CUDACC__)
#define CURVSEG_HOST_DEVICE __host__ __device__
#else
#define CURVSEG_HOST_DEVICE
#endif
