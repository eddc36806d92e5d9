#include "host/cli/curvature_report.hpp"

#include <spdlog/fmt/fmt.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <functional>

namespace curvseg::cli {
namespace {

constexpr std::size_t kLabelWidth = 32;
constexpr std::size_t kColumnWidth = 26;

std::string split_text(const CurvatureReport& report) {
  return report.split.empty() ? "" : " (" + report.split + ")";
}

std::string images_text(const CurvatureReport& report) {
  return fmt::format("{} {} of {}x{}", report.images.n, report.cropped ? "crops" : "images",
                     report.images.w, report.images.h);
}

std::string loss_name(const LossOptions& loss) {
  return loss.kind == LossKind::kCrossEntropy ? "cross-entropy" : "mean squared error";
}

std::string loss_text(const CurvatureReport& report) {
  std::string text = loss_name(report.loss_options);
  if (!report.loss_options.class_weights.empty()) {
    text += ", class weights";
    for (const float weight : report.loss_options.class_weights) {
      text += fmt::format(" {:.3g}", weight);
    }
  }
  if (report.loss_options.label_smoothing > 0.0F) {
    text += fmt::format(", label smoothing {:g}", report.loss_options.label_smoothing);
  }
  if (report.l2 > 0.0F) {
    text += fmt::format(", L2 {:g}", report.l2);
  }
  return text;
}

std::string with_error(double value, double error) {
  return fmt::format("{:.4g} ± {:.1g}", value, error);
}

std::string percent(double part) { return fmt::format("{:.3g} %", 100.0 * part); }

/// @p text at the right of a column; a "±" takes two bytes and one column.
std::string right_aligned(const std::string& text, std::size_t width) {
  const auto columns = static_cast<std::size_t>(
      std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xC0) != 0x80; }));
  return std::string(width > columns ? width - columns : 1, ' ') + text;
}

/// 2 / λ_max; nothing where no direction curves upwards.
std::optional<double> largest_stable_step(const Spectrum& spectrum) {
  const double largest = spectrum.largest.front().value;
  return largest > 0.0 ? std::optional(2.0 / largest) : std::nullopt;
}

Json number_or_null(const std::optional<double>& number) { return number ? Json(*number) : Json(); }

using Cell = std::function<std::string(const MeasuredMatrix&)>;

std::string row(const CurvatureReport& report, const std::string& label, const Cell& cell) {
  std::string text = fmt::format("{:<{}}", label, kLabelWidth);
  for (const MeasuredMatrix& each : report.matrices) {
    text += right_aligned(cell(each), kColumnWidth);
  }
  return text + "\n";
}

/// "-" for matrices that have no negative eigenvalues.
Cell of_indefinite(const std::function<std::string(const Spectrum&)>& cell) {
  return [cell](const MeasuredMatrix& each) {
    return each.matrix.semidefinite ? std::string("-") : cell(each.spectrum);
  };
}

Cell of_spectrum(const std::function<std::string(const Spectrum&)>& cell) {
  return [cell](const MeasuredMatrix& each) { return cell(each.spectrum); };
}

std::string eigenvalue_rows(const CurvatureReport& report) {
  std::string text;
  const auto value = [](const std::vector<RitzValue>& of, std::size_t i) {
    return i < of.size() ? with_error(of[i].value, of[i].residual) : std::string("-");
  };
  const auto name = [](const char* first, std::size_t i) {
    return i == 0 ? std::string(first) : fmt::format("{:>10}", i + 1);
  };
  std::size_t count = 0;
  bool indefinite = false;
  for (const MeasuredMatrix& each : report.matrices) {
    count = std::max(count, each.spectrum.largest.size());
    indefinite = indefinite || !each.matrix.semidefinite;
  }
  for (std::size_t i = 0; i < count; ++i) {
    text += row(report, name("largest  1", i),
                of_spectrum([&](const Spectrum& s) { return value(s.largest, i); }));
  }
  for (std::size_t i = 0; i < count && indefinite; ++i) {
    text += row(report, name("smallest 1", i),
                of_indefinite([&](const Spectrum& s) { return value(s.smallest, i); }));
  }
  return text;
}

