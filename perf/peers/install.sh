#!/bin/sh
# Installs the peers from PyPI into a virtual environment, build/peers or the folder given.
#   perf/peers/install.sh [FOLDER]
set -eu
here=$(dirname "$0")
peers=${1:-$here/../../build/peers}
python3 -m venv "$peers"
"$peers/bin/pip" install -r "$here/requirements.txt"
"$peers/bin/pip" install --no-deps --prefix "$peers/onednn-openmp" \
  -r "$here/requirements-openmp.txt"
ln -sfn . "$peers/onednn-sycl"
