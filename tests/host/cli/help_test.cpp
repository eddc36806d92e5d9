#include <array>
#include <cctype>
#include <cstdio>

#include "command.hpp"
#include "curvseg/optim.hpp"

namespace curvseg::test {
namespace {

/// Help goes to stdout, fits a terminal of 100 columns and says what it must.
template <typename... Parts>
void expect_help(std::vector<std::string> arguments, const Parts&... parts) {
  arguments.emplace_back("--help");
  const CommandResult result = run_command(arguments);
  EXPECT_EQ(result.exit_code, 0);
  EXPECT_EQ(result.err, "");
  expect_mentions(result.out, parts...);
  std::size_t column = 0;
  std::size_t widest = 0;
  for (const char letter : result.out) {
    column = letter == '\n' ? 0 : column + 1;
    widest = std::max(widest, column);
  }
  EXPECT_LE(widest, 104U) << result.out;
}

TEST(Help, OfTheProgram) {
  expect_help({}, "train", "evaluate", "predict", "curvature", "info", "demo", "Exit codes");
}

TEST(Help, OfTrain) {
  expect_help({"train"}, "Examples:", "--data DATA", "--model NAME", "--optimizer NAME",
              "--epochs N", "--steps N", "--batch N", "--crop SIZE", "--device NAME", "--seed N",
              "--out DIR", "--resume FILE", "--checkpoint FILE", "--lr X", "--schedule NAME",
              "--warmup STEPS", "--weight-decay X", "--momentum X", "--preset NAME", "--clip NORM",
              "--label-smoothing PART", "--class-weights KIND", "--ignore-index N", "--classes N",
              "--augment LIST", "--eval-every N", "--save-every N", "--patience N", "--quiet",
              "--json", "Default");
}

/// The text of an option's default and the training that leaves the option out.
TEST(Help, OfTrainTellsTheLearningRateThatIsUsed) {
  std::string help;  // on one line
  for (const char letter : run_command({"train", "--help"}).out) {
    const bool space = std::isspace(static_cast<unsigned char>(letter)) != 0;
    if (!space || !help.ends_with(' ')) {
      help += space ? ' ' : letter;
    }
  }
  for (const std::string& optimizer : optimizer_names()) {
    const TempDir folder;
    const CommandResult result = run_command(tiny_training(
        folder / "run", {"--optimizer", optimizer, "--steps", "1", "--pictures", "0", "--json"}));
    ASSERT_EQ(result.exit_code, 0) << result.err;
    double used = 0.0;
    for (const nlohmann::json& line : json_events(result.out, "step")) {
      used = line.at("learning_rate").get<double>();  // the first of a cosine schedule has the peak
    }
    if (!needs_learning_rate(optimizer)) {
      EXPECT_EQ(used, 1.0) << optimizer << ": a factor of the step";
      continue;
    }
    std::array<char, 32> text{};
    std::snprintf(text.data(), text.size(), "%g for ", used);
    expect_mentions(help, text.data() + optimizer);
  }
}

TEST(Help, OfTheOthers) {
  expect_help({"evaluate"}, "Examples:", "--checkpoint FILE", "--split NAME", "--json");
  expect_help({"predict"}, "Examples:", "--checkpoint FILE", "--out DIR", "overlays");
  expect_help({"curvature"}, "Examples:", "--checkpoint FILE", "--data DATA", "--split NAME",
              "--matrix LIST", "--images N", "--crop SIZE", "--batch N", "--eigenvalues K",
              "--steps N", "--runs N", "--probes N", "--lambda X", "--seed N", "--device NAME",
              "--out DIR", "--json", "--quiet", "condition, at least", "effective rank");
  expect_help({"info"}, "Examples:", "--checkpoint FILE");
  expect_help({"demo"}, "runs/demo", "--out DIR", "gallery.png");
}

TEST(Info, OfTheMachine) {
  const CommandResult text = run_command({"info"});
  EXPECT_EQ(text.exit_code, 0) << text.err;
  expect_mentions(text.out, "curvseg ", "cores", "targets", "instruction set", "host", "x86-64");
  const auto json = nlohmann::json::parse(run_command({"info", "--json"}).out);
  EXPECT_GE(json.at("cores").get<int>(), 1);
  std::vector<std::string> targets = {"host"};
#ifdef CURVSEG_HAS_EMULATED
  targets.emplace_back("emulated");
#endif
#ifdef CURVSEG_HAS_CUDA
  targets.emplace_back("cuda");
#endif
  EXPECT_EQ(json.at("targets").get<std::vector<std::string>>(), targets);
  EXPECT_EQ(json.at("devices").at(0).at("device"), "host");
  std::size_t emulated = 0;
  for (const auto& device : json.at("devices")) {
    const auto name = device.at("device").get<std::string>();
    expect_mentions(text.out, name, device.at("name").get<std::string>(),
                    device.at("instruction_set").get<std::string>());
    EXPECT_GE(device.at("processors").get<int>(), 1) << name;
    EXPECT_GT(device.at("memory_bytes").get<std::uint64_t>(), std::uint64_t{1} << 20) << name;
    emulated += name.starts_with("emulated") ? 1 : 0;
  }
  EXPECT_EQ(emulated, targets.size() > 1 && targets[1] == "emulated" ? 2U : 0U);
}

// Of the kernels that run, not of the processor.
TEST(Info, TheInstructionSetThatWasAskedFor) {
  const auto set = [] {
    return nlohmann::json::parse(run_command({"info", "--json"}).out)
        .at("devices")
        .at(0)
        .at("instruction_set")
        .get<std::string>();
  };
  const char* before = std::getenv("CURVSEG_INSTRUCTION_SET");
  const std::string asked = before != nullptr ? before : "";
  const std::string usual = set();
  setenv("CURVSEG_INSTRUCTION_SET", "x86-64", 1);
  EXPECT_EQ(set(), "x86-64");
  setenv("CURVSEG_INSTRUCTION_SET", "", 1);
  const std::string widest = set();
  if (asked.empty()) {
    EXPECT_EQ(widest, usual);
    unsetenv("CURVSEG_INSTRUCTION_SET");
  } else {
    EXPECT_EQ(usual, asked);
    setenv("CURVSEG_INSTRUCTION_SET", asked.c_str(), 1);
  }
  EXPECT_EQ(Device::open("host_baseline").info().instruction_set, "x86-64");
}

TEST(Info, Version) {
  const CommandResult result = run_command({"--version"});
  EXPECT_EQ(result.exit_code, 0);
  EXPECT_TRUE(result.out.starts_with("curvseg ")) << result.out;
}

}  // namespace
}  // namespace curvseg::test
