// Source lines of places, from the program's own debug information. Slow; only for reports.
#include <dwarf.h>
#include <elfutils/libdw.h>
#include <elfutils/libdwfl.h>
#include <link.h>
#include <unistd.h>

#include <cstdint>
#include <cstdlib>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "exec/emulated/defect.hpp"

namespace curvseg::emulation {
namespace {

struct Segment {
  std::uintptr_t begin, end;
  bool writable, executable;
};

std::vector<Segment> loaded_segments() {
  std::vector<Segment> segments;
  dl_iterate_phdr(
      [](dl_phdr_info* info, std::size_t, void* to) {
        for (int i = 0; i < info->dlpi_phnum; ++i) {
          const auto& header = info->dlpi_phdr[i];
          const std::uintptr_t begin = info->dlpi_addr + header.p_vaddr;
          // What relocation makes read-only comes as a segment of its own.
          if (header.p_type == PT_LOAD || header.p_type == PT_GNU_RELRO)
            static_cast<std::vector<Segment>*>(to)->push_back(
                {begin, begin + header.p_memsz,
                 header.p_type == PT_LOAD && (header.p_flags & PF_W) != 0,
                 (header.p_flags & PF_X) != 0});
        }
        return 0;
      },
      &segments);
  return segments;
}

/// The address whose low half is `place`: in the first module that has one, the program itself
/// before its libraries.
std::uintptr_t full_address(Place place) {
  for (const Segment& segment : loaded_segments()) {
    if (!segment.executable) continue;
    std::uintptr_t address = (segment.begin & ~std::uintptr_t{0xffffffff}) | place;
    if (address < segment.begin) address += std::uintptr_t{1} << 32;
    if (address < segment.end) return address - 1;  // inside the call, not behind it
  }
  return 0;
}

int no_separate_debug_info(Dwfl_Module*, void**, const char*, Dwarf_Addr, const char*, const char*,
                           GElf_Word, char**) {
  return -1;
}

class DebugInfo {
 public:
  DebugInfo() : session_(dwfl_begin(&callbacks()), &dwfl_end) {
    if (!session_) return;
    dwfl_report_begin(session_.get());
    dwfl_linux_proc_report(session_.get(), getpid());
    dwfl_report_end(session_.get(), nullptr, nullptr);
  }

  struct Frame {
    std::string file;
    int line;
  };

  bool knows(std::uintptr_t address) const {
    return session_ && dwfl_addrmodule(session_.get(), address);
  }

  /// Innermost first: the line itself, then the calls that were inlined around it.
  std::vector<Frame> frames(std::uintptr_t address) const {
    std::vector<Frame> frames;
    if (!knows(address)) return frames;
    Dwfl_Module* module = dwfl_addrmodule(session_.get(), address);
    Dwarf_Addr bias = 0;
    Dwarf_Die* unit = find_unit(module, address, &bias);
    Dwarf_Line* line = unit ? dwarf_getsrc_die(unit, address - bias) : nullptr;
    if (!line) return frames;
    int number = 0;
    dwarf_lineno(line, &number);
    frames.push_back({relative(unit, dwarf_linesrc(line, nullptr, nullptr)), number});
    Dwarf_Files* files = nullptr;
    if (dwarf_getsrcfiles(unit, &files, nullptr) == 0)
      add_inlined_calls(unit, files, unit, address - bias, frames);
    return frames;
  }

 private:
  static const Dwfl_Callbacks& callbacks() {
    static const Dwfl_Callbacks table = {&dwfl_linux_proc_find_elf, &no_separate_debug_info,
                                         nullptr, nullptr};
    return table;
  }

  /// The compilation unit of an address. clang writes no index of them, so the search may have to
  /// ask them all.
  static Dwarf_Die* find_unit(Dwfl_Module* module, Dwarf_Addr address, Dwarf_Addr* bias) {
    if (Dwarf_Die* unit = dwfl_module_addrdie(module, address, bias)) return unit;
    Dwarf_Die* unit = nullptr;
    while ((unit = dwfl_module_nextcu(module, unit, bias)))
      if (dwarf_haspc(unit, address - *bias) == 1) return unit;
    return nullptr;
  }

