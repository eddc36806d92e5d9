// The index arithmetic of pooling against the definition, by brute force.
#include "pool/pool_axis.hpp"

#include <gtest/gtest.h>

#include <vector>

namespace curvseg {
namespace {

struct AxisCase {
  int in, out, window, stride, pad;
};

std::vector<AxisCase> axes() {
  std::vector<AxisCase> result;
  for (int in = 0; in <= 7; ++in)
    for (int out = 0; out <= 6; ++out)
      for (int window = 1; window <= 5; ++window)
        for (int stride = 1; stride <= 4; ++stride)
          for (int pad = 0; pad <= 3; ++pad) result.push_back({in, out, window, stride, pad});
  return result;
}

bool holds(const AxisCase& c, int o, int i) {
  const int start = o * c.stride - c.pad;
  return i >= start && i < start + c.window;
}

TEST(PoolAxis, TapsAreThoseInside) {
  for (const AxisCase& c : axes()) {
    const PoolAxis axis(c.in, c.out, c.window, c.stride, c.pad);
    for (int o = 0; o < c.out; ++o) {
      const TapRange taps = axis.taps(o);
      for (int tap = 0; tap < c.window; ++tap) {
        const int i = axis.start(o) + tap;
        ASSERT_EQ(tap >= taps.first && tap < taps.last, i >= 0 && i < c.in) << o << ", " << tap;
      }
    }
  }
}

TEST(PoolAxis, WindowsAreThoseThatHoldTheInput) {
  for (const AxisCase& c : axes()) {
    const PoolAxis axis(c.in, c.out, c.window, c.stride, c.pad);
    for (int i = 0; i < c.in; ++i) {
      const WindowRange windows = axis.windows(i);
      for (int o = 0; o < c.out; ++o) {
        const bool listed = o >= windows.first && o <= windows.last;
        ASSERT_EQ(listed, holds(c, o, i)) << "input " << i << ", window " << o;
        if (!listed) continue;
        ASSERT_EQ(axis.start(o) + windows.tap - (o - windows.first) * c.stride, i);
      }
    }
  }
}

TEST(PoolAxis, CountsTapsInsideOrInsideThePadding) {
  for (const AxisCase& c : axes()) {
    const PoolAxis axis(c.in, c.out, c.window, c.stride, c.pad);
    for (int o = 0; o < c.out; ++o) {
      int inside = 0, padded = 0;
      for (int tap = 0; tap < c.window; ++tap) {
        const int i = axis.start(o) + tap;
        inside += i >= 0 && i < c.in;
        padded += i < c.in + c.pad;
      }
      ASSERT_EQ(axis.count(o, false), inside);
      ASSERT_EQ(axis.count(o, true), padded);
    }
  }
}

}  // namespace
}  // namespace curvseg
