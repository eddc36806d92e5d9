// How a grid walks the elements of [pixels, channels] or [images, rows, columns, channels].
//
//   for (PixelWalk<kWidth> at(p.walk); at.valid(); at.advance())
//     at.each_run([&](int c, auto count) {
//       ... lanes of channels c to c + count − 1 of at.pixel() ...
//     });
//
//   for (ImageWalk<kWidth> at(p.walk); at.valid(); at.advance()) {
//     ... what image and row decide ...
//     at.each_column([&](int column, std::int64_t pixel) {
//       ... what the column decides as well ...
//       at.each_run([&](int c, auto count) { ... lanes ... });
//     });
//   }
//
// On a GPU the inner loops run once and threads stride over the grid, lanes fastest. On the host a
// block owns consecutive pixels, or lines, with all their channels. A step is additions with
// carries whose amounts the launcher knows: divisions happen once a thread.
#pragma once

#include <type_traits>

#include "exec/lanes.hpp"

namespace curvseg::CURVSEG_TARGET {

/// Threads count items: lanes on a GPU, `runs` of them a pixel; on the host pixels (or lines).
struct PixelWalkPlan {
  std::int64_t elements;  // pixels · channels; the last pixel of a flat walk may have fewer
  std::int64_t items;
  int channels;
  int runs;
  int step_run;  // a step of the grid, in pixels and runs
  std::int64_t step_pixel;

  dim3 grid() const {
    // The host's grid_for() counts elements; it must not start more blocks than there are items.
    const dim3 wanted = grid_for(kStagedOperands ? items : elements);
    return dim3{static_cast<unsigned>(wanted.x < items ? wanted.x : items), 1, 1};
  }
};

struct ImageWalkPlan {
  PixelWalkPlan pixels;
  int rows, columns;
  int step_image, step_row, step_column;
};

inline PixelWalkPlan plan_elements(std::int64_t elements, int channels, bool wide) {
  PixelWalkPlan plan{};
  if (elements == 0) return plan;
  const int width = wide ? kWideLanes : kNarrowLanes;
  plan.elements = elements;
  plan.channels = channels;
  plan.runs = kStagedOperands ? channels / width : 1;
  plan.items = kStagedOperands ? elements / width : divide_up(elements, channels);
  const std::int64_t step = kStagedOperands ? plan.grid().x * std::int64_t{kGridThreads} : 1;
  plan.step_pixel = step / plan.runs;
  plan.step_run = static_cast<int>(step % plan.runs);
  return plan;
}

/// All elements of [pixels, channels].
inline PixelWalkPlan plan_pixels(std::int64_t pixels, int channels, bool wide) {
  return plan_elements(pixels * channels, channels, wide);
}

/// The same elements where no pixel stride leaves a gap: one run, cut into pixels of this many
/// channels, enough to make the loop over channels the only one that matters.
inline constexpr int kFlatChannels = 4096;

inline PixelWalkPlan plan_flat(std::int64_t elements, bool wide) {
  return plan_elements(elements, kFlatChannels, wide);
}

inline ImageWalkPlan plan_image(int images, int rows, int columns, int channels, bool wide) {
  const std::int64_t lines = static_cast<std::int64_t>(images) * rows;
  ImageWalkPlan plan{plan_pixels(lines * columns, channels, wide), rows, columns, 0, 0, 0};
  if (plan.pixels.items == 0) return plan;
  if (!kStagedOperands) plan.pixels.items = lines;
  const std::int64_t step_line = kStagedOperands ? plan.pixels.step_pixel / columns : 1;
  plan.step_column = kStagedOperands ? static_cast<int>(plan.pixels.step_pixel % columns) : 0;
  plan.step_row = static_cast<int>(step_line % rows);
  plan.step_image = static_cast<int>(step_line / rows);
  return plan;
}

/// Calls `f(c, count)` for `channels` channels, kWidth at a time. `count` is a constant where all
/// lanes exist, an int at the end of a pixel.
template <int kWidth, class F>
__device__ __forceinline__ void for_each_run(int channels, const F& f) {
  int c = 0;
  for (; c + kWidth <= channels; c += kWidth) f(c, std::integral_constant<int, kWidth>());
  if (c < channels) f(c, channels - c);
}

/// One thread's share of [pixels, channels].
template <int kWidth>
class PixelWalk {
 public:
  __device__ __forceinline__ explicit PixelWalk(const PixelWalkPlan& plan) : plan_(plan) {
    const IndexRange items = grid_range(plan.items);
    item_ = *items.begin();
    last_ = *items.end();
    pixel_ = item_ / plan.runs;
    run_ = static_cast<int>(item_ - pixel_ * plan.runs);
  }

