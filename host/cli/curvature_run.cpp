#include "host/cli/curvature_run.hpp"

#include <spdlog/fmt/fmt.h>

#include <algorithm>
#include <chrono>
#include <cmath>

#include "curvseg/ops.hpp"
#include "host/cli/console.hpp"
#include "host/cli/crop_and_augment.hpp"
#include "host/cli/curvature_data.hpp"
#include "host/cli/report.hpp"
#include "host/cli/text.hpp"

namespace curvseg::cli {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

VectorView view(const DeviceArray<float>& array) { return {array.data(), array.size()}; }

/// The L2 term that the training had in its loss; decoupled decay is no part of a loss.
float coupled_l2(const OptimizerOptions& o) {
  const std::string& name = o.name;
  if (name == "sgd") return o.sgd.regularisation.l2;
  if (name == "adam") return o.adam.regularisation.l2;
  if (name == "adamw") return o.adamw.regularisation.l2;
  if (name == "auto") return o.automatic.foof.l2;
  if (name == "foof") return o.foof.l2;
  if (name == "gd") return o.gd.l2;
  if (name == "preconditioned-gd") return o.preconditioned_gd.l2;
  if (name == "projected-gd") return o.projected_gd.l2;
  if (name == "hessian-free") return o.hessian_free.l2;
  if (name == "newton-cg") return o.newton_cg.l2;
  if (name == "newton") return o.newton.l2;
  return 0.0F;  // soap, muon, damped-diagonal
}

/// The split to look at: the one asked for, else what the network was trained on.
std::string split_to_measure(const ModelArguments& arguments, const std::string& spec) {
  if (!arguments.split.empty()) {
    return arguments.split;
  }
  const std::vector<std::string> splits = available_splits(spec);
  return splits.empty() || splits.front() == "train" ? "train" : splits.front();
}

/// A value on the device, after waiting for it.
double read(const Stream& stream, const float* from) {
  DeviceArray<float> copy(stream.device(), 1);
  linear_combination(stream, {{{from, 1}}}, view(copy));
  return static_cast<double>(copy.to_host(stream).front());
}

double squared_norm(const Stream& stream, ConstVectorView v) {
  const DeviceArray<float> result(stream.device(), 1);
  const DeviceArray<float> scratch(
      stream.device(), static_cast<std::int64_t>(
                           dot_products_workspace(stream.device(), v.size, 1) / sizeof(float)));
  dot_products(stream, {{v, v}}, {scratch.data(), scratch.bytes()}, result.data());
  return read(stream, result.data());
}

/// Loss and gradient over all mini-batches, each label counting the same.
void measure_loss(const Stream& stream, BatchLoss& loss, ConstVectorView theta,
                  const CurvatureData& data, CurvatureReport& report) {
  const DeviceArray<float> sum(stream.device(), theta.size);
  const DeviceArray<float> part(stream.device(), theta.size);
  double weight = 0.0;
  fill(stream, view(sum), 0.0F);
  for (const MiniBatch& batch : data.batches()) {
    loss.linearise(theta, batch.x, batch.labels);
    loss.gradient(view(part));
    const double denominator = read(stream, loss.denominator());
    report.loss += denominator * read(stream, loss.loss());
    weight += denominator;
    linear_combination(stream, {{view(sum)}, {view(part), static_cast<float>(denominator)}},
                       view(sum));
  }
  if (!(weight > 0.0)) {
    throw InputError(report.data + ": " + std::to_string(data.images()) +
                     (report.cropped ? " crops" : " images") + " of " +
                     (report.split.empty() ? "it" : report.split) +
                     " were looked at, no label in them counts");
  }
  linear_combination(stream, {{view(sum), static_cast<float>(1.0 / weight)}, {theta, report.l2}},
                     view(sum));
  report.loss = report.loss / weight + 0.5 * double{report.l2} * squared_norm(stream, theta);
  report.gradient_norm = std::sqrt(squared_norm(stream, view(sum)));
  if (!std::isfinite(report.loss) || !std::isfinite(report.gradient_norm)) {
    throw Error(fmt::format("the loss at these parameters is {}, the norm of its gradient {}",
                            report.loss, report.gradient_norm));
  }
}

/// The status line of one matrix.
class Products {
 public:
  Products(std::string name, const SpectrumOptions& options, std::int64_t parameters)
      : name_(std::move(name)),
        planned_(options.runs *
                     static_cast<int>(std::min<std::int64_t>(options.steps, parameters)) +
                 std::max(0, options.probes - options.runs + 1)) {}

  /// The operator, counted.
  LinearMap count(CurvatureOperator& curvature) {
    return [this, &curvature](ConstVectorView v, VectorView product) {
      curvature.apply(v, product);
      ++done_;
      const double left = seconds_since(start_) / done_ * std::max(0, planned_ - done_);
      set_status(
          fmt::format("{}: product {}/{}, {} left", name_, done_, planned_, duration_text(left)));
    };
  }
  void finish() const {
    clear_status();
    say("{}: {} products in {}", name_, done_, duration_text(seconds_since(start_)));
  }

