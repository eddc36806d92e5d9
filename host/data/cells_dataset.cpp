#include <algorithm>
#include <array>
#include <cmath>
#include <mutex>
#include <numbers>
#include <utility>

#include "curvseg/data.hpp"
#include "host/data/random.hpp"

namespace curvseg {
namespace {

enum CellsClass : std::uint8_t { kBackground = 0, kCell = 1, kBorder = 2 };

constexpr int kHarmonics = 3;  // lobes 2, 3, 4: enough to keep cells from being ellipses

/// A closed outline r(angle) around a centre, in pixels.
struct Outline {
  double y = 0.0;
  double x = 0.0;
  double radius = 0.0;
  std::array<double, kHarmonics> amplitude{};
  std::array<double, kHarmonics> phase{};

  [[nodiscard]] double radius_at(double angle) const {
    double r = 1.0;
    for (int k = 0; k < kHarmonics; ++k) {
      const auto i = static_cast<std::size_t>(k);
      r += amplitude[i] * std::cos((k + 2) * angle + phase[i]);
    }
    return radius * r;
  }
  /// Distance to the outline in pixels along the ray from the centre; negative inside.
  [[nodiscard]] double distance(double py, double px) const {
    return std::hypot(py - y, px - x) - radius_at(std::atan2(py - y, px - x));
  }
  [[nodiscard]] double reach() const { return radius * 1.4; }
};

/// How one cell looks.
struct Look {
  double brightness = 0.0;    // offset from the background
  double texture = 0.0;       // amplitude of its grain
  double texture_size = 2.0;  // pixels
  double rim = 0.0;           // darkening on the outline
  double halo = 0.0;          // brightening just outside of it
  double opacity = 1.0;       // how much of a cell below it hides
  double nucleus = 0.0;       // offset of the nucleus
  std::uint64_t key = 0;
};

/// One float per pixel of a square image.
struct Plane {
  int size;
  std::vector<double> values;
  explicit Plane(int n)
      : size(n), values(static_cast<std::size_t>(n) * static_cast<std::size_t>(n), 0.0) {}
  double& at(int y, int x) { return values[index(y, x)]; }
  [[nodiscard]] double at(int y, int x) const { return values[index(y, x)]; }
  [[nodiscard]] std::size_t index(int y, int x) const {
    return static_cast<std::size_t>(y) * static_cast<std::size_t>(size) +
           static_cast<std::size_t>(x);
  }
};

/// The pixels within @p reach of (@p y, @p x), clipped to the image; calls `paint(py, px)`.
template <typename Paint>
void for_each_near(int size, double y, double x, double reach, const Paint& paint) {
  const int y0 = std::max(0, static_cast<int>(std::floor(y - reach)));
  const int y1 = std::min(size - 1, static_cast<int>(std::ceil(y + reach)));
  const int x0 = std::max(0, static_cast<int>(std::floor(x - reach)));
  const int x1 = std::min(size - 1, static_cast<int>(std::ceil(x + reach)));
  for (int py = y0; py <= y1; ++py) {
    for (int px = x0; px <= x1; ++px) {
      paint(py, px);
    }
  }
}

double bump(double distance, double width) {
  const double t = distance / width;
  return std::exp(-t * t);
}

double smooth_step(double t) {
  const double u = std::clamp(t, 0.0, 1.0);
  return u * u * (3.0 - 2.0 * u);
}

/// Smooth random field in [-1, 1]: random values on a grid of @p cell pixels, blended smoothly.
double value_noise(std::uint64_t key, double y, double x, double cell) {
  const double gy = y / cell;
  const double gx = x / cell;
  const double fy = std::floor(gy);
  const double fx = std::floor(gx);
  const auto corner = [&](int dy, int dx) {
    const auto iy = static_cast<std::uint64_t>(static_cast<std::int64_t>(fy) + dy);
    const auto ix = static_cast<std::uint64_t>(static_cast<std::int64_t>(fx) + dx);
    const std::uint64_t bits = mix64(key ^ (iy * 0x9E3779B97F4A7C15U + ix * 0xC2B2AE3D27D4EB4FU));
    return static_cast<double>(bits >> 11) * 0x1.0p-52 - 1.0;
  };
  const double ty = smooth_step(gy - fy);
  const double tx = smooth_step(gx - fx);
  const double top = std::lerp(corner(0, 0), corner(0, 1), tx);
  const double bottom = std::lerp(corner(1, 0), corner(1, 1), tx);
  return std::lerp(top, bottom, ty);
}

/// Cells in random places, none with its centre deep inside another, so that they overlap but do
/// not pile up. About one cell per 1100 pixels.
std::vector<Outline> place_cells(int size, Random& random) {
  const double area = static_cast<double>(size) * size;
  const auto wanted = static_cast<std::size_t>(area / random.uniform(900.0, 1500.0)) + 1;
  std::vector<Outline> cells;
  for (std::size_t attempt = 0; attempt < wanted * 8 && cells.size() < wanted; ++attempt) {
    Outline cell;
    cell.radius = random.uniform(9.0, 17.0);
    cell.y = random.uniform(-4.0, size + 4.0);
    cell.x = random.uniform(-4.0, size + 4.0);
    for (std::size_t k = 0; k < kHarmonics; ++k) {
      cell.amplitude[k] = random.uniform(0.0, k == 0 ? 0.18 : 0.07);
      cell.phase[k] = random.uniform(0.0, 2.0 * std::numbers::pi);
    }
    const bool free = std::none_of(cells.begin(), cells.end(), [&cell](const Outline& other) {
      return std::hypot(cell.y - other.y, cell.x - other.x) < 0.72 * (cell.radius + other.radius);
    });
    if (free) {
      cells.push_back(cell);
    }
  }
  return cells;
}

Look draw_look(Random& random) {
  Look look;
  // Darker and brighter cells, and some that differ from the background by their grain alone.
  look.brightness = random.uniform(-0.13, 0.17);
  look.texture = random.uniform(0.10, 0.18);
  look.texture_size = random.uniform(1.8, 3.2);
  look.rim = random.uniform(0.12, 0.24);
  look.halo = random.uniform(0.02, 0.10);
  look.opacity = random.uniform(0.80, 1.0);
  look.nucleus = random.uniform(-0.12, 0.12);
  look.key = random.next();
  return look;
}

/// How often an area of 128x128 pixels fits: things are as frequent in large images as in small.
int area_factor(int size) { return std::max(1, size * size / (128 * 128)); }

/// Out-of-focus matter, drifting shade: what lies behind the cells, all of it background.
void paint_background(Plane& image, Random& random) {
  const int size = image.size;
  const std::uint64_t key = random.next();
  const double level = random.uniform(0.36, 0.50);
  for (int y = 0; y < size; ++y) {
    for (int x = 0; x < size; ++x) {
      image.at(y, x) =
          level + 0.05 * value_noise(key, y, x, 23.0) + 0.02 * value_noise(key + 1, y, x, 9.0);
    }
  }
  const auto blobs = static_cast<int>(3 + random.below(4)) * area_factor(size);
  for (int i = 0; i < blobs; ++i) {
    const double y = random.uniform(0.0, size);
    const double x = random.uniform(0.0, size);
    const double radius = random.uniform(8.0, 17.0);
    const double height = random.uniform(0.08, 0.20) * (random.coin() ? 1.0 : -0.8);
    const double softness = random.uniform(5.0, 12.0);  // of the edge, in pixels
    for_each_near(size, y, x, radius + softness, [&](int py, int px) {
      const double d = std::hypot(py - y, px - x) - radius;
      image.at(py, px) += height * smooth_step(0.5 - d / (2.0 * softness));
    });
  }
}

/// Small specks and fibres in focus: background, or lying on cells without changing their class.
void paint_debris(Plane& image, Random& random) {
  const int size = image.size;
  const auto specks = static_cast<int>(4 + random.below(6)) * area_factor(size);
  for (int i = 0; i < specks; ++i) {
    const double y = random.uniform(0.0, size);
    const double x = random.uniform(0.0, size);
    const double radius = random.uniform(0.8, 2.0);
    const double height = random.uniform(0.15, 0.35) * (random.coin() ? 1.0 : -1.0);
    for_each_near(size, y, x, 3.0 * radius, [&](int py, int px) {
      image.at(py, px) += height * bump(std::hypot(py - y, px - x), radius);
    });
  }
  const auto fibres = static_cast<int>(1 + random.below(2)) * area_factor(size);
  for (int i = 0; i < fibres; ++i) {
    double y = random.uniform(0.0, size);
    double x = random.uniform(0.0, size);
    double angle = random.uniform(0.0, 2.0 * std::numbers::pi);
    const double height = random.uniform(-0.04, 0.05);
    const auto steps = static_cast<int>(15 + random.below(25));
    for (int step = 0; step < steps; ++step) {  // a random walk of half pixels
      for_each_near(size, y, x, 2.0, [&](int py, int px) {
        image.at(py, px) += height * bump(std::hypot(py - y, px - x), 0.9);
      });
      angle += random.uniform(-0.25, 0.25);
      y += 0.7 * std::sin(angle);
      x += 0.7 * std::cos(angle);
    }
  }
}

/// Paints @p cell over what is there and enters @p id where it is on top.
void paint_cell(Plane& image, std::vector<int>& owner, const Outline& cell, const Look& look,
                int id) {
  const double base = image.at(std::clamp(static_cast<int>(cell.y), 0, image.size - 1),
                               std::clamp(static_cast<int>(cell.x), 0, image.size - 1));
  // Blend towards the mean level so that a cell on a dark blob does not become a dark cell.
  const double level = 0.43 + 0.25 * (base - 0.43) + look.brightness;
  Outline nucleus = cell;
  nucleus.radius *= 0.38;
  for_each_near(image.size, cell.y, cell.x, cell.reach() + 6.0, [&](int y, int x) {
    const double d = cell.distance(y, x);
    double& value = image.at(y, x);
    if (d < 1.0) {
      const double grain = 0.7 * value_noise(look.key, y, x, look.texture_size) +
                           0.5 * value_noise(look.key + 1, y, x, 3.0 * look.texture_size);
      const double core = smooth_step(0.5 - nucleus.distance(y, x) / 3.0);
      const double inside = level + look.texture * grain + look.nucleus * core;
      const double coverage = look.opacity * smooth_step(0.5 - d / 1.6);
      value = std::lerp(value, inside, coverage);
    }
    value += look.halo * bump(d - 2.6, 1.6) - look.rim * bump(d, 1.15);
    if (d < 0.0) {
      owner[image.index(y, x)] = id;
    }
  });
}

/// 3x3 binomial blur: the optics.
Plane blurred(const Plane& image) {
  const int size = image.size;
  Plane out(size);
  for (int y = 0; y < size; ++y) {
    for (int x = 0; x < size; ++x) {
      double sum = 0.0;
      for (int dy = -1; dy <= 1; ++dy) {
        for (int dx = -1; dx <= 1; ++dx) {
          // Weights 1-6-1: narrower than 1-2-1, which would wash out the outlines.
          const double weight = (dy == 0 ? 6.0 : 1.0) * (dx == 0 ? 6.0 : 1.0) / 64.0;
          sum +=
              weight * image.at(std::clamp(y + dy, 0, size - 1), std::clamp(x + dx, 0, size - 1));
        }
      }
      out.at(y, x) = sum;
    }
  }
  return out;
}

/// Light falls off from a point near the middle and tilts to one side; then the camera's noise:
/// variance proportional to brightness (shot noise) plus a constant (read noise).
void expose(Plane& image, Random& random) {
  const int size = image.size;
  const double tilt = random.uniform(0.0, 0.35);
  const double direction = random.uniform(0.0, 2.0 * std::numbers::pi);
  const double falloff = random.uniform(0.0, 0.35);
  const double cy = random.uniform(0.3, 0.7);
  const double cx = random.uniform(0.3, 0.7);
  const double shot = random.uniform(0.0010, 0.0030);
  const double read = random.uniform(0.008, 0.020);
  for (int y = 0; y < size; ++y) {
    for (int x = 0; x < size; ++x) {
      const double v = (y + 0.5) / size;
      const double u = (x + 0.5) / size;
      const double light =
          1.0 + tilt * ((u - 0.5) * std::cos(direction) + (v - 0.5) * std::sin(direction)) -
          falloff * ((u - cx) * (u - cx) + (v - cy) * (v - cy)) * 1.6;
      const double clean = std::max(0.0, image.at(y, x) * light);
      const double sigma = std::sqrt(shot * clean + read * read);
      image.at(y, x) = clean + sigma * random.normal();
    }
  }
}

/// A pixel is border when one of its four neighbours has another owner: two pixels wide, one on
/// each side of an outline.
std::vector<std::uint8_t> label_owners(const std::vector<int>& owner, int size) {
  std::vector<std::uint8_t> labels(owner.size(), kBackground);
  const auto at = [&](int y, int x) {
    return owner[static_cast<std::size_t>(y) * static_cast<std::size_t>(size) +
                 static_cast<std::size_t>(x)];
  };
  std::size_t i = 0;
  for (int y = 0; y < size; ++y) {
    for (int x = 0; x < size; ++x, ++i) {
      const int own = at(y, x);
      const bool border = (y > 0 && at(y - 1, x) != own) || (y + 1 < size && at(y + 1, x) != own) ||
                          (x > 0 && at(y, x - 1) != own) || (x + 1 < size && at(y, x + 1) != own);
      labels[i] = border ? kBorder : own != 0 ? kCell : kBackground;
    }
  }
  return labels;
}

/// A generated sample as it is cached.
struct Generated {
  std::vector<std::uint8_t> image;
  std::vector<std::uint8_t> labels;
};

Generated generate(int size, std::uint64_t key) {
  Random random(key);
  Plane image(size);
  paint_background(image, random);
  const std::vector<Outline> cells = place_cells(size, random);
  std::vector<int> owner(image.values.size(), 0);
  int id = 0;
  for (const Outline& cell : cells) {
    const Look look = draw_look(random);
    paint_cell(image, owner, cell, look, ++id);
  }
  paint_debris(image, random);
  Plane exposed = blurred(image);
  expose(exposed, random);
  Generated out;
  out.labels = label_owners(owner, size);
  out.image.resize(exposed.values.size());
  // Eight bits, as a camera delivers: the last bits of sin and exp, which differ between
  // mathematical libraries, are lost in the rounding.
  std::transform(exposed.values.begin(), exposed.values.end(), out.image.begin(), [](double value) {
    return static_cast<std::uint8_t>(std::lround(255.0 * std::clamp(value, 0.0, 1.0)));
  });
  return out;
}

}  // namespace

struct CellsDataset::State {
  CellsOptions options;
  std::uint64_t split_key = 0;
  mutable std::mutex mutex;  // guards the cache
  mutable std::vector<std::shared_ptr<const Generated>> cache;

