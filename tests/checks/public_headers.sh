#!/bin/sh
# Every public header compiles alone, needs no other folder of this project, includes nothing of
# CUDA, and is in curvseg.hpp. Usage: public_headers.sh CXX INCLUDE_DIR
set -eu
cxx=$1
include=$2

status=0
for header in "$include"/curvseg/*.hpp; do
  name=curvseg/$(basename "$header")
  echo "#include \"$name\"" |
    "$cxx" -std=c++20 -Wall -Wextra -Wshadow -Wpedantic -Werror -fsyntax-only -I "$include" -x c++ - ||
    { echo "$name does not compile alone"; status=1; }
  if grep -n -E '#include *[<"](cuda|cublas|cusolver|nlohmann|spdlog|fmt|CLI)' "$header"; then
    echo "$name includes a header of a private dependency"
    status=1
  fi
  [ "$name" = curvseg/curvseg.hpp ] || grep -q "\"$name\"" "$include/curvseg/curvseg.hpp" ||
    { echo "curvseg/curvseg.hpp does not include $name"; status=1; }
done
exit $status
