/// \file
/// Small help with words.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace curvseg::cli {

/// @p text broken into lines of at most @p width columns at spaces; newlines in it stay.
std::string wrap(std::string_view text, std::size_t width);

/// The one of @p known that @p word was most likely meant to be; empty when none is close.
std::string nearest(std::string_view word, const std::vector<std::string>& known);

/// "a, b or c".
std::string join_or(const std::vector<std::string>& words);

/// "a, b, c and 12 more".
std::string join_some(const std::vector<std::string>& words, std::size_t most);

/// @p text on one line, for messages.
std::string one_line(std::string text);

}  // namespace curvseg::cli
