// A training that fails before its first checkpoint leaves everything as it was.
#include <algorithm>
#include <map>

#include "command.hpp"

namespace curvseg::test {
namespace {

namespace fs = std::filesystem;

class FailedStart : public ::testing::Test {
 protected:
  void SetUp() override {
    for (const char* split : {"train", "val"}) {
      write_split(data_, split, 4);
    }
  }

  std::vector<std::string> arguments(const std::vector<std::string>& more = {}) const {
    std::vector<std::string> all = {
        "train",      "--data", data_.string(), "--model", "unet(width=4, depth=1)",
        "--epochs",   "1",      "--device",     "host",    "--out",
        out_.string()};
    all.insert(all.end(), more.begin(), more.end());
    return all;
  }
  CommandResult train(const std::vector<std::string>& more = {}) const {
    return run_command(arguments(more));
  }
  CommandResult resume(const std::vector<std::string>& more) const {
    std::vector<std::string> all = {
        "train",    "--resume", (out_ / "checkpoint.safetensors").string(),
        "--epochs", "3",        "--no-check"};
    all.insert(all.end(), more.begin(), more.end());
    return run_command(all);
  }

  fs::path image(const std::string& split) const { return data_ / split / "images" / "image2.png"; }
  /// The same size, so that it is the same file as far as names and sizes tell.
  static void damage(const fs::path& file) {
    auto bytes = read_bytes(file);
    std::fill(bytes.begin() + 45, bytes.end() - 16, std::uint8_t{0x55});
    write_bytes(file, bytes);
  }

  /// Every file below out, with its contents.
  std::map<std::string, std::string> files() const {
    std::map<std::string, std::string> result;
    for (const fs::directory_entry& each : fs::recursive_directory_iterator(out_)) {
      result[each.path().string()] = each.is_regular_file() ? read_text(each.path()) : "a folder";
    }
    return result;
  }
  void expect_unchanged(const std::map<std::string, std::string>& before) const {
    const auto now = files();
    for (const auto& [path, text] : before) {
      EXPECT_TRUE(now.contains(path)) << path << " is gone";
      EXPECT_TRUE(!now.contains(path) || now.at(path) == text) << path << " has changed";
    }
    for (const auto& each : now) {
      EXPECT_TRUE(before.contains(each.first)) << each.first << " is new";
    }
  }
  static void expect_refused(const CommandResult& result, const std::string& part) {
    EXPECT_EQ(result.exit_code, 2) << result.err;
    expect_mentions(result.err, part);
    EXPECT_EQ(result.out, "");
  }

