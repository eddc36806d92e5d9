// The weights of a model as matrices, for methods that look at layers.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "curvseg/model.hpp"

namespace curvseg {

/// The weight tensor of one convolution, transposed convolution or dense layer, as it lies in
/// theta:
///
///   convolution, dense     [R,S,C,K]: taps · in rows of `out` columns
///   transposed convolution [R,S,C,K], C written and K read: taps · out rows of `in` columns
///
/// so the channels that the layer reads are rows of the first and columns of the second.
struct LayerMatrix {
  int node = 0;
  std::string name;  // of the layer
  bool transposed = false;
  int taps = 1;             // R·S
  int in = 0, out = 0;      // channels read and written
  std::int64_t weight = 0;  // offset in theta
  std::int64_t bias = -1;   // offset of [out] floats; −1: none
  std::int64_t elements() const { return static_cast<std::int64_t>(taps) * in * out; }
  int rows() const { return taps * (transposed ? out : in); }
  int columns() const { return transposed ? in : out; }
};

/// In the order of the layers.
std::vector<LayerMatrix> layer_matrices(const Model& model);

/// Channels [first, first + count).
struct ChannelGroup {
  int first = 0, count = 0;
};

/// `channels` in groups of at most `largest` each, equally large but for the last: as few as there
/// can be, or of a multiple of 16 channels.
std::vector<ChannelGroup> channel_groups(int channels, int largest);

}  // namespace curvseg
