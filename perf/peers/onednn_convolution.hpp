// A convolution of the list by oneDNN, version 2 or 3, in one of its directions.
#pragma once

#include <memory>
#include <string>

#include "perf/peers/convolution_table.hpp"

namespace curvseg::perf {

/// NHWC as ours, or the layout that oneDNN likes best.
enum class OneDnnLayout { kNhwc, kAny };

std::unique_ptr<PeerConvolution> make_onednn_convolution(const Conv2dCase& c, Direction direction,
                                                         OneDnnLayout layout);

/// "2.6.3"
std::string onednn_version();

}  // namespace curvseg::perf
