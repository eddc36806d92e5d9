#include "perf/support/arguments.hpp"

#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <iostream>
#include <stdexcept>
#include <string_view>

namespace curvseg::perf {

Arguments::Arguments(int argc, char** argv, const char* usage) {
#ifndef NDEBUG
  throw std::runtime_error("this is a Debug build; its times mean nothing");
#endif
  for (int i = 1; i < argc; ++i) {
    const std::string_view argument = argv[i];
    if (!argument.starts_with("--"))
      throw std::runtime_error(std::string(argument) + ": options look like --name=value");
    const std::size_t equals = argument.find('=');
    const std::string name(argument.substr(2, equals == argument.npos ? equals : equals - 2));
    if (equals != argument.npos)
      given_[name] = argument.substr(equals + 1);
    else if (i + 1 < argc && !std::string_view(argv[i + 1]).starts_with("--"))
      given_[name] = argv[++i];
    else
      given_[name] = "";
  }
  if (flag("help")) {
    std::fputs(usage, stdout);
    std::exit(EXIT_SUCCESS);
  }
}

std::string Arguments::text(const std::string& name, const std::string& otherwise) {
  const auto found = given_.find(name);
  if (found == given_.end()) return otherwise;
  std::string value = found->second;
  given_.erase(found);
  return value;
}

int Arguments::number(const std::string& name, int otherwise) {
  const std::string value = text(name, std::to_string(otherwise));
  int result = 0;
  const char* end = value.data() + value.size();
  const auto parsed = std::from_chars(value.data(), end, result);
  if (parsed.ec != std::errc() || parsed.ptr != end || result < 1)
    throw std::runtime_error("--" + name + " " + value + ": must be a whole number of 1 or more");
  return result;
}

bool Arguments::flag(const std::string& name) { return given_.erase(name) > 0; }

Clock Arguments::clock() {
  const std::string value = text("clock", "wall");
  if (value != "wall" && value != "cpu")
    throw std::runtime_error("--clock " + value + ": must be wall or cpu");
  if (value == "cpu" && threads() > 1)
    throw std::runtime_error("--clock cpu is for one thread: set OMP_NUM_THREADS=1");
  return value == "wall" ? Clock::kWall : Clock::kCpu;
}

void Arguments::done() const {
  if (!given_.empty()) throw std::runtime_error("there is no option --" + given_.begin()->first);
}

void for_each_sample(int samples, bool on_demand, const std::function<void()>& take) {
  std::string line;
  for (int i = 0; on_demand ? static_cast<bool>(std::getline(std::cin, line)) : i < samples; ++i) {
    take();
    std::fflush(stdout);
  }
}

int run_main(int argc, char** argv, const char* name, const char* usage, void (*run)(Arguments&)) {
  try {
    Arguments arguments(argc, argv, usage);
    run(arguments);
    return 0;
  } catch (const std::exception& e) {
    std::fprintf(stderr, "%s: %s\n", name, e.what());
    return 1;
  }
}

}  // namespace curvseg::perf
