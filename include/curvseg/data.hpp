/// @file
/// Data sets, augmentation and batches.
///
/// ```
/// auto train = curvseg::open_dataset("builtin:cells", "train");
/// curvseg::DataLoader loader(*train, {.batch = 8,
///                                     .shuffle = true,
///                                     .seed = 1,
///                                     .augment = {.crop_height = 96, .crop_width = 96},
///                                     .normalisation = curvseg::measure_normalisation(*train)});
/// curvseg::Batch batch;
/// for (std::uint64_t epoch = 0; epoch < 10; ++epoch) {
///   loader.start_epoch(epoch);
///   while (loader.next(batch)) { /* train on batch.images, batch.labels */ }
/// }
/// ```
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "curvseg/error.hpp"
#include "curvseg/labels.hpp"

namespace curvseg {

/// Height and width in pixels.
struct ImageSize {
  int height = 0;  ///< rows
  int width = 0;   ///< columns
  /// Both extents.
  friend bool operator==(const ImageSize&, const ImageSize&) = default;
};

/// One image with its truth.
struct Sample {
  int height = 0;                    ///< H, rows
  int width = 0;                     ///< W, columns
  int channels = 0;                  ///< C, the Dataset::channels() of its set
  std::vector<float> image;          ///< [H,W,C], 0..1
  std::vector<std::int32_t> labels;  ///< [H,W] class index or kIgnoreLabel; [1] for classification
  std::string name;                  ///< file stem or record number
};

/// A finite, indexed set of samples. Everything is const and may be called from several threads.
class Dataset {
 public:
  Dataset() = default;
  virtual ~Dataset() = default;
  Dataset(const Dataset&) = delete;
  Dataset& operator=(const Dataset&) = delete;

  /// Number of samples, at least 1.
  [[nodiscard]] virtual std::size_t size() const = 0;
  /// Sample @p index.
  /// @throws InputError when its file is damaged or holds a class out of range; Error for an index
  ///         that is not below size().
  [[nodiscard]] virtual Sample get(std::size_t index) const = 0;
  /// Size of the image of sample @p index; known without decoding it.
  [[nodiscard]] virtual ImageSize image_size(std::size_t index) const = 0;
  /// What is known of sample @p index without decoding it, and changes with it as far as that can
  /// be seen: see fingerprint(). Here the size of the image.
  [[nodiscard]] virtual std::string identity(std::size_t index) const;
  /// Channels of every image.
  [[nodiscard]] virtual int channels() const = 0;
  /// Number of classes; labels are 0..classes()-1 or kIgnoreLabel.
  [[nodiscard]] virtual int classes() const = 0;
  /// One name per class.
  [[nodiscard]] virtual std::vector<std::string> class_names() const = 0;
  /// True when a sample has one label in all, false when it has one per pixel.
  [[nodiscard]] virtual bool is_classification() const = 0;
  /// What to call the set in messages.
  [[nodiscard]] virtual std::string name() const = 0;
  /// Reads every sample once, so that a damaged file or a class out of range is found before hours
  /// of training. Decoded samples stay in the cache of the set, if it has one.
  /// @throws InputError for the first bad sample in index order.
  virtual void validate_pixels() const;
};

/// Where the number of classes of a folder is from.
enum class ClassSource {
  kOptions,  ///< FolderOptions::classes
  kNames,    ///< the lines of classes.txt
  kMasks,    ///< the largest index in the masks, plus one
};

/// Pixels by label.
struct LabelCounts {
  std::vector<std::uint64_t> of_class;  ///< [classes]
  std::uint64_t not_labelled = 0;       ///< those of FolderOptions::ignore_index
};

/// How to open a set of one folder.
struct FolderOptions {
  std::filesystem::path path;  ///< the folder that holds `images/` and `masks/`
  int channels = 0;            ///< 1, 3 or 4; 0: from the data (see FolderDataset)
  int classes = 0;             ///< 0: from the data (see FolderDataset)
  int ignore_index = 255;      ///< mask value that becomes kIgnoreLabel; -1: none
  std::size_t cache_bytes = std::size_t{1} << 30;  ///< decoded samples kept in memory
  /// Accept images without a mask, or no folder `masks/`: their labels are all kIgnoreLabel.
  bool masks_optional = false;
};

/// Images with masks in the folders `images/` and `masks/`, paired by file stem, in the order of
/// their stems.
///
/// **Images** are PNG or JPEG of 1, 3 or 4 channels. Palette images become RGB. 16-bit images keep
/// their 16 bits. The channels of the set, unless given, are 1 when all images are grey, 4 when all
/// have four channels, else 3. Images with other channels are fitted: grey is repeated to RGB, the
/// alpha channel of a 4-channel image in a 3-channel set is dropped, a missing alpha channel is
/// opaque. Colour images in a 1-channel set are an error.
///
/// **Masks** are grey or palette PNG of 1 to 8 bits. The value stored in the file is the class:
/// palettes are not expanded, small bit depths not scaled. The number of classes, unless given, is
/// the number of lines of the file `classes.txt` (one name a line) in the folder or the one above
/// it, else the largest index in the masks of the folder and, when it is called train, val or test,
/// of its siblings of those names, plus one.
///
/// Opening reads the headers of all files and checks pairs, sizes and channels. Pixels are read by
/// get(), or all at once by validate_pixels(); decoded samples stay in memory up to `cache_bytes`.
class FolderDataset final : public Dataset {
 public:
  /// @throws InputError with one line naming the file: a folder that is missing or holds no image,
  ///         an image without a mask or the reverse, two files of one stem, sizes that differ
  ///         (width x height), a damaged header, a mask with RGB or 16-bit pixels, colour images
  ///         for one channel; without `classes`, also any damaged mask.
  explicit FolderDataset(FolderOptions options);
  ~FolderDataset() override;

