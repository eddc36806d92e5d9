// Train, then use what came out.
#include <map>
#include <set>

#include "command.hpp"
#include "host/io/overlay.hpp"

namespace curvseg::test {
namespace {

namespace fs = std::filesystem;

/// One finished training that the tests look at.
class RoundTrip : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    folder_ = new TempDir;
    trained_ = run_command(
        tiny_training(run(), {"--optimizer", "adam", "--clip", "1", "--pictures", "2"}));
  }
  static void TearDownTestSuite() { delete folder_; }

  static fs::path run() { return *folder_ / "run"; }
  static std::string best() { return (run() / "best.safetensors").string(); }

  static std::vector<nlohmann::json> metrics(const std::string& event) {
    return json_events(read_text(run() / "metrics.jsonl"), event);
  }

  static inline TempDir* folder_ = nullptr;
  static inline CommandResult trained_;
};

TEST(Logs, TellWhatSecondOrderMethodsDid) {
  const std::map<std::string, std::vector<std::string>> numbers = {
      {"hessian-free", {"lambda", "rho", "cg_iterations", "model_decrease", "rejected"}},
      {"newton-cg", {"radius", "rho", "cg_iterations", "model_decrease", "rejected"}},
      {"auto", {"alpha", "radius", "rate", "model_decrease", "rejected"}}};
  for (const auto& [optimizer, names] : numbers) {
    SCOPED_TRACE(optimizer);
    const TempDir folder;
    const CommandResult result = run_command(tiny_training(
        folder / "run", {"--optimizer", optimizer, "--steps", "2", "--pictures", "0", "--json"}));
    ASSERT_EQ(result.exit_code, 0) << result.err;
    const std::vector<nlohmann::json> steps = json_events(result.out, "step");
    EXPECT_EQ(steps.size(), 2U);
    for (const nlohmann::json& line : steps) {
      for (const std::string& name : names) {
        EXPECT_TRUE(line.at("optimizer").at(name).is_number()) << name;
      }
      if (optimizer != "auto") {
        EXPECT_GE(line.at("optimizer").at("cg_iterations"), 1);
        EXPECT_FALSE(line.at("optimizer").at("cg_stop").get<std::string>().empty());
      }
    }
  }
}

std::size_t count_files(const fs::path& folder) {
  return static_cast<std::size_t>(
      std::distance(fs::directory_iterator(folder), fs::directory_iterator()));
}

TEST_F(RoundTrip, TrainWritesItsFolder) {
  ASSERT_EQ(trained_.exit_code, 0) << trained_.err;
  for (const char* name : {"checkpoint.safetensors", "best.safetensors", "options.json",
                           "metrics.jsonl", "gallery.png", "overlays"}) {
    EXPECT_TRUE(fs::exists(run() / name)) << name;
  }
  EXPECT_EQ(count_files(run()), 6U) << "something temporary was left";
  EXPECT_EQ(count_files(run() / "overlays"), 2U);
}

TEST_F(RoundTrip, TrainTellsWhatItDoes) {
  expect_mentions(trained_.err, "epoch 1/2", "epoch 2/2", "loss", "mIoU", "images/s");
  EXPECT_EQ(trained_.err.find('\r'), std::string::npos) << "a bar without a terminal";
  expect_mentions(trained_.out, "background", "cell", "border", "mean", "val", "test",
                  "gallery.png");
}

TEST_F(RoundTrip, MetricsAreJsonLines) {
  ASSERT_EQ(metrics("start").size(), 1U);
  EXPECT_EQ(metrics("start").front().at("model"), "unet(width=4, depth=1, transpose=true)");
  const auto steps = metrics("step");
  ASSERT_EQ(steps.size(), 6U);
  for (std::size_t i = 0; i < steps.size(); ++i) {
    EXPECT_EQ(steps[i].at("step"), i + 1);
    EXPECT_GT(steps[i].at("loss").get<double>(), 0.0);
    EXPECT_GT(steps[i].at("gradient_norm").get<double>(), 0.0);
    EXPECT_GT(steps[i].at("images_per_second").get<double>(), 0.0);
    EXPECT_GT(steps[i].at("training_seconds").get<double>(), 0.0);
    EXPECT_LT(steps[i].at("training_seconds"), steps[i].at("seconds"));
  }
  const auto evaluations = metrics("evaluation");
  ASSERT_EQ(evaluations.size(), 2U);
  EXPECT_EQ(evaluations.front().at("iou").size(), 3U);
  EXPECT_GE(evaluations.front().at("training_seconds"), steps[2].at("training_seconds"));
  EXPECT_EQ(evaluations.front().at("best"), true);
  EXPECT_EQ(metrics("epoch").size(), 2U);
  ASSERT_EQ(metrics("end").size(), 1U);
  EXPECT_TRUE(metrics("end").front().contains("val"));
  EXPECT_TRUE(metrics("end").front().contains("test"));
}

