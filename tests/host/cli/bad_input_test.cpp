// Whatever is wrong with the input: one line on stderr that names it, exit code 2, nothing written.
#include <sys/stat.h>

#include <cmath>

#include "command.hpp"
#include "curvseg/checkpoint.hpp"

namespace curvseg::test {
namespace {

namespace fs = std::filesystem;

class BadInput : public ::testing::Test {
 protected:
  void SetUp() override {
    write_split(data(), "train", 4);
    write_split(data(), "val", 2);
  }

  fs::path data() const { return folder_ / "data"; }
  fs::path out() const { return folder_ / "out"; }
  fs::path in(const std::string& name) const { return folder_ / name; }

  /// `train` on the folder, with further options.
  CommandResult train(const std::vector<std::string>& more = {}) const {
    std::vector<std::string> arguments = {
        "train",    "--data", data().string(), "--model",     "unet(width=4, depth=1)",
        "--epochs", "1",      "--out",         out().string()};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return run_command(arguments);
  }

  template <typename... Parts>
  void expect_refused(const CommandResult& result, const Parts&... parts) const {
    EXPECT_EQ(result.exit_code, 2) << result.err;
    EXPECT_EQ(std::count(result.err.begin(), result.err.end(), '\n'), 1) << result.err;
    EXPECT_TRUE(result.err.starts_with("curvseg: ")) << result.err;
    EXPECT_EQ(result.out, "");
    expect_mentions(result.err, parts...);
    EXPECT_FALSE(fs::exists(out()));
  }

  /// A checkpoint of a network for grey cells, 3 classes.
  fs::path checkpoint() const {
    const fs::path run = in("run");
    EXPECT_EQ(run_command(tiny_training(run, {"--epochs", "1", "--pictures", "0"})).exit_code, 0);
    return run / "best.safetensors";
  }

