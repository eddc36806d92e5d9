// Ctrl-C, and going on from there.
#include "command.hpp"
#include "curvseg/checkpoint.hpp"

namespace curvseg::test {
namespace {

namespace fs = std::filesystem;

const std::vector<std::string> kLong = {"--epochs", "40", "--pictures",  "0",
                                        "--clip",   "1",  "--optimizer", "adam"};

class Resume : public ::testing::Test {
 protected:
  /// Steps that the metrics of @p run hold by now.
  static std::size_t steps(const fs::path& run) {
    const std::string text = read_text(run / "metrics.jsonl");
    std::size_t count = 0;
    for (std::size_t at = 0; (at = text.find("\"event\":\"step\"", at)) != std::string::npos;
         ++at) {
      ++count;
    }
    return count;
  }

  /// Starts the long training and interrupts it after a few steps.
  CommandResult interrupted(const fs::path& run, int signal) const {
    Command command(tiny_training(run, kLong), folder_.path());
    EXPECT_TRUE(wait_until([&] { return steps(run) >= 4; }));
    command.send(signal);
    return command.wait();
  }

  static CommandResult resume(const fs::path& run, const std::vector<std::string>& more = {}) {
    std::vector<std::string> arguments = {"train", "--resume",
                                          (run / "checkpoint.safetensors").string()};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return run_command(arguments);
  }

