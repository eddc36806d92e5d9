/// @file
/// Exceptions thrown by curvseg.
#pragma once

#include <stdexcept>

namespace curvseg {

/// Base of every exception curvseg throws on purpose. The message is one line that names both sides
/// of a disagreement, for instance `conv2d_forward: w has 16 input channels, x has 32`.
class Error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// Something the user gave is wrong: a folder that is not there, a file that is damaged, an option
/// out of range. The message names the file. The command line prints it and leaves with exit
/// code 2.
class InputError : public Error {
 public:
  using Error::Error;
};

}  // namespace curvseg