TEST_F(RoundTrip, GalleryBeginsWithAKeyOfTheColours) {
  const Image gallery = read_image(*folder_ / "run" / "gallery.png");
  const auto has = [&](Rgb color) {  // in one row of pixels near the top
    int run = 0;
    int longest = 0;
    for (int x = 0; x < gallery.width; ++x) {
      const std::uint8_t* p = gallery.pixels.data() + gallery.offset(15, x);
      run = Rgb{p[0], p[1], p[2]} == color ? run + 1 : 0;
      longest = std::max(longest, run);
    }
    return longest >= 20;
  };
  for (std::size_t c = 0; c < 3; ++c) {
    EXPECT_TRUE(has(default_palette()[c])) << c;
  }
  EXPECT_TRUE(has(kWrongColor));
  EXPECT_FALSE(has(default_palette()[3]));
}

TEST_F(RoundTrip, EvaluateAgreesWithTraining) {
  const CommandResult result = run_command({"evaluate", "--checkpoint", best(), "--json"});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  const auto json = nlohmann::json::parse(result.out);
  const auto end = metrics("end").front();
  for (const char* split : {"val", "test"}) {
    EXPECT_EQ(json.at("splits").at(split).at("mean_iou"), end.at(split).at("mean_iou")) << split;
    EXPECT_EQ(json.at("splits").at(split).at("confusion").size(), 9U);
  }
  EXPECT_FALSE(json.at("splits").contains("train"));
}

TEST_F(RoundTrip, EvaluatePrintsATable) {
  const fs::path out = *folder_ / "evaluation";
  const CommandResult result =
      run_command({"evaluate", "--checkpoint", best(), "--split", "train", "--out", out.string()});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  expect_mentions(result.out, "train", "background", "IoU", "Dice", "mean", "pixel accuracy");
  EXPECT_FALSE(nlohmann::json::parse(read_text(out / "evaluation.json")).empty());
}

TEST_F(RoundTrip, PredictOnTheDataOfTheTraining) {
  const fs::path out = *folder_ / "predicted";
  const CommandResult result =
      run_command({"predict", "--checkpoint", best(), "--out", out.string()});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  expect_mentions(result.out, "2 images", "mIoU");
  EXPECT_EQ(count_files(out / "classes"), 2U);
  EXPECT_EQ(count_files(out / "overlays"), 2U);
  EXPECT_TRUE(fs::exists(out / "legend.png"));
}

TEST_F(RoundTrip, PredictOnFilesOfAnySize) {
  const fs::path images = *folder_ / "images";
  const fs::path out = *folder_ / "predicted_files";
  fs::create_directory(images);
  write_flat_png(images / "small.png", 5, 7, 1, 90);
  write_flat_png(images / "odd.png", 33, 61, 1, 30);
  const CommandResult result = run_command(
      {"predict", "--checkpoint", best(), "--data", images.string(), "--out", out.string()});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  const MaskImage mask = read_mask_png(out / "classes" / "odd.png");
  EXPECT_EQ(mask.height, 33);
  EXPECT_EQ(mask.width, 61);
  EXPECT_LT(*std::max_element(mask.indices.begin(), mask.indices.end()), 3);
  EXPECT_GE(mask.palette.size(), 3U);
  EXPECT_EQ(read_mask_png(out / "classes" / "small.png").height, 5);
}

TEST_F(RoundTrip, PredictWithMasksOfSomeImages) {
  const fs::path data = *folder_ / "some_masks";
  write_split(data, "val", 3);
  fs::remove(data / "val" / "masks" / "image1.png");
  const fs::path out = *folder_ / "predicted_some";
  const CommandResult result = run_command(
      {"predict", "--checkpoint", best(), "--data", data.string(), "--out", out.string()});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  expect_mentions(result.out, "3 images", "mIoU", "against the truth that is there");
  EXPECT_EQ(count_files(out / "overlays"), 3U);
}

