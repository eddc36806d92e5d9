#include "host/cli/interrupt.hpp"

#include <csignal>

namespace curvseg::cli {
namespace {

volatile std::sig_atomic_t flag = 0;

extern "C" void on_interrupt(int) { flag = 1; }

void install(int signal) {
  struct sigaction action {};
  action.sa_handler = on_interrupt;
  // SA_RESETHAND: whoever presses Ctrl-C twice does not want to wait for the step.
  action.sa_flags = static_cast<int>(SA_RESETHAND) | SA_RESTART;
  sigaction(signal, &action, nullptr);
}

}  // namespace

InterruptGuard::InterruptGuard() {
  flag = 0;
  install(SIGINT);
  install(SIGTERM);
}

InterruptGuard::~InterruptGuard() {
  std::signal(SIGINT, SIG_DFL);
  std::signal(SIGTERM, SIG_DFL);
}

bool InterruptGuard::interrupted() { return flag != 0; }

}  // namespace curvseg::cli
