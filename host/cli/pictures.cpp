#include "host/cli/pictures.hpp"

#include <spdlog/fmt/fmt.h>

#include <algorithm>
#include <cmath>
#include <system_error>

#include "host/cli/class_report.hpp"
#include "host/cli/run_folder.hpp"
#include "host/data/augment.hpp"
#include "host/io/atomic_file.hpp"
#include "host/io/legend.hpp"
#include "host/io/overlay.hpp"

namespace curvseg::cli {
namespace {

namespace fs = std::filesystem;

ConfusionCounts confusion_of(int classes, const std::vector<std::int32_t>& truth,
                             const std::vector<std::int32_t>& labels) {
  ConfusionCounts confusion(classes);
  for (std::size_t i = 0; i < truth.size(); ++i) {
    confusion.add(truth[i], labels[i]);
  }
  return confusion;
}

}  // namespace

void remove_pictures(const fs::path& folder) {
  std::error_code error;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder, error)) {
    if (entry.path().extension() == ".png") {
      fs::remove(entry.path(), error);
    }
  }
  remove_unfinished_files(folder);
  if (!fs::is_symlink(folder, error)) {
    fs::remove(folder, error);  // not if there is something else in it
  }
}

ImagePrediction predict_sample(Trainer& trainer, const Dataset& dataset, std::size_t index) {
  ImagePrediction result;
  result.sample = dataset.get(index);
  const Sample& sample = result.sample;
  const bool is_classifier = trainer.model().is_classifier();
  std::vector<float> image;
  append_normalised(image, sample.image, trainer.normalisation(),
                    static_cast<std::size_t>(sample.channels));
  Prediction prediction = trainer.predict(image, {1, sample.height, sample.width, sample.channels},
                                          {.probabilities = is_classifier});
  result.labels = std::move(prediction.labels);
  result.probabilities = std::move(prediction.probabilities);
  result.confusion = confusion_of(trainer.model().classes(), sample.labels, result.labels);
  return result;
}

Image overlay(const ImagePrediction& prediction) {
  const bool has_truth = prediction.confusion.total() > 0;
  return overlay_panels(prediction.sample, prediction.labels,
                        has_truth ? std::span<const std::int32_t>(prediction.sample.labels)
                                  : std::span<const std::int32_t>());
}

Image legend(const std::vector<std::string>& class_names, bool has_truth, int width) {
  std::vector<LegendEntry> entries;
  for (std::size_t c = 0; c < class_names.size(); ++c) {
    entries.push_back({default_palette()[c], class_text(c, class_names[c])});
  }
  if (has_truth) {
    entries.push_back({kWrongColor, "wrong"});
    entries.push_back({kVoidColor, "not labelled"});
  }
  constexpr int kNarrowest = 512;
  return draw_legend(entries, std::max(kNarrowest, width));
}

std::vector<RankedSample> rank_samples(Trainer& trainer, const Dataset& dataset, std::size_t most) {
  std::vector<RankedSample> ranked;
  const std::size_t count = std::min(most, dataset.size());
  for (std::size_t i = 0; i < count; ++i) {
    const std::size_t index = i * dataset.size() / count;
    const double score = predict_sample(trainer, dataset, index).confusion.mean_iou();
    ranked.push_back({index, std::isfinite(score) ? score : 1.0});  // no labelled pixel: not wrong
  }
  std::stable_sort(ranked.begin(), ranked.end(), [](const RankedSample& a, const RankedSample& b) {
    return a.mean_iou < b.mean_iou;
  });
  return ranked;
}

void write_worst(Trainer& trainer, const Dataset& dataset, std::size_t count,
                 const fs::path& folder, const fs::path& gallery) {
  constexpr std::size_t kMostRanked = 200;
  constexpr int kTallest = 4096;  // pixels that viewers still like
  remove_pictures(folder);
  make_folder(folder);
  std::vector<RankedSample> ranked = rank_samples(trainer, dataset, kMostRanked);
  ranked.resize(std::min(count, ranked.size()));
  std::vector<Image> rows;
  int height = 0;
  for (std::size_t i = 0; i < ranked.size(); ++i) {
    const ImagePrediction prediction = predict_sample(trainer, dataset, ranked[i].index);
    Image picture = overlay(prediction);
    write_png(folder / fmt::format("{:02}_iou{:.3f}_{}.png", i + 1, ranked[i].mean_iou,
                                   prediction.sample.name),
              picture);
    height += picture.height;
    if (rows.empty() || height <= kTallest) {
      rows.push_back(std::move(picture));
    }
  }
  if (!rows.empty()) {
    int width = 0;
    for (const Image& row : rows) {
      width = std::max(width, row.width);
    }
    rows.insert(rows.begin(), legend(dataset.class_names(), /*has_truth=*/true, width));
    write_gallery(gallery, rows);
  }
}

}  // namespace curvseg::cli