 private:
  std::string name_;
  int planned_;
  int done_ = 0;
  Clock::time_point start_ = Clock::now();
};

void measure_matrices(const CurvatureArguments& arguments, const Stream& stream, BatchLoss& loss,
                      ConstVectorView theta, const CurvatureData& data, CurvatureReport& report) {
  const DeviceArray<float> mask(stream.device(), theta.size);
  loss.model().mark_parameters(stream, view(mask));
  SpectrumOptions options = arguments.spectrum;
  options.mask = view(mask);
  std::int64_t parameters = 0;
  for (const VectorRange& layer : report.layers) {
    parameters += layer.parameters;
  }
  for (MeasuredMatrix& each : report.matrices) {
    const CurvatureOperatorOptions of_matrix{.matrix = each.matrix.matrix, .l2 = report.l2};
    // One batch stays linearised, which measure_loss() has done; several take turns.
    CurvatureOperator curvature =
        data.batches().size() == 1
            ? CurvatureOperator(stream, {&loss}, of_matrix)
            : CurvatureOperator(stream, loss, theta, data.batches(), of_matrix);
    Products products(each.matrix.name, options, parameters);
    each.spectrum =
        measure_spectrum(stream, products.count(curvature), theta.size, report.layers, options);
    products.finish();
  }
}

CurvatureReport describe(const CurvatureArguments& arguments, const TrainingState& state,
                         const Trainer& trainer) {
  CurvatureReport report;
  report.model = state.model;
  report.step = state.progress.step;
  report.device = trainer.stream().device().info().device;
  report.loss_options = state.options.loss;
  report.l2 = coupled_l2(state.options.optimizer);
  report.layers = layer_ranges(trainer.model());
  for (NamedMatrix& matrix : parse_matrices(arguments.matrices)) {
    report.matrices.push_back({std::move(matrix), {}});
  }
  return report;
}

Augment wanted_crop(const CurvatureArguments& arguments, const TrainingState& state,
                    const Dataset& dataset) {
  Augment augment;  // no flips or scales: they would add nothing but noise
  augment.crop_height = state.options.augment.crop_height;
  augment.crop_width = state.options.augment.crop_width;
  if (arguments.crop) {
    set_crop(augment, *arguments.crop, dataset);
  }
  return augment;
}

}  // namespace

std::vector<NamedMatrix> parse_matrices(const std::string& text) {
  const std::vector<NamedMatrix> all = {
      {CurvatureMatrix::kGaussNewton, "gauss-newton", true},
      {CurvatureMatrix::kHessian, "hessian", false},
      {CurvatureMatrix::kEmpiricalFisher, "empirical-fisher", true}};
  std::vector<NamedMatrix> chosen;
  for (std::size_t begin = 0; begin <= text.size();) {
    const std::size_t end = std::min(text.find(',', begin), text.size());
    const std::string name = text.substr(begin, end - begin);
    const auto is_it = [&name](const NamedMatrix& each) { return each.name == name; };
    const auto found = std::find_if(all.begin(), all.end(), is_it);
    if (found == all.end()) {
      throw InputError(fmt::format(
          "--matrix {}: there is no \"{}\", there are gauss-newton, hessian and empirical-fisher",
          text, name));
    }
    if (std::any_of(chosen.begin(), chosen.end(), is_it)) {
      throw InputError(fmt::format("--matrix {}: {} comes twice", text, name));
    }
    chosen.push_back(*found);
    begin = end + 1;
  }
  return chosen;
}

CurvatureReport measure_curvature(const CurvatureArguments& arguments) {
  const TrainingState state = load_model_state(arguments.model);
  const DataSettings settings = data_settings(arguments.model);
  Trainer trainer = open_trainer(arguments.model, state);
  CurvatureReport report = describe(arguments, state, trainer);
  report.data = settings.spec;
  report.split = split_to_measure(arguments.model, settings.spec);
  const auto dataset = open_for_model(settings, report.split, state, arguments.model.checkpoint);
  check_kind(trainer.model(), *dataset);
  const Augment augment = wanted_crop(arguments, state, *dataset);
  check_sizes(trainer.model(), *dataset, {augment.crop_height, augment.crop_width});
  report.cropped = augment.crop_height > 0;

  const Stream& stream = trainer.stream();
  set_status("reading images");
  const CurvatureData data(stream, *dataset,
                           {.images = arguments.images,
                            .batch = arguments.model.batch,
                            .augment = augment,
                            .normalisation = trainer.normalisation(),
                            .seed = arguments.spectrum.seed});
  report.images = data.batch_shape();
  report.batch = static_cast<int>(report.images.n);
  report.images.n = data.images();
  report.labels = data.labels();
  const bool has_hessian = std::any_of(
      report.matrices.begin(), report.matrices.end(),
      [](const MeasuredMatrix& each) { return each.matrix.matrix == CurvatureMatrix::kHessian; });
  BatchLoss loss(stream, trainer.model(), data.batch_shape(), report.loss_options,
                 has_hessian ? CurvatureKind::kHessian : CurvatureKind::kGaussNewton);
  measure_loss(stream, loss, trainer.theta(), data, report);
  measure_matrices(arguments, stream, loss, trainer.theta(), data, report);
  return report;
}

}  // namespace curvseg::cli