std::string summary_rows(const CurvatureArguments& arguments, const CurvatureReport& report) {
  const auto any = [&](auto property) {
    return std::any_of(report.matrices.begin(), report.matrices.end(), property);
  };
  std::string text = row(report, "trace", of_spectrum([](const Spectrum& s) {
                           return with_error(s.trace.trace, s.trace.standard_error);
                         }));
  text += row(report, "condition, at least", of_spectrum([](const Spectrum& s) {
                return fmt::format("{:.3g}", s.condition_bound());
              }));
  if (arguments.lambda > 0.0) {
    text +=
        row(report, fmt::format("condition with lambda {:g}", arguments.lambda),
            [&](const MeasuredMatrix& each) {
              const auto condition = damped_condition(each, arguments.lambda);
              return condition ? fmt::format("{:.3g}", *condition) : std::string("not positive");
            });
  }
  text +=
      row(report, "effective rank",
          of_spectrum([](const Spectrum& s) { return fmt::format("{:.3g}", s.effective_rank()); }));
  text += row(
      report, fmt::format("near 0 (|λ| <= {:g} max |λ|)", kNearZero) + "",
      of_spectrum([](const Spectrum& s) { return percent(s.share_within(kNearZero * s.norm())); }));
  if (any([](const MeasuredMatrix& each) { return !each.matrix.semidefinite; })) {
    text += row(report, "negative beyond that", of_indefinite([](const Spectrum& s) {
                  return percent(s.share_below(kNearZero * s.norm()));
                }));
    text += row(report, "negative part of Σ|λ|",
                of_indefinite([](const Spectrum& s) { return percent(s.negative_mass()); }));
  }
  text += row(report, "largest stable step, 2 / λ", of_spectrum([](const Spectrum& s) {
                const auto step = largest_stable_step(s);
                return step ? fmt::format("{:.3g}", *step) : std::string("-");
              }));
  return text;
}

double share(const Spectrum& spectrum, std::size_t layer) {
  return spectrum.trace.trace != 0.0 ? spectrum.parts[layer].trace / spectrum.trace.trace : 0.0;
}

double per_parameter(const CurvatureReport& report, const Spectrum& spectrum, std::size_t layer) {
  return spectrum.parts[layer].trace /
         static_cast<double>(std::max<std::int64_t>(1, report.layers[layer].parameters));
}

std::string layer_table(const CurvatureReport& report) {
  std::size_t width = 5;
  for (const VectorRange& layer : report.layers) {
    width = std::max(width, layer.name.size());
  }
  std::string text = fmt::format("{:{}}  {:>10}", "trace", width, "");
  for (const MeasuredMatrix& each : report.matrices) {
    text += fmt::format("  | {:<34}", each.matrix.name);
  }
  text += fmt::format("\n{:{}}  {:>10}", "layer", width, "parameters");
  for (std::size_t m = 0; m < report.matrices.size(); ++m) {
    text += fmt::format("  | {:>16}  {:>6}  {:>8}", "trace", "share", "each");
  }
  text += "\n";
  for (std::size_t i = 0; i < report.layers.size(); ++i) {
    text += fmt::format("{:{}}  {:>10}", report.layers[i].name, width, report.layers[i].parameters);
    for (const MeasuredMatrix& each : report.matrices) {
      const TraceEstimate& part = each.spectrum.parts[i];
      text += "  | " + right_aligned(with_error(part.trace, part.standard_error), 16) +
              fmt::format("  {:>5.1f}%  {:>8.2g}", 100.0 * share(each.spectrum, i),
                          per_parameter(report, each.spectrum, i));
    }
    text += "\n";
  }
  return text;
}

Json values_json(const std::vector<RitzValue>& values) {
  Json json = Json::array();
  for (const RitzValue& each : values) {
    json.push_back({{"value", each.value}, {"residual", each.residual}});
  }
  return json;
}

Json trace_json(const TraceEstimate& trace) {
  return {{"trace", trace.trace}, {"standard_error", trace.standard_error}};
}

Json layers_json(const CurvatureReport& report, const Spectrum& spectrum) {
  Json json = Json::array();
  for (std::size_t i = 0; i < report.layers.size(); ++i) {
    Json layer = {{"name", report.layers[i].name}, {"parameters", report.layers[i].parameters}};
    layer.update(trace_json(spectrum.parts[i]));
    layer["share"] = share(spectrum, i);
    layer["per_parameter"] = per_parameter(report, spectrum, i);
    layer["part_of_first_eigenvector"] = spectrum.first_vector_parts[i];
    json.push_back(std::move(layer));
  }
  return json;
}

