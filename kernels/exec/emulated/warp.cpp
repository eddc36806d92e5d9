// Warp collectives: the lanes of a mask meet, exchange values, and are ordered from then on.
#include <algorithm>
#include <bit>
#include <cstdint>
#include <utility>

#include "exec/emulated/engine.hpp"

namespace curvseg::emulation {
namespace {

constexpr unsigned kLanes = 32;

/// The lanes of `mask` have met: each now comes after whatever the others did before.
void order_lanes(Engine& e, int first_lane, std::uint32_t mask) {
  const std::uint32_t now = e.next_epoch();
  std::uint32_t latest[kLanes] = {};
  for (std::uint32_t rest = mask; rest; rest &= rest - 1) {
    const std::uint32_t* row = e.seen_by(first_lane + std::countr_zero(rest));
    for (unsigned l = 0; l < kLanes; ++l) latest[l] = std::max(latest[l], row[l]);
  }
  for (unsigned l = 0; l < kLanes; ++l)
    if (mask >> l & 1) latest[l] = now;
  for (std::uint32_t rest = mask; rest; rest &= rest - 1)
    std::copy(latest, latest + kLanes, e.seen_by(first_lane + std::countr_zero(rest)));
}

/// What every lane gets: settled when the last one comes, before any of them goes on.
void exchange_values(Engine& e, int first_lane, std::uint32_t mask, WarpOperation operation) {
  const auto lane = [&](unsigned l) -> Thread& {
    return e.thread(first_lane + static_cast<int>(l));
  };
  std::uint64_t vote = 0;
  for (unsigned l = 0; l < kLanes; ++l)
    if (mask >> l & 1 && lane(l).value) vote |= std::uint64_t{1} << l;
  for (unsigned l = 0; l < kLanes; ++l)
    if (mask >> l & 1)
      lane(l).result = operation == WarpOperation::kVote ? vote : lane(lane(l).source).value;
}

[[noreturn]] void fail_collective(Place place, int other, const char* note) {
  Defect defect;
  defect.kind = DefectKind::kWarpCollective;
  defect.place = place;
  defect.other = {engine().block, other};
  defect.note = note;
  fail(std::move(defect));
}

/// Returns the lane's result when all lanes of `mask` are in the same collective.
std::uint64_t meet(WarpOperation operation, std::uint32_t mask, std::uint64_t value,
                   unsigned source, Place place) {
  Engine& e = engine();
  Thread& t = e.running();
  const int first_lane = e.current / 32 * 32;
  if (!(mask & hot.lane_bit)) fail_collective(place, e.current, "is not in its mask");
  if (operation == WarpOperation::kShuffle && !(mask >> (source % kLanes) & 1))
    fail_collective(place, first_lane + static_cast<int>(source % kLanes),
                    "whose value is asked for, is not in its mask");
  t.operation = operation;
  t.mask = mask;
  t.value = value;
  t.source = source % kLanes;
  t.place = place;
  t.state = ThreadState::kInWarp;
  for (std::uint32_t rest = mask; rest; rest &= rest - 1) {
    const int other = first_lane + std::countr_zero(rest);
    const bool here = other < e.launch->threads && e.thread(other).state == ThreadState::kInWarp &&
                      e.thread(other).mask == mask && e.thread(other).operation == operation;
    if (!here) {
      Fiber::suspend();
      return t.result;
    }
  }
  order_lanes(e, first_lane, mask);
  exchange_values(e, first_lane, mask, operation);
  for (std::uint32_t rest = mask; rest; rest &= rest - 1)
    e.thread(first_lane + std::countr_zero(rest)).state = ThreadState::kReady;
  return t.result;
}

}  // namespace

std::uint64_t warp_exchange(WarpOperation operation, std::uint32_t mask, std::uint64_t value,
                            unsigned source) noexcept {
  return meet(operation, mask, value, source, place_of(__builtin_return_address(0)));
}

std::uint32_t warp_vote(std::uint32_t mask, bool predicate) noexcept {
  return static_cast<std::uint32_t>(
      meet(WarpOperation::kVote, mask, predicate, 0, place_of(__builtin_return_address(0))));
}

std::uint32_t active_lanes() noexcept {
  const Engine& e = engine();
  std::uint32_t lanes = 0;
  const int first_lane = e.current / 32 * 32;
  for (int l = 0; l < 32 && first_lane + l < e.launch->threads; ++l)
    if (e.thread(first_lane + l).state != ThreadState::kGone) lanes |= 1u << l;
  return lanes;
}

}  // namespace curvseg::emulation