  /// As the compiler was given it: without the folder it ran in, which builds map to nothing.
  static std::string relative(Dwarf_Die* unit, const char* file) {
    std::string_view name = file ? file : "?";
    Dwarf_Attribute attribute;
    const char* folder =
        unit ? dwarf_formstring(dwarf_attr(unit, DW_AT_comp_dir, &attribute)) : nullptr;
    if (folder && *folder && name.starts_with(folder))
      name.remove_prefix(std::string_view(folder).size());
    while (name.starts_with("/") && folder && *folder != '/') name.remove_prefix(1);
    while (name.starts_with("./")) name.remove_prefix(2);
    return std::string(name);
  }

  /// Walks to `address` itself: libdw's dwarf_getscopes() does not look into namespaces, where
  /// clang puts functions.
  static void add_inlined_calls(Dwarf_Die* unit, Dwarf_Files* files, Dwarf_Die* scope,
                                Dwarf_Addr address, std::vector<Frame>& frames) {
    Dwarf_Die inner;
    if (dwarf_child(scope, &inner) != 0) return;
    do {
      switch (dwarf_tag(&inner)) {
        case DW_TAG_namespace:
        case DW_TAG_class_type:
        case DW_TAG_structure_type:
          add_inlined_calls(unit, files, &inner, address, frames);
          break;
        case DW_TAG_subprogram:
        case DW_TAG_lexical_block:
        case DW_TAG_inlined_subroutine:
          if (dwarf_haspc(&inner, address) != 1) break;
          add_inlined_calls(unit, files, &inner, address, frames);
          add_call(unit, files, &inner, frames);
          return;
        default:
          break;
      }
    } while (dwarf_siblingof(&inner, &inner) == 0);
  }

  static void add_call(Dwarf_Die* unit, Dwarf_Files* files, Dwarf_Die* scope,
                       std::vector<Frame>& frames) {
    if (dwarf_tag(scope) != DW_TAG_inlined_subroutine) return;
    Dwarf_Attribute attribute;
    Dwarf_Word file = 0, line = 0;
    if (dwarf_formudata(dwarf_attr(scope, DW_AT_call_file, &attribute), &file) == 0 &&
        dwarf_formudata(dwarf_attr(scope, DW_AT_call_line, &attribute), &line) == 0)
      frames.push_back(
          {relative(unit, dwarf_filesrc(files, file, nullptr, nullptr)), static_cast<int>(line)});
  }

  std::unique_ptr<Dwfl, decltype(&dwfl_end)> session_;
};

bool is_target_header(std::string_view file) {
  return file.find("exec/emulated") != std::string_view::npos;
}

}  // namespace

std::string describe_place(Place place) {
  static std::unique_ptr<DebugInfo> info = std::make_unique<DebugInfo>();
  const std::uintptr_t address = full_address(place);
  if (!info->knows(address)) info = std::make_unique<DebugInfo>();  // of a library loaded since
  const std::vector<DebugInfo::Frame> frames = info->frames(address);
  std::string text;
  for (const DebugInfo::Frame& frame : frames) {
    // The names of CUDA that the target defines are not where a reader wants to look.
    if (is_target_header(frame.file)) continue;
    if (!text.empty()) text += " < ";
    text += frame.file + ":" + std::to_string(frame.line);
  }
  if (!text.empty()) return text;
  char hex[32];
  std::snprintf(hex, sizeof hex, "%#zx", static_cast<std::size_t>(address));
  return std::string(hex) + " (no debug information)";
}

bool same_source_line(Place a, Place b) {
  if (a == b) return true;
  static std::map<std::pair<Place, Place>, bool> known;
  const auto [entry, fresh] = known.try_emplace({a, b}, false);
  if (fresh) entry->second = describe_place(a) == describe_place(b);
  return entry->second;
}

bool is_constant_data(const void* address, std::size_t bytes) {
  static std::vector<Segment> segments = loaded_segments();
  const auto begin = reinterpret_cast<std::uintptr_t>(address), end = begin + bytes;
  const auto holds = [&] {
    for (const Segment& segment : segments)
      if (!segment.writable && begin >= segment.begin && end <= segment.end) return true;
    return false;
  };
  if (holds()) return true;
  segments = loaded_segments();  // a library may have been loaded since
  return holds();
}

}  // namespace curvseg::emulation
