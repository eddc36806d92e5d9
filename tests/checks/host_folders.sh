# Sourced by checks that compile every folder of host/ as one file.

# BUILD_DIR WORK: writes WORK/NAME.cpp, which includes a folder's files, NAME.flags, the definitions
# and include paths of one of them, and compile_commands.json; prints the names. Fails where the
# build has no such files.
host_folders() {
  separator='['
  for folder in host/*/; do
    name=$(basename "$folder")
    find "${folder%/}" -name '*.cpp' | sort | sed 's,.*,#include "&",' >"$2/$name.cpp"
    first=$(sed -n '1s/.*"\(.*\)".*/\1/p' "$2/$name.cpp")
    flags=$(grep "\"command\".* -c [^ ]*/$first\"" "$1/compile_commands.json" | head -1 |
      grep -oE ' (-D|-I|-isystem )[^ ]*' | tr '\n' ' ')
    [ -n "$flags" ] || return 1
    printf '%s' "$flags" | sed 's/\\"/"/g; s/\\\\/\\/g' >"$2/$name.flags"
    printf '%s{"directory": "%s", "file": "%s", "command": "c++ -std=c++20 -I. %s -c %s"}\n' \
      "$separator" "$PWD" "$2/$name.cpp" "$flags" "$2/$name.cpp" >>"$2/compile_commands.json"
    separator=,
    echo "$name"
  done
  echo ']' >>"$2/compile_commands.json"
}