  __device__ __forceinline__ bool valid() const { return item_ < last_; }
  __device__ __forceinline__ std::int64_t pixel() const { return pixel_; }

  template <class F>
  __device__ __forceinline__ void each_run(const F& f) const {
    if constexpr (kStagedOperands) {
      f(run_ * kWidth, std::integral_constant<int, kWidth>());
    } else {
      const std::int64_t left = plan_.elements - pixel_ * plan_.channels;
      for_each_run<kWidth>(left < plan_.channels ? static_cast<int>(left) : plan_.channels, f);
    }
  }

  /// To this thread's next item. Returns the carry from runs into pixels.
  __device__ __forceinline__ int advance() {
    item_ += kStagedOperands ? static_cast<std::int64_t>(gridDim.x) * blockDim.x : 1;
    run_ += plan_.step_run;
    const int carry = run_ >= plan_.runs ? 1 : 0;
    run_ -= carry ? plan_.runs : 0;
    pixel_ += plan_.step_pixel + carry;
    return carry;
  }

 private:
  const PixelWalkPlan& plan_;
  std::int64_t item_, last_, pixel_;
  int run_;
};

/// One thread's share of [images, rows, columns, channels].
template <int kWidth>
class ImageWalk {
 public:
  __device__ __forceinline__ explicit ImageWalk(const ImageWalkPlan& plan)
      : plan_(plan), pixels_(plan.pixels) {
    const std::int64_t line = kStagedOperands ? pixels_.pixel() / plan.columns : pixels_.pixel();
    column_ = kStagedOperands ? static_cast<int>(pixels_.pixel() - line * plan.columns) : 0;
    image_ = static_cast<int>(line / plan.rows);
    row_ = static_cast<int>(line - static_cast<std::int64_t>(image_) * plan.rows);
  }

  __device__ __forceinline__ bool valid() const { return pixels_.valid(); }
  __device__ __forceinline__ int image() const { return image_; }
  __device__ __forceinline__ int row() const { return row_; }

  template <class F>
  __device__ __forceinline__ void each_column(const F& f) const {
    if constexpr (kStagedOperands) {
      f(column_, pixels_.pixel());
    } else {
      const std::int64_t first = pixels_.pixel() * plan_.columns;
      for (int column = 0; column < plan_.columns; ++column) f(column, first + column);
    }
  }

  template <class F>
  __device__ __forceinline__ void each_run(const F& f) const {
    if constexpr (kStagedOperands)
      pixels_.each_run(f);
    else
      for_each_run<kWidth>(plan_.pixels.channels, f);
  }

  __device__ __forceinline__ void advance() {
    const int carry = pixels_.advance();
    column_ += plan_.step_column + (kStagedOperands ? carry : 0);
    row_ += plan_.step_row;
    image_ += plan_.step_image;
    if (column_ >= plan_.columns) {
      column_ -= plan_.columns;
      ++row_;
    }
    if (row_ >= plan_.rows) {
      row_ -= plan_.rows;
      ++image_;
    }
  }

 private:
  const ImageWalkPlan& plan_;
  PixelWalk<kWidth> pixels_;
  int image_, row_, column_;
};

/// What a walking kernel is launched with.
template <class Params, class Plan>
struct Walked {
  Params operation;
  Plan walk;
};

/// Calls `start.template operator()<kWidth>(grid)` with the lanes that `wide` names, or nothing
/// where nothing is to be walked. The host has one width, so one kernel.
template <class Start>
void launch_walk(const PixelWalkPlan& plan, bool wide, const Start& start) {
  if (plan.items == 0) return;
  if (wide)
    start.template operator()<kWideLanes>(plan.grid());
  else
    start.template operator()<kNarrowLanes>(plan.grid());
}

}  // namespace curvseg::CURVSEG_TARGET