Json matrix_json(const CurvatureArguments& arguments, const CurvatureReport& report,
                 const MeasuredMatrix& matrix) {
  const Spectrum& s = matrix.spectrum;
  Json json = {{"largest", values_json(s.largest)}, {"smallest", values_json(s.smallest)}};
  json.update(trace_json(s.trace));
  json["norm"] = s.norm();
  json["mean_magnitude"] = s.mean_magnitude();
  json["condition_bound"] = s.condition_bound();
  if (arguments.lambda > 0.0) {
    json["condition_with_lambda"] = number_or_null(damped_condition(matrix, arguments.lambda));
  }
  json["effective_rank"] = s.effective_rank();
  json["near_zero"] = kNearZero * s.norm();
  json["share_near_zero"] = s.share_within(kNearZero * s.norm());
  json["share_negative"] = s.share_below(kNearZero * s.norm());
  json["negative_mass"] = s.negative_mass();
  json["largest_stable_step"] = number_or_null(largest_stable_step(s));
  json["products"] = s.products;
  json["layers"] = layers_json(report, s);
  json["density"] = {{"nodes", s.density.nodes},
                     {"weights", s.density.weights},
                     {"sigma", s.density.sigma},
                     {"grid", s.density.grid},
                     {"density", s.density.density}};
  return json;
}

}  // namespace

std::optional<double> damped_condition(const MeasuredMatrix& matrix, double lambda) {
  const Spectrum& s = matrix.spectrum;
  const double smallest = s.smallest.front().value;
  // What is below 0 in a semidefinite matrix is rounding.
  const double low = (matrix.matrix.semidefinite ? std::max(0.0, smallest) : smallest) + lambda;
  if (!(low > 0.0)) {
    return std::nullopt;
  }
  return (s.largest.front().value + lambda) / low;
}

std::string curvature_tables(const CurvatureArguments& arguments, const CurvatureReport& report) {
  std::string text = fmt::format("model    {}, {} parameters, step {}\n", report.model,
                                 report.matrices.front().spectrum.dimension, report.step);
  text += fmt::format("data     {}{}, {}, {} labels\n", report.data, split_text(report),
                      images_text(report), report.labels);
  text += fmt::format("loss     {:.6g} ({}), norm of its gradient {:.4g}\n\n", report.loss,
                      loss_text(report), report.gradient_norm);
  text += row(report, "eigenvalues", [](const MeasuredMatrix& each) { return each.matrix.name; });
  text += eigenvalue_rows(report) + "\n";
  text += summary_rows(arguments, report) + "\n";
  return text + layer_table(report);
}

Json curvature_json(const CurvatureArguments& arguments, const CurvatureReport& report) {
  const SpectrumOptions& o = arguments.spectrum;
  Json json = {{"checkpoint", arguments.model.checkpoint.string()},
               {"model", report.model},
               {"step", report.step},
               {"parameters", report.matrices.front().spectrum.dimension},
               {"device", report.device},
               {"data", report.data},
               {"split", report.split}};
  json["images"] = {{"count", report.images.n},
                    {"height", report.images.h},
                    {"width", report.images.w},
                    {"cropped", report.cropped},
                    {"labels", report.labels}};
  json["loss"] = {{"value", report.loss},
                  {"gradient_norm", report.gradient_norm},
                  {"kind", loss_name(report.loss_options)},
                  {"class_weights", report.loss_options.class_weights},
                  {"label_smoothing", report.loss_options.label_smoothing},
                  {"l2", report.l2}};
  json["options"] = {{"batch", report.batch},
                     {"eigenvalues", o.eigenvalues},
                     {"steps", o.steps},
                     {"runs", o.runs},
                     {"probes", std::max(o.probes, o.runs - 1)},
                     {"deflated", o.deflated},
                     {"points", o.points},
                     {"seed", o.seed},
                     {"lambda", arguments.lambda}};
  for (const MeasuredMatrix& each : report.matrices) {
    json["matrices"][each.matrix.name] = matrix_json(arguments, report, each);
  }
  return json;
}

}  // namespace curvseg::cli