  [[nodiscard]] std::size_t size() const override;
  [[nodiscard]] Sample get(std::size_t index) const override;
  [[nodiscard]] ImageSize image_size(std::size_t index) const override;
  /// The stem, the size of the image, and the bytes of both files.
  [[nodiscard]] std::string identity(std::size_t index) const override;
  [[nodiscard]] int channels() const override;
  [[nodiscard]] int classes() const override;
  [[nodiscard]] std::vector<std::string> class_names() const override;
  [[nodiscard]] bool is_classification() const override { return false; }
  [[nodiscard]] std::string name() const override;
  /// Uses all processor cores.
  void validate_pixels() const override;
  /// What validate_pixels() found; of_class is empty before that, and without masks.
  [[nodiscard]] LabelCounts label_counts() const;
  [[nodiscard]] ClassSource class_source() const;  ///< of classes()
  /// False when the folder has no masks and `masks_optional` was set.
  [[nodiscard]] bool has_masks() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// Parameters of the built-in generator.
struct CellsOptions {
  std::string split = "train";  ///< "train", "val" or "test": sets without a common image
  int size = 128;               ///< height and width of the images, 32..4096
  std::size_t count = 64;       ///< number of samples
  std::uint64_t seed = 1;       ///< another seed gives another set
};

/// Generated grey images like those of a microscope: overlapping, textured cells, some darker and
/// some brighter than their surroundings, under uneven light, with blobs out of focus, debris, shot
/// noise and read noise. Classes: 0 background, 1 cell, 2 border (a line two pixels wide along
/// every outline, also between cells that overlap). Brightness alone does not tell the classes
/// apart. Sample i depends on (seed, split, size, i) only, so a larger `count` extends the set.
class CellsDataset final : public Dataset {
 public:
  /// @throws InputError for a size out of range, no samples, or an unknown split.
  explicit CellsDataset(CellsOptions options = {});
  ~CellsDataset() override;

