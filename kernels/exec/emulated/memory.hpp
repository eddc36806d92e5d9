// The address space of the emulated devices, and what is known of every word in it.
//
// All devices lie in one reserved range of addresses, so a check finds its shadow by one
// subtraction. Nothing is committed before it is touched:
//
//   device d: [ shared memory of the running block | allocations ........................ ]
//             base + d · kDeviceBytes               + kHeapOffset
//
// Shadow that nobody wrote is zero and means "ask the table of allocations": red zones, freed
// memory and memory never written need no marks.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>

namespace curvseg::emulation {

inline constexpr int kDevices = 2;
// Room for several tensors of more than 2^31 elements whose memory is hardly touched.
inline constexpr std::size_t kDeviceBytes = std::size_t{64} << 30;
inline constexpr std::size_t kSharedOffset = 64 << 10;
inline constexpr std::size_t kSharedLimit = 163 << 10;  // of one block, as on sm_80
inline constexpr std::size_t kHeapOffset = 1 << 20;

// Who made a stamp: the number of a warp, with a flag if it was only the last of several.
inline constexpr std::uint16_t kWarpNumber = 0x1f;
inline constexpr std::uint16_t kSeveralWarps = 0x40;   // of one block, since its last barrier
inline constexpr std::uint16_t kSeveralBlocks = 0x80;  // of one launch
inline constexpr std::uint16_t kCopy = 0x100;          // a copy in a stream

enum CellState : std::uint8_t {
  kUnknown = 0,      // never written, or not there at all
  kInitialised = 1,  // the common case: one comparison in the hot path
  kInFlight = 2,     // destination of an asynchronous copy that was not waited for
  kSplit = 4,        // bytes of this word differ: each has a cell of its own
};

/// What happened last to one word of 4 bytes. An epoch numbers the intervals between
/// synchronisations, over all launches; 0 is never. A place is the low half of a return address.
struct alignas(32) Cell {
  std::uint32_t write_epoch;
  std::uint16_t writer;  // warp and flags
  CellState state;
  bool atomic;  // the last write was one
  std::uint32_t read_epoch;
  std::uint16_t reader;
  std::uint32_t write_lanes;  // of warp `writer`
  std::uint32_t read_lanes;
  std::uint32_t write_place;
  std::uint32_t read_place;
};
static_assert(sizeof(Cell) == 32);

struct Allocation {
  std::size_t bytes;
  bool freed;
};

class Memory {
 public:
  Memory();

  int device_of(const void* address) const;  // -1: none
  std::byte* device_base(int device) const { return base_ + device_bytes(device); }
  Cell* device_cells(int device) const { return cells_ + device_bytes(device) / 4; }
  std::byte* shared_base(int device) const { return device_base(device) + kSharedOffset; }
  Cell* cell(const void* address) const { return cells_ + offset(address) / 4; }
  /// The four cells of a split word.
  Cell* byte_cells(const Cell* cell) const { return byte_cells_ + 4 * (cell - cells_); }
  Cell* split(Cell* cell) const;

  void* allocate(int device, std::size_t bytes);
  /// False if `address` is not a live allocation of this device.
  bool release(int device, void* address);

  struct Found {
    const std::byte* begin = nullptr;
    std::size_t bytes = 0;
    bool freed = false;
    bool inside = false;  // all of the access
  };
  /// The allocation that holds [address, address + bytes), else the nearest one at or before it.
  Found find(const void* address, std::size_t bytes) const;

  /// After a write by a stream copy.
  void mark_written(const void* address, std::size_t bytes, std::uint32_t epoch);
  /// After a copy between devices: `to` knows as little as `from`.
  void copy_marks(const void* to, const void* from, std::size_t bytes, std::uint32_t epoch);
  /// Forgets all of [address, address + bytes).
  void clear_marks(const void* address, std::size_t bytes);
  /// Before epochs run out: every word was last touched long ago.
  void forget_epochs();

  /// Up to 1 GiB; more would be committed by it. Marks say all the same that nobody wrote.
  static void fill_with_garbage(void* address, std::size_t bytes);

 private:
  using Table = std::map<const std::byte*, Allocation>;

  static std::size_t device_bytes(int device) {
    return static_cast<std::size_t>(device) * kDeviceBytes;
  }
  std::size_t offset(const void* address) const {
    return static_cast<std::size_t>(static_cast<const std::byte*>(address) - base_);
  }
  std::byte* find_gap(int device, std::size_t bytes);
  void shrink_quarantine(int device, std::size_t keep_bytes);

  std::byte* base_ = nullptr;
  Cell* cells_ = nullptr;
  Cell* byte_cells_ = nullptr;
  Table table_[kDevices];
  std::byte* cursor_[kDevices] = {};  // where the next allocation is tried first
  std::size_t quarantined_[kDevices] = {};
  mutable Found last_;  // most accesses ask for the same allocation again
};

Memory& memory();

}  // namespace curvseg::emulation