  TempDir folder_;
};

TEST_F(Resume, GivesTheSameBitsAsARunThatNeverStopped) {
  const fs::path whole = folder_ / "whole";
  const fs::path parts = folder_ / "parts";
  ASSERT_EQ(run_command(tiny_training(whole, kLong)).exit_code, 0);

  const CommandResult stopped = interrupted(parts, SIGINT);
  EXPECT_EQ(stopped.exit_code, 130) << stopped.err;
  expect_mentions(stopped.err, "stopped after step",
                  "curvseg train --resume " + (parts / "checkpoint.safetensors").string());
  EXPECT_EQ(stopped.out, "");
  EXPECT_LT(steps(parts), 120U) << "it was over before the signal came";

  const CommandResult resumed = resume(parts);
  ASSERT_EQ(resumed.exit_code, 0) << resumed.err;
  EXPECT_EQ(steps(parts), 120U);
  for (const char* name : {"checkpoint.safetensors", "best.safetensors"}) {
    EXPECT_TRUE(read_text(whole / name) == read_text(parts / name)) << name << " differs";
  }
}

TEST_F(Resume, FromTheStateBeforeTheFirstStep) {
  const fs::path whole = folder_ / "whole";
  const fs::path parts = folder_ / "parts";
  ASSERT_EQ(run_command(tiny_training(whole, {"--epochs", "3"})).exit_code, 0);

  const CommandResult initial = run_command(tiny_training(parts, {"--epochs", "0"}));
  ASSERT_EQ(initial.exit_code, 0) << initial.err;
  expect_mentions(initial.out, (parts / "checkpoint.safetensors").string());
  EXPECT_EQ(steps(parts), 0U);
  EXPECT_FALSE(fs::exists(parts / "best.safetensors"));
  const TrainingState state = load_checkpoint(parts / "checkpoint.safetensors");
  EXPECT_EQ(state.progress, TrainingProgress());
  EXPECT_EQ(state.options.epochs, 20U);  // the default: what --resume alone would do
  EXPECT_EQ(state.class_names.size(), 3U);
  ASSERT_TRUE(state.normalisation.has_value());
  ASSERT_FALSE(state.parameters.empty());
  const auto zero = [](float value) { return value == 0.0F; };
  const std::vector<float>& weights = state.parameters.front().values;
  EXPECT_FALSE(std::all_of(weights.begin(), weights.end(), zero)) << "not initialised";

  // It serves wherever a checkpoint does.
  EXPECT_EQ(run_command({"evaluate", "--checkpoint", (parts / "checkpoint.safetensors").string()})
                .exit_code,
            0);
  const CommandResult resumed = resume(parts, {"--epochs", "3"});
  ASSERT_EQ(resumed.exit_code, 0) << resumed.err;
  for (const char* name : {"checkpoint.safetensors", "best.safetensors"}) {
    EXPECT_TRUE(read_text(whole / name) == read_text(parts / name)) << name << " differs";
  }
}

TEST_F(Resume, TerminationIsAnInterruptionToo) {
  const fs::path run = folder_ / "run";
  EXPECT_EQ(interrupted(run, SIGTERM).exit_code, 130);
  EXPECT_TRUE(fs::exists(run / "checkpoint.safetensors"));
}

TEST_F(Resume, InterruptedBeforeTheFirstStepTheCheckpointIsWrittenToo) {
  const fs::path run = folder_ / "run";
  Command command(tiny_training(run, kLong), folder_.path());
  ASSERT_TRUE(wait_until([&] { return fs::exists(run); }));
  command.send(SIGTERM);
  EXPECT_EQ(command.wait().exit_code, 130);
  EXPECT_TRUE(fs::exists(run / "checkpoint.safetensors"));
  EXPECT_LT(steps(run), 20U);
}

TEST_F(Resume, NoStepsMeansAfterTheEpochs) {
  const fs::path run = folder_ / "run";
  ASSERT_EQ(run_command(tiny_training(run, {"--steps", "2"})).exit_code, 0);
  const CommandResult more = resume(run, {"--steps", "0"});
  ASSERT_EQ(more.exit_code, 0) << more.err;
  EXPECT_EQ(steps(run), 6U);  // the two epochs that were asked for
  const fs::path other = folder_ / "other";
  ASSERT_EQ(run_command(tiny_training(other, {"--steps", "0"})).exit_code, 0);
  EXPECT_EQ(steps(other), 6U);
}

TEST_F(Resume, GoesOnForLonger) {
  const fs::path run = folder_ / "run";
  ASSERT_EQ(run_command(tiny_training(run)).exit_code, 0);
  const CommandResult nothing = resume(run);
  EXPECT_EQ(nothing.exit_code, 0) << nothing.err;
  expect_mentions(nothing.err, "nothing left to do", "--epochs");
  const CommandResult more = resume(run, {"--epochs", "3"});
  ASSERT_EQ(more.exit_code, 0) << more.err;
  EXPECT_EQ(steps(run), 9U);
}

/// Of 6 images, for as long as kLong says, stopped on the way.
class ResumeOnChangedData : public Resume {
 protected:
  void SetUp() override {
    for (const char* split : {"train", "val"}) {
      write_split(data_, split, 6);
    }
    std::vector<std::string> arguments = tiny_training(run_, kLong);
    arguments.insert(arguments.end(), {"--data", data_.string(), "--steps", "4"});
    ASSERT_EQ(run_command(arguments).exit_code, 0);
    before_ = read_text(run_ / "checkpoint.safetensors");
  }
  CommandResult go_on(const std::vector<std::string>& more = {}) const {
    std::vector<std::string> arguments = {"--steps", "6"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return resume(run_, arguments);
  }
  template <typename... Parts>
  void expect_refused(const CommandResult& result, const Parts&... parts) const {
    EXPECT_EQ(result.exit_code, 2) << result.err;
    EXPECT_EQ(std::count(result.err.begin(), result.err.end(), '\n'), 1) << result.err;
    expect_mentions(result.err, (run_ / "checkpoint.safetensors").string(), "--checkpoint",
                    parts...);
    EXPECT_EQ(read_text(run_ / "checkpoint.safetensors"), before_);
    EXPECT_EQ(steps(run_), 4U);
  }

  fs::path data_ = folder_ / "data";
  fs::path run_ = folder_ / "run";
  std::string before_;
};

TEST_F(ResumeOnChangedData, IsRefusedForAnotherNumberOfImages) {
  write_split(data_, "train", 7);
  expect_refused(go_on(), (data_ / "train").string(), "7 training images", "trained on 6");
}

TEST_F(ResumeOnChangedData, IsRefusedForOtherNamesOrSizes) {
  const fs::path image = data_ / "train" / "images" / "image3.png";
  const auto bytes = read_bytes(image);
  std::ofstream(image, std::ios::app) << "more";
  expect_refused(go_on(), "6 training images", "names, order or sizes", "fingerprint");
  write_bytes(image, bytes);
  for (const char* kind : {"images", "masks"}) {
    const fs::path folder = data_ / "train" / kind;
    fs::rename(folder / "image3.png", folder / "image9.png");
  }
  expect_refused(go_on(), "6 training images", "names, order or sizes", "fingerprint");
}

TEST_F(ResumeOnChangedData, GoesOnWithTheSameDataElsewhere) {
  fs::rename(data_, folder_ / "moved");
  const CommandResult result = go_on({"--data", (folder_ / "moved").string()});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(steps(run_), 6U);
}

TEST_F(ResumeOnChangedData, AcceptsACheckpointThatDoesNotSay) {
  const fs::path checkpoint = run_ / "checkpoint.safetensors";
  TrainingState state = load_checkpoint(checkpoint);
  ASSERT_TRUE(state.train_data.has_value());
  state.train_data.reset();
  save_checkpoint(checkpoint, state);
  write_split(data_, "train", 7);
  const CommandResult result = go_on();
  EXPECT_EQ(result.exit_code, 0) << result.err;
}

TEST_F(Resume, IntoAnotherFolder) {
  const fs::path run = folder_ / "run";
  const fs::path other = folder_ / "other";
  ASSERT_EQ(run_command(tiny_training(run)).exit_code, 0);
  const std::string before = read_text(run / "checkpoint.safetensors");
  const CommandResult more = resume(run, {"--epochs", "3", "--out", other.string()});
  ASSERT_EQ(more.exit_code, 0) << more.err;
  EXPECT_EQ(steps(other), 9U);
  EXPECT_EQ(read_text(run / "checkpoint.safetensors"), before);
}

}  // namespace
}  // namespace curvseg::test