TEST(GradientDescent, TakesTheWholeSetUnlessToldOtherwise) {
  const TempDir folder;
  const auto trained = [&](const std::vector<std::string>& more) {
    const fs::path out = folder / "run";
    std::vector<std::string> arguments = {"train",
                                          "--data",
                                          "builtin:cells?size=160&train=7&val=1&test=1",
                                          "--optimizer",
                                          "gd",
                                          "--model",
                                          "unet(width=2, depth=1)",
                                          "--epochs",
                                          "2",
                                          "--pictures",
                                          "0",
                                          "--overwrite",
                                          "--out",
                                          out.string()};
    arguments.insert(arguments.end(), more.begin(), more.end());
    const CommandResult result = run_command(arguments);
    EXPECT_EQ(result.exit_code, 0) << result.err;
    auto options = nlohmann::json::parse(read_text(out / "options.json"));
    options["all_steps"] = json_events(read_text(out / "metrics.jsonl"), "step").size();
    return options;
  };
  const nlohmann::json whole = trained({});
  EXPECT_EQ(whole.at("batch"), 7);
  EXPECT_EQ(whole.at("images_at_once"), 5);  // of 25600 pixels
  EXPECT_EQ(whole.at("crop"), "none");
  EXPECT_EQ(whole.at("augment"), "none");
  EXPECT_EQ(whole.at("all_steps"), 2);
  const nlohmann::json crops = trained({"--batch", "4"});
  EXPECT_EQ(crops.at("batch"), 4);
  EXPECT_EQ(crops.at("images_at_once"), 0);
  EXPECT_EQ(crops.at("crop"), "128x128");
  EXPECT_EQ(crops.at("augment"), "flip");
  EXPECT_EQ(trained({"--crop", "64"}).at("batch"), 8);
  EXPECT_EQ(trained({"--images-at-once", "2"}).at("images_at_once"), 2);
}

/// Two grey images in the format of MNIST, as both of its parts.
fs::path grey_digits(const fs::path& folder) {
  std::vector<std::uint8_t> images = {0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 16, 0, 0, 0, 16};
  images.resize(images.size() + 2 * 256, 50);
  fs::create_directory(folder);
  for (const char* part : {"train", "t10k"}) {
    write_bytes(folder / (std::string(part) + "-images-idx3-ubyte"), images);
    write_bytes(folder / (std::string(part) + "-labels-idx1-ubyte"),
                {0, 0, 8, 1, 0, 0, 0, 2, 3, 7});
  }
  return folder;
}

TEST(Newton, TakesASmallClassifierByItself) {
  const TempDir folder;
  std::vector<std::uint8_t> records(std::size_t{2} * 3073, 60);
  records[0] = 0;
  records[3073] = 1;
  fs::create_directory(folder / "cifar");
  for (const char* part : {"data_batch_1.bin", "test_batch.bin"}) {
    write_bytes(folder / "cifar" / part, records);
  }
  const auto trained = [&](const std::string& data, const std::string& steps) {
    const fs::path out = folder / "run";
    const CommandResult result =
        run_command({"train", "--data", data, "--optimizer", "newton", "--steps", steps, "--epochs",
                     "0", "--overwrite", "--out", out.string()});
    EXPECT_EQ(result.exit_code, 0) << result.err;
    const auto options = nlohmann::json::parse(read_text(out / "options.json"));
    EXPECT_LE(options.at("parameters"), 4096);
    return options.at("model").get<std::string>();
  };
  EXPECT_EQ(trained("mnist:" + grey_digits(folder / "digits").string(), "1"),
            "classifier2(width=2, hidden=16)");
  EXPECT_EQ(trained("cifar10:" + (folder / "cifar").string(), "0"),
            "classifier2(width=2, hidden=8)");
}

// Whole images of different sizes are no one batch.
TEST(GradientDescent, TakesCropsOfImagesOfDifferentSizes) {
  const TempDir folder;
  for (const char* split : {"train", "val"}) {
    for (const char* kind : {"images", "masks"}) {
      fs::create_directories(folder / "data" / split / kind);
    }
    for (const int size : {32, 48}) {
      const std::string name = std::to_string(size) + ".png";
      write_flat_png(folder / "data" / split / "images" / name, size, size, 1, 90);
      write_flat_mask(folder / "data" / split / "masks" / name, size, size,
                      static_cast<std::uint8_t>(size == 32 ? 0 : 1));
    }
  }
  const CommandResult result =
      run_command({"train", "--data", (folder / "data").string(), "--optimizer", "gd", "--model",
                   "unet(width=2, depth=1)", "--steps", "1", "--out", (folder / "run").string()});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  const auto options = nlohmann::json::parse(read_text(folder / "run" / "options.json"));
  EXPECT_EQ(options.at("batch"), 8);
  EXPECT_EQ(options.at("images_at_once"), 0);
  EXPECT_EQ(options.at("crop"), "48x48");
}

