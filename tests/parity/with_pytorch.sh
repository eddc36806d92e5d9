#!/bin/sh
# Runs a Python script with an interpreter that has PyTorch, Debian's first; exit 77 without one.
#   with_pytorch.sh SCRIPT [ARGUMENT ...]
set -eu
for python in /usr/bin/python3 python3; do
  if "$python" -c 'import torch' 2>/dev/null; then
    exec "$python" "$@"
  fi
done
echo "skipped: no python3 here has PyTorch (Debian: python3-torch)"
exit 77
