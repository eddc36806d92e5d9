// Options of the small programs here: --name=value or --name value, all of them optional.
#pragma once

#include <functional>
#include <map>
#include <string>

#include "perf/support/clock.hpp"

namespace curvseg::perf {

/// Calls `take` once for each of `samples`, or with `on_demand` for each line read, until there is
/// none: whoever interleaves several programs asks for one sample at a time.
void for_each_sample(int samples, bool on_demand, const std::function<void()>& take);

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

/// What main() of such a program does: `run` with the options, 1 and a line that begins with `name`
/// for what it throws.
int run_main(int argc, char** argv, const char* name, const char* usage, void (*run)(Arguments&));

}  // namespace curvseg::perf
