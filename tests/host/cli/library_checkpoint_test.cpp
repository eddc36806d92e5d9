// Checkpoints that a program has written through the library, without `curvseg train`.
#include <functional>

#include "command.hpp"
#include "curvseg/checkpoint.hpp"
#include "curvseg/train.hpp"

namespace curvseg::test {
namespace {

namespace fs = std::filesystem;

class LibraryCheckpoint : public ::testing::Test {
 protected:
  void SetUp() override { write_split(folder_ / "data", "val", 2); }

  /// Saves a new network for grey images and 2 classes after @p change.
  std::string save(const std::function<void(TrainingState&)>& change = {}) const {
    Trainer trainer(Stream(Device::open("host")), zoo::make("unet(width=4, depth=1)", 1, 2));
    TrainingState state = trainer.state();
    if (change) {
      change(state);
    }
    const fs::path path = folder_ / "state.safetensors";
    save_checkpoint(path, state);
    return path.string();
  }

  CommandResult run(const std::string& command, const std::string& checkpoint) const {
    return run_command({command, "--checkpoint", checkpoint, "--data", (folder_ / "data").string(),
                        "--out", out().string(), "--device", "host"});
  }

  fs::path out() const { return folder_ / "out"; }

  TempDir folder_;
};

TEST_F(LibraryCheckpoint, ClassesWithoutANameAreNumbered) {
  for (const std::size_t names : {0U, 1U}) {
    const std::string file =
        save([&](TrainingState& state) { state.class_names.assign(names, "cell"); });
    const CommandResult table = run("evaluate", file);
    EXPECT_EQ(table.exit_code, 0) << table.err;
    expect_mentions(table.out, names == 1 ? "cell" : "class 0", "class 1", "mean");
    EXPECT_EQ(run("predict", file).exit_code, 0);
    EXPECT_TRUE(fs::exists(out() / "classes" / "image0.png"));
  }
}

TEST_F(LibraryCheckpoint, MoreNamesThanClassesAreRefused) {
  const std::string file = save([](TrainingState& state) { state.class_names = {"a", "b", "c"}; });
  for (const char* command : {"evaluate", "predict"}) {
    const CommandResult result = run(command, file);
    EXPECT_EQ(result.exit_code, 2);
    expect_mentions(result.err, file, "3 class names for 2 classes");
    EXPECT_FALSE(fs::exists(out()));
  }
}

TEST_F(LibraryCheckpoint, HalfANormalisationIsAppliedAsInTraining) {
  const auto predicted = [this](const Normalisation& normalisation) {
    const CommandResult result =
        run("predict", save([&](TrainingState& state) { state.normalisation = normalisation; }));
    EXPECT_EQ(result.exit_code, 0) << result.err;
    return read_text(out() / "classes" / "image1.png");
  };
  EXPECT_EQ(predicted({{0.25F}, {}}), predicted({{0.25F}, {1.0F}}));
  EXPECT_EQ(predicted({{}, {0.125F}}), predicted({{0.0F}, {0.125F}}));
}

TEST_F(LibraryCheckpoint, NormalisationThatDoesNotFitIsRefused) {
  for (const Normalisation& wrong :
       {Normalisation{{0.0F}, {0.0F}}, Normalisation{{0.0F, 0.0F}, {1.0F}}}) {
    const std::string file = save([&](TrainingState& state) { state.normalisation = wrong; });
    const CommandResult result = run("predict", file);
    EXPECT_EQ(result.exit_code, 2) << result.err;
    expect_mentions(result.err, file, "normalisation");
    EXPECT_FALSE(fs::exists(out()));
  }
}

}  // namespace
}  // namespace curvseg::test
