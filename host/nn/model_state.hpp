// What a Model holds: filled by ModelBuilder, read by everyone else.
#pragma once

#include <string>
#include <vector>

#include "host/nn/graph.hpp"

namespace curvseg {

struct Model::State {
  std::string name;
  int image_h = 0, image_w = 0;  // 0: any
  std::vector<Node> nodes;
  std::vector<Parameter> parameters;
  std::int64_t parameter_count = 0;
};

}  // namespace curvseg
