#!/bin/sh
# Doxygen over the public headers: no warning at all. Everything needs a comment, data members,
# comparisons and moves as well. Usage: doxygen.sh DOXYFILE
set -eu
command -v doxygen >/dev/null || { echo "skipped: no doxygen here"; exit 77; }

warnings() {  # DOXYFILE
  doxygen "$1" 2>&1 >/dev/null || echo "doxygen failed"
}

# A check that lets everything pass would look like a success: here are things it has to find.
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cat >"$work/planted.hpp" <<'PLANTED'
/// \file
/// Without the comments that public headers need.
namespace curvseg {
void planted_function(int n);
/// Documented.
void documented(int n);
/// Documented.
class Documented {
 public:
  void planted_member() const;
  void planted_reference(const Documented& documented);
  explicit Documented(int planted_constructor);
  Documented(Documented&& planted_move) noexcept;
  Documented& operator=(Documented&& planted_assignment) noexcept;
  int documented_variable = 1;  ///< in units
  int planted_variable = 1;
  friend bool operator==(const Documented&, const Documented&) = default;
};
struct PlantedStruct {
  int n;
};
enum class PlantedEnum { kA };
using PlantedAlias = int;
/// \param planted_parameter is none of this function's.
void documented_wrongly(int n);
}  // namespace curvseg
PLANTED
{
  cat "$1"
  echo "INPUT = $work/planted.hpp"
  echo "OUTPUT_DIRECTORY = $work"
} >"$work/Doxyfile"
found=$(warnings "$work/Doxyfile")
for name in planted_function planted_member planted_reference planted_constructor planted_move \
  planted_assignment planted_variable operator== PlantedStruct PlantedEnum PlantedAlias \
  planted_parameter; do
  echo "$found" | grep -q -F -e "$name" || { echo "doxygen.sh does not see $name"; exit 1; }
done
! echo "$found" | grep -E ' documented(_variable|\(int)' || {
  echo "doxygen.sh asks for too much"
  exit 1
}

warnings=$(warnings "$1")
[ -z "$warnings" ] || { echo "$warnings"; exit 1; }
