// A table of convolutions beside another library's, in one run.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "perf/support/arguments.hpp"
#include "perf/support/convolution.hpp"

namespace curvseg::perf {

/// A convolution of the list by another library, in one of its directions. Filters lie in the
/// library's own layout from the start; activations rotate, as ours do.
class PeerConvolution {
 public:
  virtual ~PeerConvolution() = default;
  virtual void run() = 0;  // enqueues it once
  /// What the last run wrote: [N,H,W,C] or [R,S,C,K].
  virtual std::vector<float> result() = 0;
};

/// One way to use the library; the best of them counts.
struct PeerSide {
  std::string name;
  std::function<std::unique_ptr<PeerConvolution>(const Stream&, const Conv2dCase&, Direction)> make;
};

struct Peer {
  std::string name;    // "oneDNN 2.6.3"
  std::string device;  // of both, as Device::open() takes it
  std::vector<PeerSide> sides;
};

/// Options --pairs, --clock, --only and --json.
///
/// Sides are timed in turn, one right after the other, so that a change of the machine's speed hits
/// all; the ratio is the median of the rounds against the better side, with the least and the
/// largest. Results are compared before. With --json one object a row, with all samples, for
/// perf/run.py.
/// \throws std::runtime_error for a wrong option, a missing device, or results that differ.
void compare_convolutions(Arguments& arguments, const Peer& peer);

}  // namespace curvseg::perf
