/// \file
/// What a training says of its classes before it starts.
#pragma once

#include <cstddef>
#include <string>

#include "host/cli/inputs.hpp"

namespace curvseg::cli {

/// "3 road", or "class 3" when that is all its name says.
std::string class_text(std::size_t index, const std::string& name);

/// " (classes.txt)": where the number of classes is from; empty when the data set always has as
/// many.
std::string class_source_text(const TrainingData& data);

/// The share of each class among the pixels that were checked. Nobody but the user can know that a
/// value in the masks was meant to be no class, so this must show it. Warns of classes that do not
/// occur.
void say_classes(const TrainingData& data, int ignore_index);

}  // namespace curvseg::cli
