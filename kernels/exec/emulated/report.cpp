// From a Defect to the one text of a TargetError.
#include <cstring>
#include <string_view>

#include "exec/emulated/defect.hpp"

namespace curvseg::emulation {
namespace {

void remove_all(std::string& text, std::string_view part) {
  for (std::size_t at; (at = text.find(part)) != std::string::npos;) text.erase(at, part.size());
}

std::string verb(Touch touch) {
  switch (touch) {
    case Touch::kRead:
      return "reads";
    case Touch::kWrite:
      return "writes";
    case Touch::kAtomic:
      return "atomically updates";
  }
  return "touches";
}

std::string name_thread(const ThreadOfBlock& thread, Dim3 grid) {
  const std::string who =
      thread.thread < 0 ? "another thread" : "thread " + std::to_string(thread.thread);
  if (thread.block < 0) return who + " of another block";
  const std::int64_t plane = static_cast<std::int64_t>(grid.x) * grid.y;
  return who + " of block (" + std::to_string(thread.block % grid.x) + "," +
         std::to_string(thread.block % plane / grid.x) + "," +
         std::to_string(thread.block / plane) + ")";
}

std::string at(Place place) { return place ? " at " + describe_place(place) : std::string(); }

/// "reads 4 bytes at kernels/..."
std::string access(const Defect& d) {
  return verb(d.touch) + " " + std::to_string(d.bytes) + " bytes" + at(d.place);
}

std::string explain(const Defect& d, Dim3 grid) {
  const std::string me = name_thread(d.at, grid);
  switch (d.kind) {
    case DefectKind::kRace: {
      const bool blocks = d.other.block != d.at.block;
      return "race between two " + std::string(blocks ? "blocks" : "threads") + ": " + me + " " +
             access(d) + "; " + name_thread(d.other, grid) + " " + verb(d.other_touch) +
             (d.other_touch == d.touch ? " them too" : " them") + at(d.other_place) +
             (blocks ? ", and blocks have no order" : ", with no barrier between");
    }
    case DefectKind::kStreamRace:
      return "missing stream wait: " + me + " " + access(d) + "; " +
             (d.other_kernel ? "kernel " + short_kernel_name(d.other_kernel) : "a copy") +
             " on another stream " + verb(d.other_touch) + " them" + at(d.other_place) +
             ", and nothing makes one of the two wait for the other";
    case DefectKind::kUninitialised:
      return "uninitialised read: " + me + " " + access(d) + ", which nobody has written yet";
    case DefectKind::kOutOfBounds:
      return "out of bounds: " + me + " " + access(d) + ": " + d.note;
    case DefectKind::kMisaligned:
      return "misaligned: " + me + " " + verb(d.touch) + at(d.place) +
             ", where the address has to be a multiple of " + std::to_string(d.bytes);
    case DefectKind::kCopyInFlight:
      return "asynchronous copy in flight: " + me + " " + access(d) +
             ", the destination of a copy" + " that " + name_thread(d.other, grid) + " started" +
             at(d.other_place) + " and has not waited for";
    case DefectKind::kCopySourceChanged:
      return "asynchronous copy in flight: its source was written" + at(d.other_place) +
             " before " + me + " waited for the copy it started" + at(d.place);
    case DefectKind::kCopyOperands:
      return "asynchronous copy of " + me + " " + d.note + at(d.place);
    case DefectKind::kDivergentBarrier:
      return "divergent barrier: " + me + " waits at __syncthreads()" + at(d.place) + "; " +
             name_thread(d.other, grid) + " " + d.note +
             (d.other_place
                  ? (d.note.starts_with("has left") ? ", last barrier" : "") + at(d.other_place)
                  : std::string());
    case DefectKind::kWarpCollective:
      return "absent lane: " + me + " is in a warp collective" + at(d.place) + "; " +
             name_thread(d.other, grid) + " " + d.note + at(d.other_place);
    case DefectKind::kException:
      return "an exception left " + me;
    case DefectKind::kNone:
      break;
  }
  return "no defect";
}

}  // namespace

std::string short_kernel_name(const char* pretty_function) {
  // "... kernel_name() [with auto Kernel = NAME]" or "[Kernel = &NAME]".
  std::string name = pretty_function;
  const std::size_t begin = name.find("Kernel = ");
  if (begin != std::string::npos) {
    name = name.substr(begin + std::strlen("Kernel = "));
    if (name.ends_with(']')) name.pop_back();
  }
  for (const std::string_view part :
       {"curvseg::target_emulated::", "{anonymous}::", "(anonymous namespace)::", "&"})
    remove_all(name, part);
  return name;
}

std::string describe(const Defect& defect, const char* kernel, Dim3 grid, int device) {
  return "emulated device " + std::to_string(device) + ", kernel " + short_kernel_name(kernel) +
         ": " + explain(defect, grid);
}

}  // namespace curvseg::emulation