TEST_F(RoundTrip, PredictFilesWithAClassifier) {
  const fs::path data = grey_digits(*folder_ / "mnist");
  const fs::path trained = *folder_ / "classifier";
  ASSERT_EQ(run_command({"train", "--data", "mnist:" + data.string(), "--out", trained.string(),
                         "--model", "classifier2", "--steps", "1"})
                .exit_code,
            0);
  const fs::path out = *folder_ / "classified";
  const auto predict = [&](const fs::path& image) {
    return run_command({"predict", "--checkpoint", (trained / "best.safetensors").string(),
                        "--data", image.string(), "--out", out.string()});
  };
  write_flat_png(*folder_ / "digit.png", 16, 16, 1, 90);
  const CommandResult result = predict(*folder_ / "digit.png");
  ASSERT_EQ(result.exit_code, 0) << result.err;
  EXPECT_TRUE(read_text(out / "predictions.csv").find("\ndigit,") != std::string::npos)
      << read_text(out / "predictions.csv");
  write_flat_png(*folder_ / "large.png", 20, 16, 1, 90);
  const CommandResult other = predict(*folder_ / "large.png");
  EXPECT_EQ(other.exit_code, 2);
  expect_mentions(other.err, "large.png", "16x20", "16x16");
}

TEST_F(RoundTrip, PredictNamesWhatItSkips) {
  const fs::path images = *folder_ / "mixed";
  fs::create_directory(images);
  write_flat_png(images / "one.png", 20, 20, 1, 90);
  const auto predict = [&] {
    return run_command({"predict", "--checkpoint", best(), "--data", images.string(), "--out",
                        (*folder_ / "predicted_mixed").string(), "--quiet"});
  };
  EXPECT_EQ(predict().err, "");
  std::ofstream(images / "scan.TIF") << "II*";
  std::ofstream(images / "notes.txt") << "?";
  std::ofstream(images / ".hidden") << "?";
  const CommandResult result = predict();
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(result.err, "skipped, since only PNG and JPEG are read: notes.txt, scan.TIF\n");
  expect_mentions(result.out, "1 images");
  for (int i = 0; i < 20; ++i) {
    std::ofstream(images / ("more" + std::to_string(i))) << "?";
  }
  expect_mentions(predict().err, "more0, more1, ", " and 14 more\n");
}

TEST_F(RoundTrip, PredictOneFileWithoutOverlay) {
  const fs::path out = *folder_ / "predicted_file";
  write_flat_png(*folder_ / "one.png", 20, 20, 1, 90);
  const CommandResult result =
      run_command({"predict", "--checkpoint", best(), "--data", (*folder_ / "one.png").string(),
                   "--out", out.string(), "--no-overlays"});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  EXPECT_TRUE(fs::exists(out / "classes" / "one.png"));
  EXPECT_FALSE(fs::exists(out / "overlays"));
  EXPECT_FALSE(fs::exists(out / "legend.png"));
}

TEST_F(RoundTrip, InfoDescribesACheckpoint) {
  const CommandResult result = run_command({"info", "--checkpoint", best()});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  expect_mentions(result.out, "unet(width=4", "background", "builtin:cells", "adam");
}

TEST_F(RoundTrip, BeginsWithTheParametersOfACheckpoint) {
  const fs::path out = *folder_ / "fine_tuned";
  const CommandResult result =
      run_command(tiny_training(out, {"--checkpoint", best(), "--epochs", "1"}));
  ASSERT_EQ(result.exit_code, 0) << result.err;
  const auto line = parse_json_lines(read_text(out / "metrics.jsonl")).at(1);
  EXPECT_LT(line.at("loss").get<double>(), metrics("step").front().at("loss").get<double>());
}

TEST_F(RoundTrip, JsonGoesToStdoutAsItGoesToTheFile) {
  const fs::path out = *folder_ / "json";
  const CommandResult result = run_command(tiny_training(out, {"--json", "--quiet"}));
  ASSERT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(result.err, "");
  EXPECT_EQ(result.out, read_text(out / "metrics.jsonl"));
}

TEST_F(RoundTrip, QuietPrintsTheTableOnly) {
  const CommandResult result = run_command(tiny_training(*folder_ / "quiet", {"--quiet"}));
  EXPECT_EQ(result.err, "");
  expect_mentions(result.out, "mean");
}

TEST_F(RoundTrip, OverwriteReplacesATraining) {
  const fs::path out = *folder_ / "json_again";
  EXPECT_EQ(run_command(tiny_training(out)).exit_code, 0);
  EXPECT_EQ(run_command(tiny_training(out, {"--overwrite", "--epochs", "1"})).exit_code, 0);
  EXPECT_EQ(parse_json_lines(read_text(out / "metrics.jsonl")).back().at("step"), 3);
}

