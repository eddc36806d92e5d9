// Results that cannot be printed are an error, not a success.
#include "command.hpp"

namespace curvseg::test {
namespace {

namespace fs = std::filesystem;

void expect_failure(const std::vector<std::string>& arguments, Stdout to, const char* reason) {
  const CommandResult result = run_command(arguments, to);
  EXPECT_EQ(result.exit_code, 1) << result.err;
  EXPECT_EQ(std::count(result.err.begin(), result.err.end(), '\n'), 1) << result.err;
  expect_mentions(result.err, "curvseg: stdout", reason);
}

TEST(Stdout, Full) {
  for (const std::vector<std::string>& arguments : std::vector<std::vector<std::string>>{
           {"info"}, {"info", "--json"}, {"--help"}, {"--version"}, {"train", "--help"}}) {
    expect_failure(arguments, Stdout::kFull, "No space left");
  }
}

TEST(Stdout, Closed) {
  expect_failure({"info"}, Stdout::kClosed, "closed");
  expect_failure({"--help"}, Stdout::kClosed, "closed");
}

/// The first file that is opened gets the lowest free number, which must not be that of stdout.
TEST(Stdout, WhatIsPrintedDoesNotLandInAFileWhenStdoutIsClosed) {
  const TempDir folder;
  const fs::path run = folder / "run";
  expect_failure(tiny_training(run, {"--quiet", "--epochs", "1", "--pictures", "0"}),
                 Stdout::kClosed, "closed");
  EXPECT_FALSE(parse_json_lines(read_text(run / "metrics.jsonl")).empty());
  EXPECT_TRUE(fs::exists(run / "checkpoint.safetensors"));  // of use, whatever could be printed
}

}  // namespace
}  // namespace curvseg::test
