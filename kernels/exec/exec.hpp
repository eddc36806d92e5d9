// The execution layer: the one folder that knows a target.
//
// Kernels include this header and write ordinary CUDA text inside
// `namespace curvseg::CURVSEG_TARGET`. What has to differ between targets has one name and one
// definition per target:
//
//   launch<kernel, Shared>(stream, grid, block, params)   start a kernel, or throw LaunchError
//   block_shared<Shared>()                                the block's shared struct
//   grid_range(n), block_range(n)                         the indices of this thread
//   block_sum(value, scratch)                             fixed-order sum over the block
//   copy_async / commit_copies / wait_copies<n>           asynchronous copies into shared memory
//   fma(a, b, c)                                          fused where the target has it
//   BlockTile, kStagedOperands, kTileRows ...             the matrix atom and its shape
//
// | target   | macro                | a thread block is                              |
// | cuda     | __CUDACC__           | a CUDA block                                   |
// | host     | (none)               | one thread that loops; blocks spread by OpenMP |
// | emulated | CURVSEG_EMULATED     | the GPU's block, each CUDA thread a fiber      |
#pragma once

#ifndef CURVSEG_TARGET
#error "CURVSEG_TARGET names the namespace of this compilation, for example target_host_v3"
#endif

#if defined(__CUDACC__)
#include "exec/cuda.hpp"
#elif defined(CURVSEG_EMULATED)
#include "exec/emulated.hpp"
#else
#include "exec/host.hpp"
#endif

#include "exec/common.hpp"
