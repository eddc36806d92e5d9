// Training states as safetensors files.
#include "curvseg/checkpoint.hpp"

#include <charconv>
#include <cstring>
#include <stdexcept>
#include <utility>

#include "host/io/safetensors.hpp"
#include "host/train/options_json.hpp"

namespace curvseg {
namespace {

constexpr const char* kFormat = "curvseg-checkpoint";
constexpr int kVersion = 1;
constexpr std::string_view kOptimizerPrefix = "optimizer.";
constexpr std::string_view kContinuedPrefix = "continued.";
constexpr std::string_view kScalarPrefix = "optimizer_scalar.";

using Metadata = std::map<std::string, std::string>;

SafetensorsTensor to_file(const NamedTensor& tensor, const std::string& name) {
  SafetensorsTensor result;
  result.name = name;
  result.shape = tensor.shape;
  result.bytes.resize(tensor.values.size() * sizeof(float));
  if (!result.bytes.empty())
    std::memcpy(result.bytes.data(), tensor.values.data(), result.bytes.size());
  return result;
}

NamedTensor from_file(const SafetensorsTensor& tensor, std::string_view name) {
  if (tensor.dtype != "F32")
    throw InputError("tensor " + tensor.name + " has dtype " + tensor.dtype +
                     ", a checkpoint has F32");
  NamedTensor result{std::string(name), tensor.shape, {}};
  result.values.resize(tensor.bytes.size() / sizeof(float));
  if (!result.values.empty())
    std::memcpy(result.values.data(), tensor.bytes.data(), tensor.bytes.size());
  return result;
}

Metadata make_metadata(const TrainingState& state) {
  Metadata result{{"format", kFormat},
                  {"version", std::to_string(kVersion)},
                  {"model", state.model},
                  {"in_channels", std::to_string(state.in_channels)},
                  {"classes", std::to_string(state.classes)},
                  {"image_h", std::to_string(state.image_h)},
                  {"image_w", std::to_string(state.image_w)},
                  {"optimizer", state.optimizer},
                  {"seed", std::to_string(state.options.seed)},
                  {"options", to_json(state.options)},
                  {"progress", to_json(state.progress)},
                  {"class_names", to_json(state.class_names)}};
  if (state.normalisation) result["normalisation"] = to_json(*state.normalisation);
  if (state.train_data) {
    result["train_samples"] = std::to_string(state.train_data->samples);
    result["train_fingerprint"] = state.train_data->hash;
  }
  for (const auto& [name, value] : state.optimizer_scalars)
    result[std::string(kScalarPrefix) + name] = value;
  return result;
}

const std::string& entry(const Metadata& metadata, const std::string& key) {
  const auto found = metadata.find(key);
  if (found == metadata.end()) throw InputError("its metadata has no " + key);
  return found->second;
}

template <class Integer = int>
Integer integer(const Metadata& metadata, const std::string& key) {
  const std::string& text = entry(metadata, key);
  Integer result = 0;
  const auto parsed = std::from_chars(text.data(), text.data() + text.size(), result);
  if (parsed.ec != std::errc() || parsed.ptr != text.data() + text.size() || result < 0)
    throw InputError("damaged metadata: " + key + " is \"" + text + "\"");
  return result;
}

void check_format(const Metadata& metadata) {
  const auto format = metadata.find("format");
  if (format == metadata.end() || format->second != kFormat)
    throw InputError(std::string("no checkpoint of curvseg: the format in its metadata is ") +
                     (format == metadata.end() ? "missing" : "\"" + format->second + "\"") +
                     ", not \"" + kFormat + "\"");
  const int version = integer(metadata, "version");
  if (version > kVersion)
    throw InputError("a checkpoint of version " + std::to_string(version) +
                     ", this program reads up to " + std::to_string(kVersion));
}

TrainingState read_metadata(const Metadata& metadata) {
  check_format(metadata);
  TrainingState state;
  state.model = entry(metadata, "model");
  state.in_channels = integer(metadata, "in_channels");
  state.classes = integer(metadata, "classes");
  state.image_h = integer(metadata, "image_h");
  state.image_w = integer(metadata, "image_w");
  state.optimizer = entry(metadata, "optimizer");
  state.options = trainer_options_from_json(entry(metadata, "options"));
  state.progress = training_progress_from_json(entry(metadata, "progress"));
  state.class_names = texts_from_json(entry(metadata, "class_names"));
  if (metadata.contains("normalisation"))
    state.normalisation = normalisation_from_json(metadata.at("normalisation"));
  if (metadata.contains("train_fingerprint"))
    state.train_data = {integer<std::uint64_t>(metadata, "train_samples"),
                        metadata.at("train_fingerprint")};
  for (const auto& [key, value] : metadata)
    if (key.starts_with(kScalarPrefix))
      state.optimizer_scalars[key.substr(kScalarPrefix.size())] = value;
  return state;
}

/// Each input channel and each class has a parameter of its own, whatever the model: nobody is to
/// make room for two thousand million classes because a file says so.
void check_counts(const TrainingState& state) {
  std::size_t parameters = 0;
  for (const NamedTensor& tensor : state.parameters) parameters += tensor.values.size();
  const auto check = [parameters](int count, const char* what) {
    if (count < 1 || static_cast<std::size_t>(count) > parameters)
      throw InputError("damaged metadata: " + std::to_string(count) + " " + what + ", for " +
                       std::to_string(parameters) + " parameters");
  };
  check(state.in_channels, "input channels");
  check(state.classes, "classes");
}

}  // namespace

void save_checkpoint(const std::filesystem::path& path, const TrainingState& state) {
  SafetensorsFile file;
  file.metadata = make_metadata(state);
  for (const NamedTensor& tensor : state.parameters) {
    for (const std::string_view prefix : {kOptimizerPrefix, kContinuedPrefix})
      if (tensor.name.starts_with(prefix))
        throw std::invalid_argument("save_checkpoint: parameter " + tensor.name +
                                    " has a name that is of something else in the file");
    file.tensors.push_back(to_file(tensor, tensor.name));
  }
  for (const NamedTensor& tensor : state.continued_parameters)
    file.tensors.push_back(to_file(tensor, std::string(kContinuedPrefix) + tensor.name));
  for (const NamedTensor& tensor : state.optimizer_tensors)
    file.tensors.push_back(to_file(tensor, std::string(kOptimizerPrefix) + tensor.name));
  write_safetensors(path, file);
}

TrainingState load_checkpoint(const std::filesystem::path& path) {
  const SafetensorsFile file = read_safetensors(path);
  try {
    TrainingState state = read_metadata(file.metadata);
    for (const SafetensorsTensor& tensor : file.tensors) {
      const std::string_view name = tensor.name;
      if (name.starts_with(kOptimizerPrefix))
        state.optimizer_tensors.push_back(from_file(tensor, name.substr(kOptimizerPrefix.size())));
      else if (name.starts_with(kContinuedPrefix))
        state.continued_parameters.push_back(
            from_file(tensor, name.substr(kContinuedPrefix.size())));
      else
        state.parameters.push_back(from_file(tensor, name));
    }
    check_counts(state);
    return state;
  } catch (const InputError& error) {
    throw InputError(path.string() + ": " + error.what());
  }
}

Model make_model(const TrainingState& state) {
  return zoo::make(state.model, state.in_channels, state.classes, state.image_h, state.image_w);
}

}  // namespace curvseg
