#include "host/cli/console.hpp"

#include <fcntl.h>
#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/base_sink.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <mutex>
#include <string_view>

#include "curvseg/error.hpp"

namespace curvseg::cli {
namespace {

constexpr std::string_view kEraseLine = "\r\x1b[K";

void write_stderr(std::string_view text) {
  std::fwrite(text.data(), 1, text.size(), stderr);
  std::fflush(stderr);
}

bool is_dumb_terminal() {
  const char* term = std::getenv("TERM");
  return term == nullptr || std::string_view(term) == "dumb";
}

/// Log lines above, the status line below: a line is written where the status line was, which then
/// follows again.
class StatusSink final : public spdlog::sinks::base_sink<std::mutex> {
 public:
  void set_status(const std::string& line) {
    const std::scoped_lock lock(mutex_);
    status_ = line;
    write_stderr(std::string(kEraseLine) + status_);
  }

  void clear_status() {
    const std::scoped_lock lock(mutex_);
    if (!status_.empty()) {
      write_stderr(kEraseLine);
      status_.clear();
    }
  }

 private:
  void sink_it_(const spdlog::details::log_msg& message) override {
    spdlog::memory_buf_t text;
    formatter_->format(message, text);
    const std::string_view line(text.data(), text.size());
    if (status_.empty()) {
      write_stderr(line);
    } else {
      write_stderr(std::string(kEraseLine).append(line).append(status_));
    }
  }

  void flush_() override { std::fflush(stderr); }

  std::string status_;
};

std::shared_ptr<StatusSink>& sink() {
  static std::shared_ptr<StatusSink> the_sink = std::make_shared<StatusSink>();
  return the_sink;
}

bool status_line_wanted = false;

}  // namespace

void start_console(bool quiet) {
  auto logger = std::make_shared<spdlog::logger>("curvseg", sink());
  logger->set_pattern("%v");
  logger->set_level(quiet ? spdlog::level::warn : spdlog::level::info);
  spdlog::set_default_logger(std::move(logger));
  status_line_wanted = !quiet && isatty(STDERR_FILENO) != 0 && !is_dumb_terminal();
}

bool has_status_line() { return status_line_wanted; }

int terminal_columns() {
  winsize size{};
  constexpr int kUsual = 80;
  return ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : kUsual;
}

void set_status(const std::string& line) {
  if (status_line_wanted) {
    // The last column stays free: some terminals wrap as soon as it is written.
    sink()->set_status(line.substr(0, static_cast<std::size_t>(terminal_columns() - 1)));
  }
}

void clear_status() {
  if (status_line_wanted) {
    sink()->clear_status();
  }
}

void print(const std::string& text) {
  clear_status();
  errno = 0;
  if (std::fwrite(text.data(), 1, text.size(), stdout) != text.size() || std::fflush(stdout) != 0) {
    throw Error(std::string("stdout cannot be written to: ") +
                (errno == EBADF ? "it is closed" : std::strerror(errno)));
  }
}

void keep_standard_files_apart() {
  // What is not readable or not writable fails when it is used, which is wanted.
  constexpr std::array kFlags = {O_WRONLY, O_RDONLY, O_WRONLY};  // of stdin, stdout, stderr
  for (int file = STDIN_FILENO; file <= STDERR_FILENO; ++file) {
    if (fcntl(file, F_GETFD) == -1 && errno == EBADF) {
      static_cast<void>(open("/dev/null", kFlags[static_cast<std::size_t>(file)]));
    }
  }
}

bool stdout_has_colors() {
  return isatty(STDOUT_FILENO) != 0 && !is_dumb_terminal() && std::getenv("NO_COLOR") == nullptr;
}

}  // namespace curvseg::cli
