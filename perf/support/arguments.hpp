// Options of the small programs here: --name=value or --name value, all of them optional.
#pragma once

#include <map>
#include <string>

#include "perf/support/clock.hpp"

namespace curvseg::perf {

class Arguments {
 public:
  /// With --help it prints `usage` and ends the program.
  /// \throws std::runtime_error for an argument of another form.
  Arguments(int argc, char** argv, const char* usage);

  std::string text(const std::string& name, const std::string& otherwise);
  /// A whole number of 1 or more.
  int number(const std::string& name, int otherwise);
  bool flag(const std::string& name);
  /// --clock=wall|cpu; cpu only with one thread, since waiting threads spin.
  Clock clock();
  /// \throws std::runtime_error for an option that nobody asked about.
  void done() const;

 private:
  std::map<std::string, std::string> given_;
};

}  // namespace curvseg::perf
