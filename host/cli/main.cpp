// curvseg: train, evaluate and use image segmenters from the command line.
#include <cstdio>
#include <new>
#include <sstream>
#include <string>

#include "curvseg/error.hpp"
#include "curvseg/train.hpp"
#include "host/cli/commands.hpp"
#include "host/cli/console.hpp"
#include "host/cli/help.hpp"
#include "host/cli/text.hpp"

namespace curvseg::cli {
namespace {

constexpr const char* kProgramFooter = R"(Begin with:
  curvseg demo                          a first, short training, pictures in runs/demo
  curvseg train --data DIR              your own images, see curvseg train --help
  curvseg predict --checkpoint runs/DIR-1/best.safetensors --data IMAGES --out OUT

Exit codes: 0 done, 1 something failed, 2 the input is wrong, 130 interrupted.)";

int fail(int exit_code, const std::string& message) {
  clear_status();
  std::fprintf(stderr, "curvseg: %s\n", one_line(message).c_str());
  return exit_code;
}

int run(int argc, char** argv) {
  CLI::App program("Trains networks that segment images, and uses them.", "curvseg");
  program.formatter(std::make_shared<HelpFormatter>());
  program.set_help_flag("-h,--help", "Print this help");
  program.set_version_flag("--version", "curvseg " CURVSEG_VERSION, "Print the version");
  program.require_subcommand(1);
  // Given twice, the last one counts: scripts put their defaults in front of what they were given.
  program.option_defaults()->multi_option_policy(CLI::MultiOptionPolicy::TakeLast);
  program.footer(kProgramFooter);
  int exit_code = kSuccess;
  add_train(program, exit_code);
  add_evaluate(program, exit_code);
  add_predict(program, exit_code);
  add_curvature(program, exit_code);
  add_info(program, exit_code);
  add_demo(program, exit_code);
  try {
    program.parse(argc, argv);
  } catch (const CLI::Success& success) {  // --help, --version
    std::ostringstream text;
    exit_code = program.exit(success, text, text);
    print(text.str());
  } catch (const CLI::ParseError& error) {
    return fail(kInputError, parse_error_message(program, error));
  }
  return exit_code;
}

}  // namespace
}  // namespace curvseg::cli

int main(int argc, char** argv) {
  using namespace curvseg::cli;
  keep_standard_files_apart();
  try {
    return run(argc, argv);
  } catch (const curvseg::InputError& error) {
    return fail(kInputError, error.what());
  } catch (const curvseg::Error& error) {
    return fail(kInternalError, error.what());
  } catch (const std::bad_alloc&) {
    return fail(
        kInternalError,
        "out of memory; smaller images need less, and a smaller --batch, --images-at-once or "
        "--crop of a training");
  } catch (const std::exception& error) {
    return fail(kInternalError, std::string("internal error: ") + error.what());
  }
}