/// A user who does not know that the masks have a value for "not labelled" sees it now, or never.
TEST_F(RoundTrip, SaysWhichClassesTheMasksHold) {
  const fs::path data = *folder_ / "classes";
  write_split(data, "train", 4);  // half the pixels each of 0 and 1
  write_split(data, "val", 1);
  write_flat_mask(data / "train" / "masks" / "image3.png", 32, 32, 4);
  const auto train = [&](const std::vector<std::string>& more) {
    std::vector<std::string> arguments =
        tiny_training(*folder_ / "of_classes",
                      {"--data", data.string(), "--steps", "1", "--pictures", "0", "--overwrite"});
    arguments.insert(arguments.end(), more.begin(), more.end());
    return run_command(arguments).err;
  };
  expect_mentions(train({}), "5 classes (the largest index in the masks is 4)",
                  "class 0 50.00 %, class 1 25.00 %, class 2 0.00 %", "class 4 25.00 %",
                  " labelled 0.00 %", "value 255", "--ignore-index",
                  "no pixel of the training images is of: class 2, class 3\n");
  const std::string ignored = train({"--ignore-index", "4"});
  expect_mentions(ignored, "2 classes (the largest index in the masks is 1)",
                  "not labelled 25.00 %");
  EXPECT_EQ(ignored.find("No pixel has"), std::string::npos) << ignored;
  EXPECT_EQ(ignored.find("no pixel of"), std::string::npos) << ignored;
  EXPECT_EQ(train({"--ignore-index", "-1"}).find("No pixel has"), std::string::npos);
  expect_mentions(train({"--classes", "6"}), "6 classes (--classes)");
  std::ofstream(data / "classes.txt") << "sky\nroad\ncar\nperson\nvoid\n";
  expect_mentions(train({}), "5 classes (classes.txt)", "0 sky 50.00 %", "4 void 25.00 %",
                  "is of: 2 car, 3 person\n");
  EXPECT_EQ(train({}).find("No pixel has"), std::string::npos) << "somebody has named each";
  EXPECT_EQ(train({"--no-check"}).find("50.00 %"), std::string::npos);
}

TEST_F(RoundTrip, FolderWithoutSplitsHoldsSomeImagesOut) {
  const fs::path data = *folder_ / "flat";
  write_split(data, "", 10);
  const CommandResult result =
      run_command(tiny_training(*folder_ / "held_out", {"--data", data.string(), "--holdout", "0.2",
                                                        "--class-weights", "balanced"}));
  ASSERT_EQ(result.exit_code, 0) << result.err;
  expect_mentions(result.err, "8 images to train on, 2 to validate (held out)");
}

TEST_F(RoundTrip, OfAFewImagesOneIsHeldOut) {
  const fs::path data = *folder_ / "few";
  write_split(data, "", 3);  // a tenth of which is none
  const CommandResult result =
      run_command(tiny_training(*folder_ / "held_one_out", {"--data", data.string()}));
  ASSERT_EQ(result.exit_code, 0) << result.err;
  expect_mentions(result.err, "2 images to train on, 1 to validate (held out)");
}

TEST(Classifier, TrainsEvaluatesAndPredicts) {
  const TempDir folder;
  fs::create_directory(folder / "data");
  std::vector<std::uint8_t> records;
  for (int i = 0; i < 12; ++i) {  // dark ones and bright ones
    records.push_back(static_cast<std::uint8_t>(i % 2));
    records.insert(records.end(), 3072, static_cast<std::uint8_t>(60 + 120 * (i % 2) + i));
  }
  write_bytes(folder / "data" / "data_batch_1.bin", records);
  write_bytes(folder / "data" / "test_batch.bin", records);
  const std::string data = "cifar10:" + (folder / "data").string();
  const std::string out = (folder / "run").string();
  const CommandResult trained = run_command({"train", "--data", data, "--model", "classifier2",
                                             "--epochs", "1", "--batch", "4", "--out", out});
  ASSERT_EQ(trained.exit_code, 0) << trained.err;
  expect_mentions(trained.out, "recall", "precision", "accuracy", "test");
  const CommandResult predicted =
      run_command({"predict", "--checkpoint", out + "/best.safetensors", "--out", out + "/p"});
  ASSERT_EQ(predicted.exit_code, 0) << predicted.err;
  const std::string csv = read_text(folder / "run" / "p" / "predictions.csv");
  EXPECT_EQ(std::count(csv.begin(), csv.end(), '\n'), 13) << csv;
  EXPECT_EQ(run_command({"evaluate", "--checkpoint", out + "/best.safetensors"}).exit_code, 0);
}

}  // namespace
}  // namespace curvseg::test