  void check(std::size_t index) const {
    if (index >= options.count) {
      throw Error("builtin:cells: sample " + std::to_string(index) + " of " +
                  std::to_string(options.count));
    }
  }

  [[nodiscard]] std::shared_ptr<const Generated> load(std::size_t index) const {
    {
      const std::scoped_lock lock(mutex);
      if (cache[index]) {
        return cache[index];
      }
    }
    auto made = std::make_shared<const Generated>(
        generate(options.size, mix_key({options.seed, split_key, index})));
    const std::scoped_lock lock(mutex);
    cache[index] = made;
    return made;
  }
};

CellsDataset::CellsDataset(CellsOptions options) : state_(std::make_unique<State>()) {
  if (options.size < 32 || options.size > 4096) {
    throw InputError("builtin:cells: size " + std::to_string(options.size) + " is not in 32..4096");
  }
  if (options.count == 0) {
    throw InputError("builtin:cells: a set of 0 samples was asked for");
  }
  static constexpr std::array kSplits = {"train", "val", "test"};
  const auto split = std::find(kSplits.begin(), kSplits.end(), options.split);
  if (split == kSplits.end()) {
    throw InputError("builtin:cells: no split \"" + options.split +
                     "\", there are train, val and test");
  }
  state_->split_key = static_cast<std::uint64_t>(split - kSplits.begin()) + 1;
  state_->cache.resize(options.count);
  state_->options = std::move(options);
}

CellsDataset::~CellsDataset() = default;

std::size_t CellsDataset::size() const { return state_->options.count; }

Sample CellsDataset::get(std::size_t index) const {
  state_->check(index);
  const std::shared_ptr<const Generated> made = state_->load(index);
  Sample sample;
  sample.height = state_->options.size;
  sample.width = state_->options.size;
  sample.channels = 1;
  sample.name = "cells_" + std::to_string(index);
  sample.image.resize(made->image.size());
  std::transform(made->image.begin(), made->image.end(), sample.image.begin(),
                 [](std::uint8_t value) { return static_cast<float>(value) / 255.0F; });
  sample.labels.assign(made->labels.begin(), made->labels.end());
  return sample;
}

ImageSize CellsDataset::image_size(std::size_t index) const {
  state_->check(index);
  return {state_->options.size, state_->options.size};
}

std::string CellsDataset::identity(std::size_t index) const {
  const CellsOptions& o = state_->options;
  return "cells " + o.split + " " + std::to_string(o.size) + " " + std::to_string(o.seed) + " " +
         std::to_string(index);
}

std::vector<std::string> CellsDataset::class_names() const {
  return {"background", "cell", "border"};
}

std::string CellsDataset::name() const { return "builtin:cells " + state_->options.split; }

}  // namespace curvseg
