// Numbers of an optimiser's state as text that keeps every bit.
#pragma once

#include <map>
#include <string>
#include <string_view>

namespace curvseg {

/// In hexadecimal.
std::string exact_text(double value);
/// Its inverse. \throws InputError for a number that is missing or malformed.
double exact_number(const std::map<std::string, std::string>& scalars, std::string_view optimizer,
                    const std::string& name);

}  // namespace curvseg
