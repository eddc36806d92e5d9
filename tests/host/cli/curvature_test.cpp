// `curvseg curvature`: its tables, its files, and what it refuses.
#include <cmath>

#include "command.hpp"

namespace curvseg::test {
namespace {

namespace fs = std::filesystem;

/// One finished training that the tests look at.
class CurvatureCommand : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    folder_ = new TempDir;
    trained_ = run_command(
        tiny_training(run(), {"--optimizer", "sgd", "--weight-decay", "0.25", "--label-smoothing",
                              "0.1", "--class-weights", "balanced", "--pictures", "0"}));
  }
  static void TearDownTestSuite() { delete folder_; }
  void SetUp() override { ASSERT_EQ(trained_.exit_code, 0) << trained_.err; }

  static fs::path run() { return *folder_ / "run"; }
  static fs::path out(const std::string& name) { return *folder_ / name; }

  /// A quick measurement, with further options.
  static CommandResult curvature(const std::vector<std::string>& more) {
    std::vector<std::string> arguments = {"curvature",
                                          "--checkpoint",
                                          (run() / "best.safetensors").string(),
                                          "--images",
                                          "4",
                                          "--steps",
                                          "12",
                                          "--probes",
                                          "4",
                                          "--eigenvalues",
                                          "3",
                                          "--device",
                                          "host"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return run_command(arguments);
  }
  static nlohmann::json json(const std::vector<std::string>& more) {
    std::vector<std::string> all = {"--json", "--out", out("json").string()};
    all.insert(all.end(), more.begin(), more.end());
    const CommandResult result = curvature(all);
    EXPECT_EQ(result.exit_code, 0) << result.err;
    return nlohmann::json::parse(result.out, nullptr, false);
  }

  template <typename... Parts>
  static void expect_refused(const std::vector<std::string>& more, const Parts&... parts) {
    std::vector<std::string> all = {"--out", out("refused").string()};
    all.insert(all.end(), more.begin(), more.end());
    const CommandResult result = curvature(all);
    EXPECT_EQ(result.exit_code, 2) << result.err;
    EXPECT_EQ(std::count(result.err.begin(), result.err.end(), '\n'), 1) << result.err;
    EXPECT_TRUE(result.err.starts_with("curvseg: ")) << result.err;
    EXPECT_EQ(result.out, "");
    expect_mentions(result.err, parts...);
    EXPECT_FALSE(fs::exists(out("refused")));
  }

  static inline TempDir* folder_ = nullptr;
  static inline CommandResult trained_;
};

TEST_F(CurvatureCommand, PrintsTablesAndWritesItsFolder) {
  const CommandResult result = curvature({"--lambda", "0.5"});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  expect_mentions(result.out, "gauss-newton", "hessian", "largest  1", "smallest 1", "trace",
                  "condition, at least", "condition with lambda 0.5", "effective rank", "near 0",
                  "negative", "encoder1.conv1", "bottleneck.conv2", "head", "(train)",
                  "4 crops of 32x32", "label smoothing 0.1", "class weights", "L2 0.25",
                  "curvature.json", "spectrum.png");
  expect_mentions(result.err, "gauss-newton: 27 products", "hessian: 27 products");
  EXPECT_EQ(result.out.find("nan"), std::string::npos) << result.out;
  const fs::path folder = run() / "curvature";  // beside the checkpoint
  EXPECT_TRUE(fs::exists(folder / "curvature.json"));
  EXPECT_EQ(std::distance(fs::directory_iterator(folder), fs::directory_iterator()), 2)
      << "something temporary was left";
  const Image picture = read_image(folder / "spectrum.png");
  EXPECT_EQ(picture.width, 1200);
  EXPECT_EQ(picture.height, 74 + 300 + 26 + 300 + 74);
  std::size_t blue = 0;
  std::size_t green = 0;
  for (std::size_t i = 0; i < picture.pixels.size(); i += 3) {
    const Rgb color{picture.pixels[i], picture.pixels[i + 1], picture.pixels[i + 2]};
    blue += color == Rgb{0, 114, 178} ? 1 : 0;
    green += color == Rgb{0, 158, 115} ? 1 : 0;
  }
  EXPECT_GT(blue, 500U);
  EXPECT_GT(green, 500U);
}

TEST_F(CurvatureCommand, JsonHoldsEverything) {
  const auto all = json({});
  EXPECT_EQ(all, nlohmann::json::parse(read_text(out("json") / "curvature.json")));
  EXPECT_EQ(all.at("model"), "unet(width=4, depth=1, transpose=true)");
  EXPECT_EQ(all.at("split"), "train");
  EXPECT_EQ(all.at("images").at("count"), 4);
  EXPECT_EQ(all.at("images").at("labels"), 4 * 32 * 32);
  EXPECT_EQ(all.at("loss").at("kind"), "cross-entropy");
  EXPECT_FLOAT_EQ(all.at("loss").at("label_smoothing"), 0.1F);
  EXPECT_EQ(all.at("loss").at("class_weights").size(), 3U);
  EXPECT_EQ(all.at("loss").at("l2"), 0.25);
  EXPECT_GT(all.at("loss").at("gradient_norm"), 0.0);
  EXPECT_EQ(all.at("options").at("batch"), 4);
  EXPECT_EQ(all.at("options").at("runs"), 2);
  EXPECT_GT(all.at("options").at("deflated"), 0);
  ASSERT_EQ(all.at("matrices").size(), 2U);
  for (const char* name : {"gauss-newton", "hessian"}) {
    const auto& matrix = all.at("matrices").at(name);
    EXPECT_EQ(matrix.at("products"), 27) << name;  // 2·12 + 4 − 1
    ASSERT_EQ(matrix.at("largest").size(), 3U) << name;
    EXPECT_GT(matrix.at("largest").at(0).at("value"), matrix.at("largest").at(1).at("value"));
    EXPECT_LT(matrix.at("smallest").at(0).at("value"), matrix.at("smallest").at(1).at("value"));
    double trace = 0.0;
    double share = 0.0;
    std::size_t parameters = 0;
    for (const auto& layer : matrix.at("layers")) {
      trace += layer.at("trace").get<double>();
      share += layer.at("share").get<double>();
      parameters += layer.at("parameters").get<std::size_t>();
    }
    EXPECT_NEAR(trace, matrix.at("trace").get<double>(), 1e-6 * std::fabs(trace)) << name;
    EXPECT_NEAR(share, 1.0, 1e-6) << name;
    EXPECT_EQ(parameters, all.at("parameters")) << name;
    EXPECT_GT(matrix.at("standard_error"), 0.0) << name;
    const auto& density = matrix.at("density");
    EXPECT_EQ(density.at("nodes").size(), 24U) << name;
    EXPECT_EQ(density.at("weights").size(), 24U) << name;
    EXPECT_EQ(density.at("grid").size(), density.at("density").size()) << name;
    EXPECT_EQ(density.at("grid").size(), all.at("options").at("points")) << name;
    EXPECT_GE(matrix.at("condition_bound"), 1.0) << name;
    const double largest = matrix.at("largest").at(0).at("value").get<double>();
    EXPECT_NEAR(matrix.at("largest_stable_step").get<double>() * largest, 2.0, 1e-12) << name;
  }
}

TEST_F(CurvatureCommand, TheSameSeedGivesTheSameBytes) {
  const auto bytes = [&](const std::string& name, const std::vector<std::string>& more) {
    std::vector<std::string> all = {"--quiet", "--out", out(name).string()};
    all.insert(all.end(), more.begin(), more.end());
    const CommandResult result = curvature(all);
    EXPECT_EQ(result.exit_code, 0) << result.err;
    EXPECT_EQ(result.err, "") << "quiet";
    return read_text(out(name) / "curvature.json") + read_text(out(name) / "spectrum.png");
  };
  const std::string first = bytes("first", {});
  EXPECT_TRUE(bytes("second", {}) == first);
  EXPECT_FALSE(bytes("third", {"--seed", "2"}) == first);
}

/// As many parameters as the network has, 0.25 each: what the L2 term adds.
TEST_F(CurvatureCommand, TheL2TermOfTheTrainingIsIn) {
  const auto all = json({"--matrix", "gauss-newton"});
  const auto& matrix = all.at("matrices").at("gauss-newton");
  EXPECT_EQ(all.at("matrices").size(), 1U);
  EXPECT_NEAR(matrix.at("smallest").at(0).at("value").get<double>(), 0.25, 1e-3);
  EXPECT_GT(matrix.at("trace").get<double>(), 0.25 * all.at("parameters").get<double>());
  EXPECT_EQ(matrix.at("share_negative"), 0.0);
}

/// Mini-batches of any size are one loss, also where the last one is filled up.
TEST_F(CurvatureCommand, BatchesDoNotChangeTheMatrix) {
  const auto whole = json({"--crop", "none", "--images", "5"});
  for (const char* batch : {"1", "2", "3"}) {
    const auto parts = json({"--crop", "none", "--images", "5", "--batch", batch});
    EXPECT_EQ(parts.at("images"), whole.at("images")) << batch;
    const auto expect_near = [&](const char* pointer) {
      const nlohmann::json::json_pointer at(pointer);
      const auto expected = whole.at(at).get<double>();
      EXPECT_NEAR(parts.at(at).get<double>(), expected, 1e-4 * std::fabs(expected))
          << pointer << ", batches of " << batch;
    };
    expect_near("/loss/value");
    expect_near("/loss/gradient_norm");
    for (const std::string name : {"/matrices/gauss-newton", "/matrices/hessian"}) {
      expect_near((name + "/trace").c_str());
      expect_near((name + "/largest/0/value").c_str());
    }
  }
  EXPECT_EQ(json({"--crop", "none", "--images", "50"}).at("images").at("count"), 6)
      << "a whole image counts once";
}

/// A mini-batch in which no label counts has weight 0, whichever comes first.
TEST_F(CurvatureCommand, AMiniBatchWithoutALabelAddsNothing) {
  const fs::path data = out("partly");
  write_split(data, "train", 2);
  write_flat_mask(data / "train" / "masks" / "image0.png", 32, 32, 255);
  const auto measure = [&](const char* seed, const char* batch) {
    return json({"--data", data.string(), "--crop", "none", "--images", "2", "--batch", batch,
                 "--seed", seed});
  };
  for (const char* seed : {"1", "2", "3", "4"}) {  // both orders of the two images
    const auto whole = measure(seed, "2");
    const auto parts = measure(seed, "1");
    EXPECT_EQ(parts.at("images").at("labels"), 32 * 32) << seed;
    for (const char* pointer : {"/loss/value", "/loss/gradient_norm", "/matrices/hessian/trace",
                                "/matrices/gauss-newton/largest/0/value"}) {
      const nlohmann::json::json_pointer at(pointer);
      const auto expected = whole.at(at).get<double>();
      EXPECT_NEAR(parts.at(at).get<double>(), expected, 1e-4 * std::fabs(expected))
          << pointer << ", seed " << seed;
    }
  }
}

TEST_F(CurvatureCommand, DampingGivesACondition) {
  const auto all = json({"--lambda", "2"});
  const auto& matrix = all.at("matrices").at("gauss-newton");
  const double large = matrix.at("largest").at(0).at("value").get<double>();
  const double small = matrix.at("smallest").at(0).at("value").get<double>();
  EXPECT_NEAR(matrix.at("condition_with_lambda").get<double>(), (large + 2.0) / (small + 2.0),
              1e-9 * large);
}

TEST_F(CurvatureCommand, TakesAFolderAndTheEmpiricalFisher) {
  write_split(out("data"), "train", 3);
  const auto all = json({"--data", out("data").string(), "--matrix", "empirical-fisher,hessian"});
  EXPECT_TRUE(all.at("matrices").contains("empirical-fisher"));
  EXPECT_EQ(all.at("data"), out("data").string());
}

TEST_F(CurvatureCommand, Refuses) {
  expect_refused({"--matrix", "hesian"}, "--matrix hesian", "gauss-newton, hessian");
  expect_refused({"--matrix", "hessian,"}, "--matrix hessian,", "\"\"");
  expect_refused({"--matrix", "hessian,hessian"}, "hessian comes twice");
  expect_refused({"--eigenvalues", "7"}, "--eigenvalues 7", "--steps 12");
  expect_refused({"--probes", "1"}, "--probes", "1 not in range");
  expect_refused({"--images", "0"}, "--images", "0 not in range");
  expect_refused({"--steps", "0"}, "--steps", "0 not in range");
  expect_refused({"--runs", "none"}, "--runs", "none");
  expect_refused({"--lambda", "-1"}, "--lambda", "-1 is negative");
  expect_refused({"--lambda", "nan"}, "--lambda nan", "finite");
  expect_refused({"--seed", "-1"}, "--seed", "-1 is negative");
  expect_refused({"--seed", "99999999999999999999"}, "--seed", "is too large");
  expect_refused({"--seed", ""}, "--seed", "a number is missing");
  expect_refused({"--crop", "12by7"}, "--crop 12by7", "WIDTHxHEIGHT");
  expect_refused({"--crop", "1"}, "crop of 1x1", "window of 2x2");
  expect_refused({"--device", "tpu"}, "tpu", "host");
  expect_refused({"--checkpoint", out("none.safetensors").string()}, "none.safetensors");
  expect_refused({"--data", out("nowhere").string()}, "nowhere", "no such folder");
  expect_refused({"--probe", "3"}, "--probe", "did you mean --probes?");
}

TEST_F(CurvatureCommand, RefusesDataThatDoNotFit) {
  const fs::path data = out("odd");
  write_split(data, "train", 2);
  write_flat_png(data / "train" / "images" / "large.png", 48, 32, 1, 9);
  write_flat_mask(data / "train" / "masks" / "large.png", 48, 32, 1);
  expect_refused({"--data", data.string(), "--crop", "none"}, data.string(), "32x32", "32x48",
                 "--crop");
}

TEST_F(CurvatureCommand, RefusesImagesWithoutALabel) {
  const fs::path data = out("bare");
  write_split(data, "train", 2);
  write_flat_mask(data / "train" / "masks" / "image0.png", 32, 32, 255);
  int refused = 0;
  for (int seed = 1; seed <= 8 && refused == 0; ++seed) {  // one seed or another takes image0
    const std::vector<std::string> one = {"--data",   data.string(), "--images",
                                          "1",        "--seed",      std::to_string(seed),
                                          "--matrix", "gauss-newton"};
    std::vector<std::string> all = one;
    all.insert(all.end(), {"--out", out("bare_out").string()});
    if (curvature(all).exit_code == 2) {
      expect_refused(one, data.string(), "1 crops of train", "no label");
      ++refused;
    }
  }
  EXPECT_EQ(refused, 1);
}

TEST_F(CurvatureCommand, RefusesAFolderThatCannotBe) {
  write_bytes(out("file"), {1});
  const CommandResult result = curvature({"--out", out("file").string()});
  EXPECT_EQ(result.exit_code, 2);
  expect_mentions(result.err, out("file").string(), "not a folder");
  EXPECT_EQ(curvature({"--out", "/proc/curvseg/out"}).exit_code, 2);
}

}  // namespace
}  // namespace curvseg::test
