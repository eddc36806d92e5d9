/// \file
/// Runs the built `curvseg` as people do: as a process of its own.
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "host/data/fixtures.hpp"

namespace curvseg::test {

inline std::string read_text(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

/// The environment of the commands: one thread, so that tests side by side do not wait for each
/// other at every barrier, on which bits do not depend; and the instruction set that was asked for.
inline std::vector<char*> command_environment() {
  static std::string one_thread = "OMP_NUM_THREADS=1";
  static std::string terminal = "TERM=xterm-256color";
  static std::string set;
  const char* asked = std::getenv("CURVSEG_INSTRUCTION_SET");
  if (asked == nullptr) return {one_thread.data(), terminal.data(), nullptr};
  set = std::string("CURVSEG_INSTRUCTION_SET=") + asked;
  return {one_thread.data(), terminal.data(), set.data(), nullptr};
}

struct CommandResult {
  int exit_code = -1;  ///< 128 + the signal's number when one ended it
  std::string out;
  std::string err;
};

/// What a command finds as its stdout.
enum class Stdout { kFile, kFull, kClosed };

/// `curvseg ARGUMENTS` under way; stdout, unless it is to be something else, and stderr go to files
/// in @p folder.
class Command {
 public:
  Command(const std::vector<std::string>& arguments, const std::filesystem::path& folder,
          Stdout to = Stdout::kFile)
      : out_(folder / "stdout.txt"), err_(folder / "stderr.txt") {
    std::vector<char*> argv = {const_cast<char*>(CURVSEG_COMMAND_PATH)};
    for (const std::string& each : arguments) {
      argv.push_back(const_cast<char*>(each.c_str()));
    }
    argv.push_back(nullptr);
    std::vector<char*> environment = command_environment();
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    constexpr int kFlags = O_WRONLY | O_CREAT | O_TRUNC;
    posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    const char* out = to == Stdout::kFull ? "/dev/full" : out_.c_str();
    posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, out, kFlags, 0600);
    if (to == Stdout::kClosed) {
      posix_spawn_file_actions_addclose(&actions, STDOUT_FILENO);
    }
    posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, err_.c_str(), kFlags, 0600);
    if (posix_spawn(&process_, CURVSEG_COMMAND_PATH, &actions, nullptr, argv.data(),
                    environment.data()) != 0) {
      throw std::runtime_error("cannot start " CURVSEG_COMMAND_PATH);
    }
    posix_spawn_file_actions_destroy(&actions);
  }
  ~Command() {
    if (process_ > 0) {
      kill(process_, SIGKILL);
      waitpid(process_, nullptr, 0);
    }
  }
  Command(const Command&) = delete;
  Command& operator=(const Command&) = delete;

  void send(int signal) const { kill(process_, signal); }

  CommandResult wait() {
    int status = 0;
    waitpid(std::exchange(process_, -1), &status, 0);
    return {WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status), read_text(out_),
            read_text(err_)};
  }

 private:
  std::filesystem::path out_;
  std::filesystem::path err_;
  pid_t process_ = -1;
};

inline CommandResult run_command(const std::vector<std::string>& arguments,
                                 Stdout to = Stdout::kFile) {
  const TempDir folder;
  return Command(arguments, folder.path(), to).wait();
}

/// The objects of a file of JSON lines; a failure for a line that is none.
inline std::vector<nlohmann::json> parse_json_lines(const std::string& text) {
  std::vector<nlohmann::json> lines;
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t end = text.find('\n', begin);
    const std::string line = text.substr(begin, end - begin);
    lines.push_back(nlohmann::json::parse(line, nullptr, false));
    EXPECT_TRUE(lines.back().is_object()) << line;
    begin = end == std::string::npos ? text.size() : end + 1;
  }
  return lines;
}

/// Those that tell of one event.
inline std::vector<nlohmann::json> json_events(const std::string& text, const std::string& event) {
  std::vector<nlohmann::json> lines = parse_json_lines(text);
  std::erase_if(lines, [&](const nlohmann::json& line) { return line.at("event") != event; });
  return lines;
}

/// Waits until @p condition holds; false when it takes more than a minute.
template <typename Condition>
bool wait_until(const Condition& condition) {
  const auto end = std::chrono::steady_clock::now() + std::chrono::minutes(1);
  while (!condition()) {
    if (std::chrono::steady_clock::now() > end) {
      return false;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  return true;
}

/// A training of a moment: 6 images of 32x32, a network of a few hundred parameters.
inline std::vector<std::string> tiny_training(const std::filesystem::path& out,
                                              const std::vector<std::string>& more = {}) {
  std::vector<std::string> arguments = {"train",
                                        "--data",
                                        "builtin:cells?size=32&train=6&val=2&test=2",
                                        "--model",
                                        "unet(width=4, depth=1)",
                                        "--batch",
                                        "2",
                                        "--epochs",
                                        "2",
                                        "--device",
                                        "host",
                                        "--out",
                                        out.string()};
  arguments.insert(arguments.end(), more.begin(), more.end());
  return arguments;
}

/// A data folder: `split`/images and `split`/masks with @p count grey images of 32x32.
inline void write_split(const std::filesystem::path& folder, const std::string& split, int count) {
  for (const char* kind : {"images", "masks"}) {
    std::filesystem::create_directories(folder / split / kind);
  }
  for (int i = 0; i < count; ++i) {
    const std::string name = "image" + std::to_string(i) + ".png";
    const auto value = static_cast<std::uint8_t>(40 * i);
    write_flat_png(folder / split / "images" / name, 32, 32, 1, value);
    write_flat_mask(folder / split / "masks" / name, 32, 32, static_cast<std::uint8_t>(i % 2));
  }
}

}  // namespace curvseg::test