  TempDir folder_;
  fs::path data_ = folder_ / "data";
  fs::path out_ = folder_ / "runs" / "first";
};

TEST_F(FailedStart, LeavesNoFolder) {
  for (const char* split : {"train", "val"}) {  // before the first step, and behind the last
    const auto bytes = read_bytes(image(split));
    damage(image(split));
    expect_refused(train({"--no-check"}), image(split).string());
    EXPECT_FALSE(fs::exists(folder_ / "runs")) << split;
    write_bytes(image(split), bytes);
  }
}

TEST_F(FailedStart, LeavesNoFolderForAnInitialState) {
  damage(image("train"));
  expect_refused(train({"--no-check", "--epochs", "0"}), image("train").string());
  EXPECT_FALSE(fs::exists(folder_ / "runs"));
}

TEST_F(FailedStart, LeavesFilesOfOthers) {
  fs::create_directories(out_);
  std::ofstream(out_ / "notes.txt") << "mine\n";
  const auto before = files();
  damage(image("train"));
  expect_refused(train({"--no-check"}), image("train").string());
  expect_unchanged(before);
}

TEST_F(FailedStart, OverwriteLeavesTheOldTraining) {
  ASSERT_EQ(train().exit_code, 0);
  const auto before = files();
  ASSERT_TRUE(before.contains((out_ / "gallery.png").string()));
  for (const char* split : {"train", "val"}) {
    const auto bytes = read_bytes(image(split));
    damage(image(split));
    expect_refused(train({"--no-check", "--overwrite"}), image(split).string());
    expect_unchanged(before);
    write_bytes(image(split), bytes);
  }
  const CommandResult diverged = train({"--overwrite", "--optimizer", "sgd", "--lr", "1e30"});
  EXPECT_EQ(diverged.exit_code, 1) << diverged.err;
  expect_unchanged(before);
}

TEST_F(FailedStart, ResumeLeavesTheOldTraining) {
  ASSERT_EQ(train().exit_code, 0);
  const auto before = files();
  const fs::path other = folder_ / "other";
  for (const char* split : {"train", "val"}) {
    const auto bytes = read_bytes(image(split));
    damage(image(split));
    expect_refused(resume({}), image(split).string());
    expect_unchanged(before);
    expect_refused(resume({"--out", other.string()}), image(split).string());
    expect_unchanged(before);
    EXPECT_FALSE(fs::exists(other));
    write_bytes(image(split), bytes);
  }
}

TEST_F(FailedStart, ReplacesTheOldTrainingWithTheFirstCheckpoint) {
  ASSERT_EQ(train().exit_code, 0);
  const std::string best = read_text(out_ / "best.safetensors");
  ASSERT_EQ(train({"--overwrite", "--seed", "2", "--pictures", "0"}).exit_code, 0);
  EXPECT_NE(read_text(out_ / "best.safetensors"), best);
  EXPECT_FALSE(fs::exists(out_ / "gallery.png")) << "of the old training";
  EXPECT_FALSE(fs::exists(out_ / "overlays")) << "of the old training";
  const auto lines = parse_json_lines(read_text(out_ / "metrics.jsonl"));
  const auto is_start = [](const auto& line) { return line.at("event") == "start"; };
  EXPECT_EQ(std::count_if(lines.begin(), lines.end(), is_start), 1);
  EXPECT_EQ(lines.front().at("seed"), 2);
  EXPECT_EQ(lines.back().at("event"), "end");
  EXPECT_EQ(nlohmann::json::parse(read_text(out_ / "options.json")).at("seed"), 2);

  ASSERT_EQ(train({"--overwrite", "--epochs", "0"}).exit_code, 0);
  EXPECT_FALSE(fs::exists(out_ / "best.safetensors")) << "of the old training";
  for (const auto& each : files()) {
    EXPECT_FALSE(each.first.ends_with(".new")) << each.first;
  }
}

TEST_F(FailedStart, ADivergedTrainingLeavesItsMetricsWhereNoCheckpointIs) {
  for (const char* rate : {"1e30", "2e30"}) {  // the second time over the files of the first
    EXPECT_EQ(train({"--optimizer", "sgd", "--lr", rate}).exit_code, 1);
    const auto lines = parse_json_lines(read_text(out_ / "metrics.jsonl"));
    ASSERT_FALSE(lines.empty());
    EXPECT_EQ(lines.front().at("learning_rate"), std::stod(rate));
    EXPECT_EQ(files().size(), 2U) << "metrics.jsonl and options.json";
  }
}

/// Killed, it cannot take back what it wrote; what was there is as it was all the same.
TEST_F(FailedStart, KilledWhileItOverwrites) {
  ASSERT_EQ(train({"--pictures", "0"}).exit_code, 0);
  auto before = files();
  Command command(arguments({"--overwrite", "--samples-per-epoch", "1000000"}), folder_.path());
  const fs::path metrics = out_ / "metrics.jsonl.new";
  ASSERT_TRUE(wait_until(
      [&] { return read_text(metrics).find("\"event\":\"step\"") != std::string::npos; }));
  command.send(SIGKILL);
  command.wait();
  for (const auto& [path, text] : before) {
    EXPECT_EQ(read_text(path), text) << path;
  }
  ASSERT_EQ(resume({"--pictures", "0"}).exit_code, 0);
  EXPECT_FALSE(fs::exists(metrics));
  EXPECT_FALSE(fs::exists(out_ / "options.json.new"));
}

TEST_F(FailedStart, NewtonOfALargeModel) {
  const CommandResult result =
      run_command({"train", "--data", data_.string(), "--optimizer", "newton", "--model", "unet",
                   "--epochs", "1", "--out", out_.string()});
  expect_refused(result, "at most 4096");
  EXPECT_EQ(std::count(result.err.begin(), result.err.end(), '\n'), 1) << result.err;
  EXPECT_FALSE(fs::exists(folder_ / "runs"));
  // What it proposes is taken.
  const std::string before = "--model \"";
  const std::size_t begin = result.err.find(before) + before.size();
  ASSERT_GE(begin, before.size());
  const std::string model = result.err.substr(begin, result.err.find('"', begin) - begin);
  const CommandResult smaller =
      run_command({"train", "--data", data_.string(), "--optimizer", "newton", "--model", model,
                   "--epochs", "0", "--out", out_.string()});
  EXPECT_EQ(smaller.exit_code, 0) << model << ": " << smaller.err;
}

TEST_F(FailedStart, NewtonTakesASmallModelByItself) {
  const CommandResult result = run_command({"train", "--data", data_.string(), "--optimizer",
                                            "newton", "--epochs", "0", "--out", out_.string()});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  const auto options = nlohmann::json::parse(read_text(out_ / "options.json"));
  EXPECT_TRUE(options.at("model").get<std::string>().starts_with("unet(width=4, depth=1"));
  EXPECT_LE(options.at("parameters"), 4096);
}

TEST_F(FailedStart, ADivergedTrainingAdvisesWhatItsOptimizerTakes) {
  const auto diverged = [&](const std::string& optimizer,
                            const std::vector<std::string>& more = {}) {
    std::vector<std::string> options = {"--optimizer", optimizer, "--lr", "1e30"};
    options.insert(options.end(), more.begin(), more.end());
    const CommandResult result = train(options);
    EXPECT_EQ(result.exit_code, 1) << result.err;
    return result.err;
  };
  expect_mentions(diverged("sgd"), "a lower --lr or --clip 1 often helps");
  expect_mentions(diverged("sgd", {"--clip", "1"}), "a lower --lr or a smaller --clip often helps");
}

TEST_F(FailedStart, MethodsThatTakeStepsBackSurviveALearningRateThatIsFarTooHigh) {
  for (const std::string optimizer : {"soap", "muon", "gd"}) {
    SCOPED_TRACE(optimizer);
    const CommandResult result =
        train({"--optimizer", optimizer, "--lr", "1e30", "--batch", "8", "--samples-per-epoch",
               "48", "--pictures", "0", "--overwrite"});
    ASSERT_EQ(result.exit_code, 0) << result.err;
    EXPECT_NE(read_text(out_ / "metrics.jsonl").find("\"rejected\":1.0"), std::string::npos);
  }
}

}  // namespace
}  // namespace curvseg::test