  [[nodiscard]] std::size_t size() const override;
  [[nodiscard]] Sample get(std::size_t index) const override;
  [[nodiscard]] ImageSize image_size(std::size_t index) const override;
  /// What the sample depends on.
  [[nodiscard]] std::string identity(std::size_t index) const override;
  [[nodiscard]] int channels() const override { return 1; }
  [[nodiscard]] int classes() const override { return 3; }
  [[nodiscard]] std::vector<std::string> class_names() const override;
  [[nodiscard]] bool is_classification() const override { return false; }
  [[nodiscard]] std::string name() const override;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// What open_dataset() passes on; fields that do not apply to a set are not used.
struct DatasetOptions {
  int channels = 0;        ///< folders: see FolderOptions
  int classes = 0;         ///< 0: from the data; other sets than folders and IDX files know theirs
  int ignore_index = 255;  ///< folders; elsewhere nothing is without a label: 255 or negative
  std::size_t cache_bytes = std::size_t{1} << 30;  ///< folders
  bool masks_optional = false;                     ///< folders
};

/// Opens one split of a data set.
///
/// - `DIR`: the folders `train`, `val` and `test` in it that exist; see FolderDataset.
/// - `builtin:cells`: generated, 64, 16 and 16 samples; see CellsDataset. Options follow as in
///   `builtin:cells?size=128&train=64&val=16&test=16&seed=1`.
/// - `cifar10:DIR`: the binary version of CIFAR-10; train is every `data_batch_*.bin`, test is
///   `test_batch.bin`.
/// - `mnist:DIR`: IDX files of MNIST and its relatives, plain or `.gz`; train is `train-*`, test is
///   `t10k-*`.
///
/// @param spec  the data set
/// @param split "train", "val" or "test"; for a folder also "", for `images/` and `masks/` in DIR
///              itself
/// @throws InputError naming what is missing or damaged, or what the options say otherwise.
std::unique_ptr<Dataset> open_dataset(const std::string& spec, const std::string& split,
                                      const DatasetOptions& options = {});

/// True when open_dataset() would find that split; says nothing about the files in it.
/// @throws InputError when the data set itself is not there or @p spec is malformed.
bool has_split(const std::string& spec, const std::string& split);

/// Tells one data set from another, cheaply: no sample is decoded.
struct DataFingerprint {
  std::uint64_t samples = 0;  ///< Dataset::size()
  std::string hash;           ///< of every Dataset::identity(), in order: 16 hexadecimal digits
  /// Both members: as far as they tell, the same data.
  friend bool operator==(const DataFingerprint&, const DataFingerprint&) = default;
};

/// The same on every machine, wherever a folder lies. Files whose content changed but neither their
/// names nor their lengths go unnoticed.
DataFingerprint fingerprint(const Dataset& dataset);

/// Per-channel affine map of the images: (x - mean) / stddev.
struct Normalisation {
  std::vector<float> mean;    ///< [C]; empty: 0
  std::vector<float> stddev;  ///< [C], positive; empty: 1
};

/// Mean and standard deviation over the pixels of each channel, in double precision, from at most
/// @p max_samples samples spread evenly over the set; deterministic. A channel that is constant
/// gets stddev 1.
Normalisation measure_normalisation(const Dataset& dataset, std::size_t max_samples = 256);

/// Random geometry. The defaults change nothing.
struct Augment {
  int crop_height = 0;           ///< output height; 0: that of the image
  int crop_width = 0;            ///< output width; 0: that of the image
  bool flip_horizontal = false;  ///< mirror left to right with probability 1/2
  bool flip_vertical = false;    ///< mirror top to bottom with probability 1/2
  /// Rotate by 0, 90, 180 or 270 degrees with equal probability; when the output is not square, by
  /// 0 or 180 only.
  bool rotate = false;
  float scale_min = 1.0F;  ///< the image is magnified by a factor drawn evenly from
  float scale_max = 1.0F;  ///< [scale_min, scale_max]
};

/// Scales, crops, flips and rotates @p sample, in this order, by choices that depend on @p seed
/// only. Images are sampled bilinearly, labels by the nearest neighbour, both with half-pixel
/// centres: source = (output + 0.5) / scale - 0.5. Where the scaled image is smaller than the
/// output it lies at a random place in it; the rest is filled with the mean of @p normalisation
/// (zero once normalised) and kIgnoreLabel. A classification label stays as it is.
/// @throws Error for a negative crop or a scale range that is not positive or not ordered.
Sample augment(const Sample& sample, const Augment& augment, std::uint64_t seed,
               const Normalisation& normalisation = {});

/// Several samples of one size.
struct Batch {
  int n = 0;                         ///< samples, of a DataLoader at most LoaderOptions::batch
  int h = 0;                         ///< rows of an image, once augmented
  int w = 0;                         ///< columns of an image, once augmented
  int c = 0;                         ///< channels of an image
  std::vector<float> images;         ///< [N,H,W,C], normalised
  std::vector<std::int32_t> labels;  ///< [N,H,W], or [N] for classification
  std::vector<std::size_t> indices;  ///< [N], where the samples stand in the data set
};

/// How a DataLoader makes batches.
struct LoaderOptions {
  int batch = 8;           ///< samples per batch; the last batch of an epoch may be smaller
  bool shuffle = false;    ///< a new order every epoch
  std::uint64_t seed = 0;  ///< of the order and of the augmentation
  Augment augment = {};    ///< of every sample anew; by default none
  Normalisation normalisation = {};  ///< of what is augmented; by default values stay in 0..1
  int threads = 1;                   ///< background threads; 0: batches are made inside next()
  int queue_depth = 4;               ///< batches ready ahead of next()
  bool drop_last = false;            ///< leave out batches smaller than `batch`
  /// Samples drawn per epoch; 0: each once. With more than the set holds, the set is passed through
  /// again (in a new order when shuffling), each time with other crops; with fewer, an epoch sees a
  /// part of the set.
  std::size_t samples_per_epoch = 0;
};

/// Makes batches in background threads.
///
/// Batch i of epoch e depends on the data set and (seed, e, i) only: not on timing, the number of
/// threads, or where the epoch was started, so training can resume in the middle of an epoch and
/// see the same bits.
///
/// Without a crop, images may differ in size; a batch then holds images of one size. When not
/// shuffling, samples keep the order of the set and a batch ends early where the size changes; when
/// shuffling, samples are collected per size, and the batches that stay small come last.
///
/// An object may be used by one thread at a time. It refers to the data set, which must live
/// longer.
class DataLoader {
 public:
  /// @throws Error for a batch below 1, a negative number of threads, a queue below 1, a
  ///         normalisation whose length is not the number of channels, or a malformed augmentation.
  DataLoader(const Dataset& dataset, LoaderOptions options);
  ~DataLoader();
  DataLoader(const DataLoader&) = delete;
  DataLoader& operator=(const DataLoader&) = delete;

  /// Starts epoch @p epoch at batch @p first_batch; what was left of another epoch is dropped.
  void start_epoch(std::uint64_t epoch, std::size_t first_batch = 0);

  /// Fills @p batch with the next one. False at the end of the epoch, with @p batch unchanged.
  /// The vectors of @p batch are reused.
  /// @throws what get() of the data set threw for a sample of this batch; the epoch is over then.
  bool next(Batch& batch);

  /// Number of batches of epoch @p epoch.
  [[nodiscard]] std::size_t batches(std::uint64_t epoch) const;

  /// Those of the constructor.
  [[nodiscard]] const LoaderOptions& options() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace curvseg
