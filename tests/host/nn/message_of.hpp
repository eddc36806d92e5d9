// What an exception says.
#pragma once

#include <gtest/gtest.h>

#include <string>

namespace curvseg {

/// The message of the Exception that function() throws; a failure if it throws none.
template <class Exception, class Function>
std::string message_of(Function function) {
  try {
    function();
  } catch (const Exception& e) {
    return e.what();
  }
  ADD_FAILURE() << "nothing was thrown";
  return {};
}

}  // namespace curvseg
