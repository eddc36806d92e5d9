/// @file
/// Exceptions thrown by curvseg.
#pragma once

#include <stdexcept>

namespace curvseg {

/// Base of every exception curvseg throws on purpose. The message is one line that names both sides
/// of a disagreement, for instance `there is no optimiser "rmsprop"; there are: sgd, adam, adamw`.
///
/// Calls that a program got wrong throw the standard library's own, as the functions say, mostly
/// std::invalid_argument: `conv2d_forward: w has 16 input channels, x has 32`.
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

/// A device refused a launch, a copy or an allocation, or failed in one: no memory left, a launch
/// beyond the GPU's limits, an error of the CUDA runtime. On the emulated target also a defect that
/// its checks found. The message begins with the target, names the kernel where there is one, and
/// says what was wrong. Work is asynchronous on a GPU and when emulated: what failed in it is
/// thrown by the call that waits for it, Stream::synchronise() for instance.
class TargetError : public Error {
 public:
  using Error::Error;
};

}  // namespace curvseg
