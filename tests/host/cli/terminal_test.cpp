// What a person at a terminal sees.
#include <fcntl.h>
#include <sys/ioctl.h>

#include <cstdlib>

#include "command.hpp"

namespace curvseg::test {
namespace {

/// A new pseudo-terminal, or −1.
int open_terminal() {
  const int terminal = posix_openpt(O_RDWR | O_NOCTTY);
  if (terminal >= 0 && (grantpt(terminal) != 0 || unlockpt(terminal) != 0)) {
    close(terminal);
    return -1;
  }
  return terminal;
}

/// Not every container has pseudo-terminals.
class Terminal : public ::testing::Test {
 protected:
  void SetUp() override {
    const int terminal = open_terminal();
    if (terminal < 0) {
      GTEST_SKIP() << "no pseudo-terminal to be had: is /dev/pts mounted?";
    }
    close(terminal);
  }
};

/// Output of the command when stdout and stderr are a terminal.
std::string run_in_terminal(const std::vector<std::string>& arguments,
                            unsigned short columns = 100) {
  const int terminal = open_terminal();
  if (terminal < 0) {
    throw std::runtime_error("no pseudo-terminal to be had");
  }
  const winsize size{.ws_row = 30, .ws_col = columns, .ws_xpixel = 0, .ws_ypixel = 0};
  ioctl(terminal, TIOCSWINSZ, &size);
  const std::string name = ptsname(terminal);
  std::vector<char*> argv = {const_cast<char*>(CURVSEG_COMMAND_PATH)};
  for (const std::string& each : arguments) {
    argv.push_back(const_cast<char*>(each.c_str()));
  }
  argv.push_back(nullptr);
  std::vector<char*> environment = command_environment();
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, name.c_str(), O_RDWR | O_NOCTTY, 0);
  posix_spawn_file_actions_adddup2(&actions, STDOUT_FILENO, STDERR_FILENO);
  pid_t process = -1;
  const int error = posix_spawn(&process, CURVSEG_COMMAND_PATH, &actions, nullptr, argv.data(),
                                environment.data());
  posix_spawn_file_actions_destroy(&actions);
  EXPECT_EQ(error, 0);
  std::string text;
  std::vector<char> buffer(4096);
  // Linux reports an error once the last process has closed its side.
  for (ssize_t count = 1; count > 0;) {
    count = read(terminal, buffer.data(), buffer.size());
    text.append(buffer.data(), count > 0 ? static_cast<std::size_t>(count) : 0);
  }
  waitpid(process, nullptr, 0);
  close(terminal);
  return text;
}

TEST_F(Terminal, ShowsABarWithLossScoreRateAndTimeLeft) {
  const TempDir folder;
  const std::string text = run_in_terminal(tiny_training(folder / "run", {"--epochs", "30"}));
  expect_mentions(text, "\r\x1b[K", "[=", "> ", "loss ", "mIoU 0.", "images/s", " left",
                  "epoch  1/30");
  expect_mentions(text, "\x1b[48;2;");  // the colour of a class beside its name
  // Each state of the bar fits the terminal: a line that wraps cannot be taken back.
  for (std::size_t begin = text.find("\r\x1b[K"); begin != std::string::npos;) {
    const std::size_t end = text.find("\r\x1b[K", begin + 4);
    const std::string state = text.substr(begin + 4, end - begin - 4);
    EXPECT_LE(state.find_first_of("\r\n") == std::string::npos ? state.size() : 0, 99U) << state;
    begin = end;
  }
}

TEST_F(Terminal, EightyColumnsHoldABarBesideTheScore) {
  const TempDir folder;
  const std::string text =
      run_in_terminal(tiny_training(folder / "run", {"--epochs", "30", "--steps", "2000"}), 80);
  int with_score = 0;
  for (std::size_t begin = text.find("\r\x1b[K"); begin != std::string::npos;) {
    const std::size_t end = text.find("\r\x1b[K", begin + 4);
    const std::string state = text.substr(begin + 4, end - begin - 4);
    begin = end;
    if (state.find_first_of("\r\n") != std::string::npos) continue;
    EXPECT_LE(state.size(), 79U) << state;
    if (state.find("mIoU") == std::string::npos) continue;
    ++with_score;
    expect_mentions(state, "[", "]", "loss", "images/s");
  }
  EXPECT_GT(with_score, 0) << text;
}

TEST_F(Terminal, QuietShowsNoBar) {
  const TempDir folder;
  const std::string text = run_in_terminal(tiny_training(folder / "run", {"--quiet"}));
  EXPECT_EQ(text.find("\x1b[K"), std::string::npos) << text;
  expect_mentions(text, "mean");
}

}  // namespace
}  // namespace curvseg::test
