#include <string>

#include "curvseg/spectrum.hpp"

namespace curvseg {

std::vector<VectorRange> layer_ranges(const Model& model) {
  std::vector<VectorRange> ranges;
  for (const Parameter& parameter : model.parameters()) {
    const std::string layer = parameter.name.substr(0, parameter.name.rfind('.'));
    if (ranges.empty() || ranges.back().name != layer)
      ranges.push_back({layer, parameter.offset, 0, 0});
    VectorRange& range = ranges.back();
    range.size = parameter.offset + parameter.size - range.offset;
    range.parameters += parameter.size;
  }
  return ranges;
}

}  // namespace curvseg
