#!/bin/sh
# Doxygen over the public headers: no warning. Everything needs a comment but what speaks for
# itself: data members (`int stride = 1`), and comparison, copy and move as the language defines
# them. Usage: doxygen.sh DOXYFILE
set -eu
command -v doxygen >/dev/null || { echo "skipped: no doxygen here"; exit 77; }

warnings() {  # DOXYFILE
  doxygen "$1" 2>&1 >/dev/null | grep -v -E \
    -e '\(variable\) of (class|struct|union) .+ is not documented\.$' \
    -e 'operator==\(const .+\)=default \(friend\) of (class|struct) .+ is not documented\.$' \
    -e 'Member ([A-Za-z]+)\((const )?\1 &&?[a-z]*\)( noexcept)?(=[a-z]+)? \(function\) of class' \
    -e 'Member operator=\((const )?[A-Za-z]+ &&?[a-z]*\)( noexcept)?(=[a-z]+)? \(function\) of class' ||
    true
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
  Documented(Documented&& other) noexcept;
  Documented& operator=(const Documented&) = delete;
  int itself = 1;
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
for name in planted_function planted_member planted_reference planted_constructor PlantedStruct PlantedEnum \
  PlantedAlias planted_parameter; do
  echo "$found" | grep -q "$name" || { echo "doxygen.sh does not see $name"; exit 1; }
done
! echo "$found" | grep -E 'itself|operator==|&&' || { echo "doxygen.sh asks for too much"; exit 1; }

warnings=$(warnings "$1")
[ -z "$warnings" ] || { echo "$warnings"; exit 1; }
