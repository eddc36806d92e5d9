#include "exec/emulated/memory.hpp"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "target.hpp"

namespace curvseg::emulation {
namespace {

// Between allocations: an index that is a little off meets no other tensor.
constexpr std::size_t kRedZone = 4096;
constexpr std::size_t kAlignment = 256;
// Freed memory that is not handed out again, so that a late reader is caught. Red zones count too:
// else empty allocations would pile up for ever.
constexpr std::size_t kQuarantineBytes = std::size_t{256} << 20;

constexpr std::size_t kFilledBytes = std::size_t{1} << 30;

std::size_t round_up(std::size_t value, std::size_t to) { return (value + to - 1) / to * to; }

/// A length of 0 gets an address of its own and no byte.
std::size_t with_red_zone(std::size_t bytes) { return round_up(bytes + kRedZone, kAlignment); }

/// Addresses without memory behind them until they are touched.
void* reserve(std::size_t bytes) {
  void* at = mmap(nullptr, bytes, PROT_READ | PROT_WRITE,
                  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (at == MAP_FAILED)
    throw TargetError("emulated: cannot reserve " + std::to_string(bytes >> 30) +
                      " GiB of address space (" + std::strerror(errno) +
                      "); is there a limit on virtual memory?");
  return at;
}

/// Zeroes [begin, end), giving whole pages back.
void zero(std::byte* begin, std::byte* end) {
  static const std::size_t page = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
  auto* first =
      reinterpret_cast<std::byte*>(round_up(reinterpret_cast<std::uintptr_t>(begin), page));
  auto* last = reinterpret_cast<std::byte*>(reinterpret_cast<std::uintptr_t>(end) / page * page);
  constexpr std::ptrdiff_t kWorthACall = 1 << 20;
  if (last - first < kWorthACall) {
    std::memset(begin, 0, static_cast<std::size_t>(end - begin));
    return;
  }
  std::memset(begin, 0, static_cast<std::size_t>(first - begin));
  madvise(first, static_cast<std::size_t>(last - first), MADV_DONTNEED);
  std::memset(last, 0, static_cast<std::size_t>(end - last));
}

}  // namespace

Memory& memory() {
  static Memory& instance = *new Memory;  // never destroyed: queued work may outlive statics
  return instance;
}

Memory::Memory() {
  constexpr std::size_t kAll = kDevices * kDeviceBytes;
  base_ = static_cast<std::byte*>(reserve(kAll));
  cells_ = static_cast<Cell*>(reserve(kAll / 4 * sizeof(Cell)));
  byte_cells_ = static_cast<Cell*>(reserve(kAll * sizeof(Cell)));
  for (int device = 0; device < kDevices; ++device)
    cursor_[device] = device_base(device) + kHeapOffset;
}

int Memory::device_of(const void* address) const {
  const std::size_t at = offset(address);
  return at < kDevices * kDeviceBytes ? static_cast<int>(at / kDeviceBytes) : -1;
}

Cell* Memory::split(Cell* cell) const {
  Cell* bytes = byte_cells(cell);
  for (int i = 0; i < 4; ++i) bytes[i] = *cell;
  cell->state = kSplit;
  return bytes;
}

std::byte* Memory::find_gap(int device, std::size_t bytes) {
  const Table& table = table_[device];
  std::byte* const end = device_base(device) + kDeviceBytes - kRedZone;
  for (std::byte* at : {cursor_[device], device_base(device) + kHeapOffset}) {
    for (auto next = table.lower_bound(at);; ++next) {
      const std::byte* limit = next == table.end() ? end : next->first;
      if (limit >= at && static_cast<std::size_t>(limit - at) >= bytes) return at;
      if (next == table.end()) break;
      at = const_cast<std::byte*>(next->first) + with_red_zone(next->second.bytes);
    }
  }
  return nullptr;
}

void* Memory::allocate(int device, std::size_t bytes) {
  std::byte* at = bytes < kDeviceBytes ? find_gap(device, with_red_zone(bytes)) : nullptr;
  if (!at && bytes < kDeviceBytes) {
    shrink_quarantine(device, 0);
    at = find_gap(device, with_red_zone(bytes));
  }
  if (!at)
    throw TargetError("emulated: device " + std::to_string(device) + " has no room for " +
                      std::to_string(bytes) + " bytes");
  table_[device][at] = {bytes, false};
  cursor_[device] = at + with_red_zone(bytes);
  last_ = {};
  clear_marks(at, bytes);
  fill_with_garbage(at, bytes);
  return at;
}

bool Memory::release(int device, void* address) {
  Table& table = table_[device];
  const auto found = table.find(static_cast<std::byte*>(address));
  if (found == table.end() || found->second.freed) return false;
  found->second.freed = true;
  last_ = {};
  clear_marks(address, found->second.bytes);
  quarantined_[device] += with_red_zone(found->second.bytes);
  if (quarantined_[device] > kQuarantineBytes) shrink_quarantine(device, kQuarantineBytes / 2);
  return true;
}

void Memory::shrink_quarantine(int device, std::size_t keep_bytes) {
  Table& table = table_[device];
  for (auto it = table.begin(); it != table.end() && quarantined_[device] > keep_bytes;) {
    if (!it->second.freed) {
      ++it;
      continue;
    }
    auto* begin = const_cast<std::byte*>(it->first);
    zero(begin, begin + it->second.bytes);
    quarantined_[device] -= with_red_zone(it->second.bytes);
    it = table.erase(it);
  }
  last_ = {};
}

Memory::Found Memory::find(const void* address, std::size_t bytes) const {
  const auto* at = static_cast<const std::byte*>(address);
  const auto holds = [&](const Found& found) {
    return found.begin && at >= found.begin &&
           static_cast<std::size_t>(at - found.begin) + bytes <= found.bytes;
  };
  if (holds(last_)) return last_;
  const int device = device_of(address);
  Found found;
  if (device < 0) return found;
  const Table& table = table_[device];
  auto next = table.upper_bound(at);
  if (next == table.begin()) return found;
  --next;
  found = {next->first, next->second.bytes, next->second.freed, false};
  found.inside = holds(found);
  if (found.inside) last_ = found;
  return found;
}

void Memory::mark_written(const void* address, std::size_t bytes, std::uint32_t epoch) {
  Cell written{};
  written.write_epoch = epoch;
  written.writer = kCopy;
  written.state = kInitialised;
  const auto* at = static_cast<const std::byte*>(address);
  const std::byte* const end = at + bytes;
  while (at < end) {
    Cell* word = cell(at);
    const std::size_t first = offset(at) % 4;
    const std::size_t count = std::min<std::size_t>(4 - first, static_cast<std::size_t>(end - at));
    if (count == 4) {
      *word = written;
    } else {
      Cell* parts = word->state == kSplit ? byte_cells(word) : split(word);
      for (std::size_t i = first; i < first + count; ++i) parts[i] = written;
    }
    at += count;
  }
}

void Memory::copy_marks(const void* to, const void* from, std::size_t bytes, std::uint32_t epoch) {
  const auto known = [&](std::size_t i) {
    const auto* at = static_cast<const std::byte*>(from) + i;
    const Cell* word = cell(at);
    return (word->state == kSplit ? byte_cells(word)[offset(at) % 4] : *word).state == kInitialised;
  };
  clear_marks(to, bytes);
  std::size_t begin = 0;
  for (std::size_t i = 0; i <= bytes; ++i) {
    if (i < bytes && known(i)) continue;
    if (i > begin) mark_written(static_cast<const std::byte*>(to) + begin, i - begin, epoch);
    begin = i + 1;
  }
}

void Memory::clear_marks(const void* address, std::size_t bytes) {
  if (bytes == 0) return;
  const auto* at = static_cast<const std::byte*>(address);
  // A word that is cut at either end loses the marks of its other bytes only if they are nobody's:
  // allocations start on words, and copies within one split such words first.
  const std::size_t head = std::min<std::size_t>((4 - offset(at) % 4) % 4, bytes);
  const std::size_t tail = bytes > head ? (offset(at) + bytes) % 4 : 0;
  const auto clear_bytes = [&](const std::byte* first, std::size_t count) {
    if (count == 0) return;
    Cell* word = cell(first);
    Cell* parts = word->state == kSplit ? byte_cells(word) : split(word);
    for (std::size_t i = 0; i < count; ++i) parts[offset(first) % 4 + i] = Cell{};
  };
  clear_bytes(at, head);
  clear_bytes(at + bytes - tail, tail);
  Cell* begin = cell(at + head);
  Cell* end = begin + (bytes - head - tail) / 4;
  if (end > begin) zero(reinterpret_cast<std::byte*>(begin), reinterpret_cast<std::byte*>(end));
}

void Memory::forget_epochs() {
  const auto forget = [](Cell& word) {
    word.write_epoch = 0;
    word.read_epoch = 0;
  };
  for (const Table& table : table_)
    for (const auto& [begin, allocation] : table) {
      if (allocation.freed) continue;
      Cell* const end = cell(begin + allocation.bytes + 3);
      for (Cell* word = cell(begin); word < end; ++word) {
        if (word->state == kSplit)
          for (int i = 0; i < 4; ++i) forget(byte_cells(word)[i]);
        forget(*word);
      }
    }
}

void Memory::fill_with_garbage(void* address, std::size_t bytes) {
  if (bytes > kFilledBytes) return;
  const std::uint32_t garbage = 0xffe5a5a5u;  // a NaN as float, negative as int
  auto* at = static_cast<std::byte*>(address);
  for (; bytes >= 4; at += 4, bytes -= 4) std::memcpy(at, &garbage, 4);
  std::memcpy(at, &garbage, bytes);
}

}  // namespace curvseg::emulation
