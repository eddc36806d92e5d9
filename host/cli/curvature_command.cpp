#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include <cmath>

#include "host/cli/commands.hpp"
#include "host/cli/console.hpp"
#include "host/cli/curvature_report.hpp"
#include "host/cli/curvature_run.hpp"
#include "host/cli/help.hpp"
#include "host/io/atomic_file.hpp"

namespace curvseg::cli {
namespace {

namespace fs = std::filesystem;

constexpr const char* kDescription =
    "Look at the curvature of a trained network's loss: eigenvalues, trace, condition, layers.\n"
    "Takes images of the training set and the loss of the training (class weights, label "
    "smoothing, "
    "coupled L2), and multiplies vectors with the Gauss-Newton matrix and the Hessian, exactly and "
    "without forming them: Lanczos for the ends of the spectrum and its density, random signs for "
    "the trace of each layer. Writes OUT/curvature.json, everything as numbers, and "
    "OUT/spectrum.png, a picture of the densities.";

constexpr const char* kCurvatureFooter = R"help(What the numbers are:
  largest, smallest     eigenvalues λ at the ends of the spectrum; behind ± how far away from the
                        value an eigenvalue can lie. More --steps make it smaller
  trace                 sum of all eigenvalues; behind ± the standard error over --probes
  condition, at least   max |λ| over the mean of |λ|. The condition number itself, max |λ| over
                        min |λ|, is at least that; of a network it is infinite, or noise, since
                        most eigenvalues are near 0. With --lambda: of the damped matrix
  effective rank        sum of |λ| over max |λ|
  negative              part of the eigenvalues, and of the sum of |λ|, below 0
  largest stable step   gradient descent with a fixed step beyond 2 / λ leaves this valley
  share, each           of a layer: its part of the trace, its trace over its parameters

Examples:
  curvseg curvature --checkpoint runs/cells-1/best.safetensors
      on the data of the training, results in runs/cells-1/curvature
  curvseg curvature --checkpoint FILE --data DIR --images 64 --runs 4 --steps 80 --probes 64
      the same in more detail
  curvseg curvature --checkpoint FILE --matrix hessian --json
      numbers for a program
)help";

void add_measure_options(CLI::App& app, CurvatureArguments& a) {
  app.add_option("--matrix", a.matrices,
                 "gauss-newton, hessian, empirical-fisher, or some of them, separated by commas. "
                 "Default gauss-newton,hessian")
      ->type_name("LIST");
  app.add_option("--images", a.images,
                 "Images or crops that the loss is over. Default 8; more are more like the whole "
                 "set, in proportion to the time")
      ->type_name("N")
      ->check(CLI::Range(1, 1 << 20));
  app.add_option("--crop", a.crop,
                 "Crops of this size, WIDTHxHEIGHT or one number; none for whole images. "
                 "Default: as in training")
      ->type_name("SIZE");
  app.add_option("--eigenvalues", a.spectrum.eigenvalues,
                 "Eigenvalues to show at each end. Default 5")
      ->type_name("K")
      ->check(CLI::Range(1, 1000));
  app.add_option("--steps", a.spectrum.steps,
                 "Of Lanczos: products, and copies of the parameters in memory, besides some 20. "
                 "Default 48")
      ->type_name("N")
      ->check(CLI::Range(1, 10000));
  app.add_option("--runs", a.spectrum.runs,
                 "Of Lanczos, each from a random vector, for the density. Default 2")
      ->type_name("N")
      ->check(CLI::Range(1, 10000));
  app.add_option("--probes", a.spectrum.probes, "Random vectors for the traces. Default 16")
      ->type_name("N")
      ->check(CLI::Range(2, 1 << 20));  // one has no standard error
  app.add_option("--lambda", a.lambda,
                 "Damping: also tell the condition of the matrix + X·I. Default 0: do not")
      ->type_name("X")
      ->check(not_negative());
  app.add_option("--seed", a.spectrum.seed,
                 "Of images, crops and vectors: the same seed gives the same bits. Default 1")
      ->type_name("N")
      ->check(not_negative());
}

int curvature(CurvatureArguments arguments) {
  start_console(arguments.model.quiet);
  static_cast<void>(parse_matrices(arguments.matrices));
  if (arguments.spectrum.steps < 2 * arguments.spectrum.eigenvalues) {
    throw InputError("--eigenvalues " + std::to_string(arguments.spectrum.eigenvalues) +
                     ": that many at each end do not come from --steps " +
                     std::to_string(arguments.spectrum.steps));
  }
  if (!std::isfinite(arguments.lambda)) {
    throw InputError("--lambda " + std::to_string(arguments.lambda) + ": must be a finite number");
  }
  if (arguments.out.empty()) {
    arguments.out = arguments.model.checkpoint.parent_path() / "curvature";
  }
  check_writable_files(arguments.out, {"curvature.json", "spectrum.png"});
  const fs::path numbers = arguments.out / "curvature.json";
  const fs::path spectrum = arguments.out / "spectrum.png";
  const CurvatureReport report = measure_curvature(arguments);
  const Json json = curvature_json(arguments, report);
  const Image picture = spectrum_picture(report);
  make_folder(arguments.out);
  write_png(spectrum, picture);
  write_file_atomically(numbers, to_text(json, 2) + "\n");
  if (arguments.json) {
    print(to_text(json) + "\n");
  } else {
    print(curvature_tables(arguments, report) + "\n" + numbers.string() +
          "  all of it as numbers\n" + spectrum.string() +
          "    the densities of the eigenvalues\n");
  }
  return kSuccess;
}

}  // namespace

void add_curvature(CLI::App& program, int& exit_code) {
  auto arguments = std::make_shared<CurvatureArguments>();
  CLI::App* app = program.add_subcommand("curvature", kDescription);
  app->add_option("--data", arguments->model.data,
                  "As for curvseg train. Default: the data of the training")
      ->type_name("DATA");
  add_model_options(*app, arguments->model);
  add_batch_option(*app, arguments->model);
  app->get_option("--split")->description("train, val or test. Default train");
  app->get_option("--batch")->description(
      "Images at once. Default 8; fewer need less memory. All --images at once save the forward "
      "pass of every product");
  add_measure_options(*app, *arguments);
  app->add_option("--out", arguments->out,
                  "Folder for what is written. Default: curvature, beside the checkpoint")
      ->type_name("DIR")
      ->check(not_empty());
  app->add_flag("--json", arguments->json, "Print JSON in place of the tables");
  app->footer(kCurvatureFooter);
  app->callback([arguments, &exit_code] { exit_code = curvature(*arguments); });
}

}  // namespace curvseg::cli
