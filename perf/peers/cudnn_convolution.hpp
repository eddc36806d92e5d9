// A convolution of the list by cuDNN 8 or 9, in one of its directions.
#pragma once

#include <memory>
#include <string>

#include "perf/peers/convolution_table.hpp"

namespace curvseg::perf {

/// Activations as ours, or channel by channel. Filters lie the same way.
enum class CudnnLayout { kNhwc, kNchw };

/// By the algorithm that is fastest on `stream`'s device of those that compute in float32, without
/// tensor cores, as ours do. \throws std::runtime_error if cuDNN has none.
std::unique_ptr<PeerConvolution> make_cudnn_convolution(const Stream& stream, const Conv2dCase& c,
                                                        Direction direction, CudnnLayout layout);

/// "9.1.0"
std::string cudnn_version();

}  // namespace curvseg::perf
