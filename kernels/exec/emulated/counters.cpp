// LaunchRecord: groups the accesses of a warp's lanes at one place, the first with the first, the
// second with the second, into the requests that a GPU's warp would have made.
#include <algorithm>
#include <array>
#include <cstdint>
#include <unordered_map>

#include "exec/emulated/engine.hpp"

namespace curvseg::emulation {
namespace {

struct WarpRequest {
  bool write;
  bool shared;
  std::uint16_t bytes;  // of one lane
  std::array<std::uintptr_t, 32> address;
  std::uint32_t lanes = 0;
};

constexpr std::uintptr_t kSectorBytes = 32, kBankBytes = 4;
constexpr unsigned kBanks = 32;

template <class Count>
void sort_unique(std::vector<std::uintptr_t>& values, Count&& count) {
  std::sort(values.begin(), values.end());
  values.erase(std::unique(values.begin(), values.end()), values.end());
  count(values);
}

void count_global(LaunchRecord::Global& total, const WarpRequest& request) {
  ++total.requests;
  std::vector<std::uintptr_t> sectors;
  for (unsigned lane = 0; lane < 32; ++lane) {
    if (!(request.lanes >> lane & 1)) continue;
    total.bytes += request.bytes;
    const std::uintptr_t last = (request.address[lane] + request.bytes - 1) / kSectorBytes;
    for (std::uintptr_t s = request.address[lane] / kSectorBytes; s <= last; ++s)
      sectors.push_back(s);
  }
  sort_unique(sectors, [&](const auto& distinct) {
    total.sectors += static_cast<std::int64_t>(distinct.size());
  });
}

/// 8- and 16-byte accesses go in phases of half and quarter warps. In a phase, a bank gives one
/// word to any number of lanes.
void count_shared(LaunchRecord::Shared& total, const WarpRequest& request) {
  ++total.requests;
  const unsigned phases = request.bytes >= 16 ? 4 : request.bytes >= 8 ? 2 : 1;
  const unsigned lanes_of_phase = 32 / phases;
  for (unsigned phase = 0; phase < phases; ++phase) {
    std::vector<std::uintptr_t> words;
    for (unsigned lane = phase * lanes_of_phase; lane < (phase + 1) * lanes_of_phase; ++lane) {
      if (!(request.lanes >> lane & 1)) continue;
      total.bytes += request.bytes;
      const std::uintptr_t last = (request.address[lane] + request.bytes - 1) / kBankBytes;
      for (std::uintptr_t w = request.address[lane] / kBankBytes; w <= last; ++w)
        words.push_back(w);
    }
    if (words.empty()) continue;
    sort_unique(words, [&](const auto& distinct) {
      std::int64_t in_bank[kBanks] = {};
      for (const std::uintptr_t word : distinct) ++in_bank[word % kBanks];
      total.wavefronts += *std::max_element(in_bank, in_bank + kBanks);
      total.ideal += (static_cast<std::int64_t>(distinct.size()) + kBanks - 1) / kBanks;
    });
  }
}

void count_warp(Engine& e, std::size_t first_thread, std::size_t last_thread) {
  std::unordered_map<std::uint64_t, WarpRequest> requests;  // by place and occurrence
  for (std::size_t thread = first_thread; thread < last_thread; ++thread) {
    std::unordered_map<std::uint64_t, std::uint32_t> occurrences;
    for (const Access& access : e.threads[thread].accesses) {
      // A copy_async() reads and writes at one place.
      const std::uint64_t place = std::uint64_t{access.place} << 1 | (access.write ? 1 : 0);
      const std::uint64_t key = place << 31 ^ occurrences[place]++;
      WarpRequest& request = requests[key];
      request.write = access.write;
      request.shared = access.shared;
      request.bytes = access.bytes;
      request.address[thread - first_thread] = access.address;
      request.lanes |= 1u << (thread - first_thread);
    }
    e.threads[thread].accesses.clear();
  }
  LaunchRecord& r = e.record;
  for (const auto& [key, request] : requests) {
    if (request.shared)
      count_shared(request.write ? r.shared_writes : r.shared_reads, request);
    else
      count_global(request.write ? r.global_writes : r.global_reads, request);
  }
}

}  // namespace

void record_access(Touch touch, std::uintptr_t address, std::size_t bytes, Place place) {
  const bool shared = address - hot.device_low < kHeapOffset;
  engine().running().accesses.push_back(
      {place, static_cast<std::uint16_t>(bytes), touch != Touch::kRead, shared, address});
}

void count_interval() {
  Engine& e = engine();
  const auto threads = static_cast<std::size_t>(e.launch->threads);
  for (std::size_t first = 0; first < threads; first += 32)
    count_warp(e, first, std::min(first + 32, threads));
}

}  // namespace curvseg::emulation