  TempDir folder_;
};

TEST_F(BadInput, MissingFolder) {
  expect_refused(train({"--data", in("nowhere").string()}), in("nowhere").string(),
                 "no such folder");
}

TEST_F(BadInput, PipesThatNobodyWritesTo) {
  for (const char* kind : {"images", "masks"}) {
    const fs::path file = data() / "train" / kind / "image0.png";
    fs::rename(file, in("away.png"));
    ASSERT_EQ(mkfifo(file.c_str(), 0600), 0);
    expect_refused(train(), file.string(), "not a regular file");
    fs::remove(file);
    fs::rename(in("away.png"), file);
  }
}

TEST_F(BadInput, NoImages) {
  fs::remove_all(data() / "train" / "images");
  expect_refused(train(), (data() / "train" / "images").string());
}

TEST_F(BadInput, LinksThatLeadToThemselves) {
  const fs::path loop = data() / "train" / "images" / "loop.png";
  fs::create_symlink("loop.png", loop);
  expect_refused(train(), loop.string(), "symbolic links");
  expect_refused(run_command({"predict", "--checkpoint", checkpoint().string(), "--data",
                              loop.parent_path().string(), "--out", out().string()}),
                 loop.string(), "symbolic links");
  fs::remove(loop);
  fs::rename(data() / "val", data() / "elsewhere");
  fs::create_directory_symlink("val", data() / "val");
  expect_refused(train(), (data() / "val").string(), "symbolic links");
  fs::create_directory_symlink("record", in("record"));
  expect_refused(train({"--data", "cifar10:" + in("record").string()}), in("record").string(),
                 "symbolic links");
}

TEST_F(BadInput, ImageWithoutMask) {
  fs::remove(data() / "train" / "masks" / "image2.png");
  expect_refused(train(), "images/image2.png", "masks/image2.png");
}

TEST_F(BadInput, SizesThatDiffer) {
  write_flat_mask(data() / "val" / "masks" / "image1.png", 32, 16, 0);
  expect_refused(train(), "masks/image1.png is 16x32", "images/image1.png is 32x32");
}

TEST_F(BadInput, ClassOutOfRange) {
  write_flat_mask(data() / "val" / "masks" / "image0.png", 32, 32, 7);
  expect_refused(train({"--classes", "2"}), "val/masks/image0.png", "index 7", "2 classes");
}

TEST_F(BadInput, TruncatedImage) {
  const fs::path file = data() / "train" / "images" / "image3.png";
  truncate_file(file, fs::file_size(file) - 20);
  expect_refused(train(), file.string());
}

TEST_F(BadInput, TruncatedMask) {
  const fs::path file = data() / "val" / "masks" / "image0.png";
  truncate_file(file, fs::file_size(file) - 20);
  expect_refused(train(), file.string());
}

TEST_F(BadInput, ClassNamesInAnotherEncoding) {
  const fs::path file = data() / "classes.txt";
  std::ofstream(file) << "Hintergrund\nKr\xC3\xA4he\nW\xE4nde\n";  // the third is Latin-1
  expect_refused(train(), file.string(), "line 3", "UTF-8");
}

TEST_F(BadInput, OutIsAFile) {
  write_bytes(in("file"), {1});
  expect_refused(train({"--out", in("file").string()}), in("file").string(), "not a folder");
  expect_refused(train({"--out", (in("file") / "below").string()}), in("file").string(),
                 "not a folder");
}

TEST_F(BadInput, UnwritableOut) {
  // Not even root may make a folder there.
  expect_refused(train({"--out", "/proc/curvseg/out"}), "/proc/curvseg/out");
  EXPECT_FALSE(fs::exists("/proc/curvseg"));
  // One line: it is found out before the work, which would tell its time.
  const std::string file = checkpoint().string();
  for (const char* command : {"evaluate", "predict", "curvature"}) {
    expect_refused(run_command({command, "--checkpoint", file, "--out", "/proc/curvseg"}),
                   "/proc/curvseg", "cannot be written to");
  }
}

TEST_F(BadInput, FoldersWhereFilesAreToBeWritten) {
  const std::string file = checkpoint().string();
  const std::pair<const char*, const char*> results[] = {{"evaluate", "evaluation.json"},
                                                         {"curvature", "curvature.json"},
                                                         {"curvature", "spectrum.png"},
                                                         {"predict", "legend.png"}};
  for (const auto& [command, name] : results) {
    const fs::path out = in(std::string("out-") + name);
    fs::create_directories(out / name);
    expect_refused(run_command({command, "--checkpoint", file, "--out", out.string()}),
                   (out / name).string(), "is a folder");
  }
  const fs::path out = in("out-classes");
  fs::create_directories(out);
  std::ofstream(out / "classes") << "a file";
  expect_refused(run_command({"predict", "--checkpoint", file, "--out", out.string()}),
                 (out / "classes").string(), "is not a folder");
  EXPECT_FALSE(fs::exists(out / "overlays"));
}

TEST_F(BadInput, OutputsThatAreInputs) {
  const std::string file = checkpoint().string();
  fs::create_directories(in("work") / "classes");
  write_flat_png(in("work") / "classes" / "a.png", 16, 16, 1, 9);
  const auto before = read_bytes(in("work") / "classes" / "a.png");
  for (const char* input : {"classes", "classes/a.png"}) {
    expect_refused(run_command({"predict", "--checkpoint", file, "--data",
                                (in("work") / input).string(), "--out", in("work").string()}),
                   (in("work") / "classes").string(), "is read from");
  }
  EXPECT_EQ(read_bytes(in("work") / "classes" / "a.png"), before);
  EXPECT_FALSE(fs::exists(in("work") / "overlays"));
}

TEST_F(BadInput, CheckpointsWithParametersThatAreNotFinite) {
  const fs::path file = checkpoint();
  TrainingState state = load_checkpoint(file);
  state.parameters.back().values.front() = NAN;
  save_checkpoint(file, state);
  for (const char* command : {"evaluate", "predict", "curvature"}) {
    expect_refused(run_command({command, "--checkpoint", file.string()}),
                   state.parameters.back().name, "must be finite");
  }
}

TEST_F(BadInput, NamesThatAreEmpty) {
  expect_refused(train({"--out", ""}), "--out", "a name is missing");
  expect_refused(train({"--resume", ""}), "--resume", "a name is missing");
  expect_refused(train({"--checkpoint", ""}), "--checkpoint", "a name is missing");
  expect_refused(run_command({"demo", "--out", ""}), "--out", "a name is missing");
  const std::string file = checkpoint().string();
  for (const char* command : {"evaluate", "predict", "curvature"}) {
    expect_refused(run_command({command, "--checkpoint", file, "--out", ""}), "--out",
                   "a name is missing");
  }
}

TEST_F(BadInput, UnknownNames) {
  expect_refused(train({"--model", "vnet"}), "\"vnet\"", "unet, fcn, segnet");
  expect_refused(train({"--model", "unet(widht=8)"}), "widht");
  expect_refused(train({"--optimizer", "adamm"}), "adamm", "sgd", "adamw");
  expect_refused(train({"--schedule", "linear"}), "linear", "cosine");
  expect_refused(train({"--device", "tpu"}), "tpu", "host");
  expect_refused(train({"--class-weights", "some"}), "--class-weights", "some", "balanced");
  expect_refused(train({"--augment", "flip,blur"}), "blur", "vflip");
  expect_refused(train({"--augment", "scale=2:1"}), "scale=2:1");
  expect_refused(train({"--crop", "12by7"}), "--crop 12by7", "WIDTHxHEIGHT");
  expect_refused(train({"--data", "builtin:dots"}), "builtin:dots", "builtin:cells");
}

TEST_F(BadInput, ValuesOutOfRange) {
  expect_refused(train({"--batch", "0"}), "--batch 0");
  expect_refused(train({"--images-at-once", "-1"}), "--images-at-once -1");
  expect_refused(train({"--lr", "-1"}), "--lr -1");
  for (const char* rate : {"inf", "nan", "1e40"}) {
    expect_refused(train({"--optimizer", "sgd", "--lr", rate}), std::string("--lr ") + rate[0]);
  }
  expect_refused(train({"--label-smoothing", "1.5"}), "--label-smoothing 1.5");
  expect_refused(train({"--clip", "-2"}), "--clip -2");
  expect_refused(train({"--optimizer", "sgd", "--clip", "inf"}), "--clip inf", "finite");
  expect_refused(train({"--samples-per-epoch", "18446744073709551615"}), "18446744073709551615",
                 "at most 1000000000");
  expect_refused(train({"--holdout", "1"}), "--holdout 1");
  expect_refused(train({"--ignore-index", "300"}), "--ignore-index 300");
  expect_refused(train({"--epochs", "many"}), "--epochs", "many");
  expect_refused(train({"--momentum", "0.5"}), "--momentum", "sgd", "auto");
  expect_refused(train({"--lr", "0.1"}), "--lr 0.1", "auto");
  expect_refused(train({"--clip", "1"}), "--clip 1", "auto");
  expect_refused(train({"--crop", "-3"}), "--crop -3");
  expect_refused(train({"--crop", "16385"}), "--crop 16385", "from 1 to 16384");
  expect_refused(train({"--data", "mnist:"}), "mnist:", "names no folder");
}

TEST_F(BadInput, NegativeCounts) {
  for (const char* option : {"--epochs", "--steps", "--warmup", "--save-every", "--eval-every",
                             "--seed", "--samples-per-epoch"}) {
    expect_refused(train({option, "-1"}), option, "-1 is negative");
  }
  expect_refused(run_command({"demo", "--seed", "-1", "--out", out().string()}), "--seed",
                 "-1 is negative");
}

TEST_F(BadInput, UnknownOptionsAndCommands) {
  expect_refused(train({"--epoch", "3"}), "--epoch", "did you mean --epochs?");
  expect_refused(run_command({"trian"}), "trian", "did you mean train?");
  expect_refused(run_command({}), "train, evaluate, predict, curvature, info or demo");
  expect_refused(run_command({"train"}), "--data is needed");
  expect_refused(run_command({"evaluate"}), "--checkpoint");
  expect_refused(run_command({"predict"}), "--checkpoint");
}

TEST_F(BadInput, ImagesTooSmallForTheModel) {
  const std::string deep = "unet(width=4, depth=8)";
  expect_refused(train({"--model", deep, "--crop", "16"}), "crop of 16x16", "window of 2x2");
  expect_refused(train({"--model", deep, "--crop", "none"}), "image of 32x32", "window of 2x2");
  for (const char* split : {"val", "test"}) {
    write_split(data(), split, 1);
    write_flat_png(data() / split / "images" / "small.png", 1, 1, 1, 9);
    write_flat_mask(data() / split / "masks" / "small.png", 1, 1, 0);
    expect_refused(train(), split, "image of 1x1");
    fs::remove(data() / split / "images" / "small.png");
    fs::remove(data() / split / "masks" / "small.png");
  }
  write_flat_png(in("a.png"), 1, 1, 1, 9);
  expect_refused(run_command({"predict", "--checkpoint", checkpoint().string(), "--data",
                              in("a.png").string(), "--out", out().string()}),
                 "image of 1x1");
}

TEST_F(BadInput, SegmenterForLabelsOfWholeImages) {
  std::vector<std::uint8_t> record(3073, 100);
  record[0] = 3;
  fs::create_directory(in("cifar"));
  write_bytes(in("cifar") / "data_batch_1.bin", record);
  write_bytes(in("cifar") / "test_batch.bin", record);
  expect_refused(train({"--data", "cifar10:" + in("cifar").string()}), "unet", "classifier3");
  // The other way round, also where no size was asked for.
  expect_refused(train({"--model", "classifier3"}), "classifier3", data().string(),
                 "has a mask for each");
}

TEST_F(BadInput, RecordsTooSmallForAClassifier) {
  const std::vector<std::uint8_t> images = {0, 0, 8, 3, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 9};
  const std::vector<std::uint8_t> labels = {0, 0, 8, 1, 0, 0, 0, 1, 3};
  fs::create_directory(in("mnist"));
  for (const char* part : {"train", "t10k"}) {
    write_bytes(in("mnist") / (std::string(part) + "-images-idx3-ubyte"), images);
    write_bytes(in("mnist") / (std::string(part) + "-labels-idx1-ubyte"), labels);
  }
  expect_refused(train({"--data", "mnist:" + in("mnist").string(), "--model", "classifier2"}),
                 "mnist", "--model classifier2", "input of 1x1");
}

TEST_F(BadInput, DamagedCheckpoint) {
  const auto evaluate = [this](const fs::path& file) {
    return run_command({"evaluate", "--checkpoint", file.string(), "--data", data().string()});
  };
  expect_refused(evaluate(in("none.safetensors")), in("none.safetensors").string());
  write_bytes(in("bad.safetensors"), {1, 2, 3});
  expect_refused(evaluate(in("bad.safetensors")), in("bad.safetensors").string());
  const fs::path cut = in("cut.safetensors");
  fs::copy_file(checkpoint(), cut);
  truncate_file(cut, fs::file_size(cut) / 2);
  expect_refused(evaluate(cut), cut.string());
}

TEST_F(BadInput, CheckpointOfAnotherModel) {
  const std::string file = checkpoint().string();
  expect_refused(train({"--checkpoint", file}), data().string(), file, "2 classes", "3");
  expect_refused(train({"--resume", file}), "train", file);
  expect_refused(run_command(tiny_training(out(), {"--checkpoint", file, "--model", "fcn"})), "fcn",
                 file, "unet(width=4");
  expect_refused(run_command(tiny_training(out(), {"--checkpoint", file, "--resume", file})),
                 "--resume", "--checkpoint");
}

TEST_F(BadInput, DataThatDoesNotFitTheCheckpoint) {
  const std::string file = checkpoint().string();
  const auto evaluate = [&] {
    return run_command(
        {"evaluate", "--checkpoint", file, "--data", data().string(), "--out", out().string()});
  };
  write_flat_mask(data() / "val" / "masks" / "image0.png", 32, 32, 7);
  expect_refused(evaluate(), data().string(), "8 classes", file, "3");
  write_flat_mask(data() / "val" / "masks" / "image0.png", 32, 32, 1);
  write_flat_png(data() / "val" / "images" / "image0.png", 32, 32, 3, 9);
  expect_refused(evaluate(), "val/images/image0.png", "3 channels", "1");
}

TEST_F(BadInput, Predict) {
  const std::string file = checkpoint().string();
  const auto predict = [&](const fs::path& images) {
    return run_command(
        {"predict", "--checkpoint", file, "--data", images.string(), "--out", out().string()});
  };
  expect_refused(predict(in("nowhere")), in("nowhere").string(), "no such file or folder");
  fs::create_directory(in("empty"));
  expect_refused(predict(in("empty")), in("empty").string(), "no PNG or JPEG");
  std::ofstream(in("empty") / "scan.tif") << "II*";
  expect_refused(predict(in("empty")), in("empty").string(), "no PNG or JPEG", "scan.tif");
  expect_refused(predict(in("empty") / "scan.tif"), "scan.tif", "PNG", "JPEG");
  const fs::path image = data() / "val" / "images" / "image0.png";
  truncate_file(image, fs::file_size(image) - 20);
  expect_refused(predict(image), image.string());
  expect_refused(predict(data() / "val" / "images"), image.string());
  expect_refused(predict(data() / "val"), image.string());
}

TEST_F(BadInput, ResumeOfAnotherTraining) {
  const std::string file = (checkpoint().parent_path() / "checkpoint.safetensors").string();
  const auto resume = [&](const std::vector<std::string>& more) {
    std::vector<std::string> arguments = {"train", "--resume", file, "--out", out().string()};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return run_command(arguments);
  };
  expect_refused(resume({"--epochs", "0"}), "--epochs 0", "--steps");
  expect_refused(resume({"--optimizer", "sgd"}), "--optimizer sgd", file, "auto");
  expect_refused(resume({"--seed", "7"}), "--seed 7", file, "trained with 1");
  expect_refused(resume({"--batch", "3"}), "--batch 3", file, "trained with 2");
  expect_refused(resume({"--images-at-once", "1"}), "--images-at-once 1", file, "trained with 0");
  expect_refused(resume({"--crop", "16"}), "--crop 16x16", file, "trained with 32x32");
  expect_refused(resume({"--augment", "rotate"}), "--augment rotate", file, "trained with flip");
  expect_refused(resume({"--model", "fcn"}), "fcn", file, "unet(width=4");
}

// What the state of an optimiser means, or whether there is any, decides what can be continued.
TEST_F(BadInput, ResumeWithAnotherKindOfState) {
  const auto trained = [&](const std::string& name, const std::vector<std::string>& more) {
    std::vector<std::string> all = {"--epochs", "1", "--pictures", "0", "--optimizer", name};
    all.insert(all.end(), more.begin(), more.end());
    EXPECT_EQ(run_command(tiny_training(in(name), all)).exit_code, 0);
    return (in(name) / "checkpoint.safetensors").string();
  };
  const auto resume = [&](const std::string& file, const std::string& option,
                          const std::string& value) {
    return run_command({"train", "--resume", file, "--out", out().string(), option, value});
  };
  const std::string diagonal = trained("damped-diagonal", {});
  expect_refused(resume(diagonal, "--preset", "adahessian"), "--preset adahessian", diagonal,
                 "trained with sophia");
  const std::string sgd = trained("sgd", {"--momentum", "0"});
  expect_refused(resume(sgd, "--momentum", "0.9"), "--momentum 0.9", sgd, "trained with 0");
}

TEST_F(BadInput, FolderThatHoldsATraining) {
  const fs::path run = checkpoint().parent_path();
  const std::string before = read_text(run / "metrics.jsonl");
  expect_refused(run_command(tiny_training(run)), run.string(), "--resume", "--overwrite");
  EXPECT_EQ(read_text(run / "metrics.jsonl"), before);
}

/// In its first epoch a training has no checkpoint that would tell.
TEST_F(BadInput, FolderInWhichATrainingIsUnderWay) {
  const fs::path run = in("run");
  Command first(tiny_training(run, {"--samples-per-epoch", "1000000"}), folder_.path());
  const auto steps = [&] { return read_text(run / "metrics.jsonl"); };
  ASSERT_TRUE(wait_until([&] { return steps().find("\"step\":2") != std::string::npos; }));
  for (const char* option : {"--quiet", "--overwrite"}) {
    expect_refused(run_command(tiny_training(run, {option})), run.string(), "under way");
  }
  expect_refused(run_command({"demo", "--overwrite", "--out", run.string()}), run.string(),
                 "under way");
  EXPECT_FALSE(fs::exists(run / "checkpoint.safetensors"));
  EXPECT_EQ(steps().substr(0, 16), "{\"event\":\"start\"");
  EXPECT_NE(steps().find("\"step\":2"), std::string::npos) << "it was begun anew";
  first.send(SIGKILL);
  first.wait();
  const CommandResult second = run_command(tiny_training(run, {"--pictures", "0"}));
  EXPECT_EQ(second.exit_code, 0) << second.err;
}

TEST_F(BadInput, ValidationWithoutALabelledPixel) {
  for (const char* name : {"image0.png", "image1.png"}) {
    write_flat_mask(data() / "val" / "masks" / name, 32, 32, 255);
  }
  const CommandResult result = train({"--pictures", "0"});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  expect_mentions(result.out, "mIoU - on val", "the last parameters");
  for (const std::string& text : {result.out, result.err}) {
    EXPECT_EQ(text.find("nan"), std::string::npos) << text;
  }
  EXPECT_EQ(result.out.find("best on val"), std::string::npos) << result.out;
}

TEST_F(BadInput, DemoReplacesNothingButADemo) {
  const fs::path run = checkpoint().parent_path();
  const std::string before = read_text(run / "best.safetensors");
  expect_refused(run_command({"demo", "--out", run.string()}), run.string(), "holds a training",
                 "--overwrite");
  EXPECT_EQ(read_text(run / "best.safetensors"), before);
}

/// Nothing to continue is there, nor anything to lose.
TEST_F(BadInput, FolderOfATrainingWithoutACheckpointMayBeUsedAgain) {
  const CommandResult diverged = train({"--optimizer", "sgd", "--lr", "1e30"});
  EXPECT_EQ(diverged.exit_code, 1) << diverged.err;
  EXPECT_TRUE(fs::exists(out() / "options.json"));
  EXPECT_FALSE(fs::exists(out() / "checkpoint.safetensors"));
  const CommandResult again = train({"--pictures", "0"});
  EXPECT_EQ(again.exit_code, 0) << again.err;
}

}  // namespace
}  // namespace curvseg::test
