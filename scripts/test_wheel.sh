#!/usr/bin/env bash
# test_wheel.sh <bin folder> <site-packages>: build the wheel, install it beside the locked packages, use it from a
# folder without the sources.
set -euo pipefail
bin=$(cd "$1" && pwd)
site=$(cd "$2" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

"$bin/python" -m hatchling build --target wheel --directory "$work/dist" >/dev/null
"$bin/python" -m venv --without-pip "$work/venv"
"$bin/python" -m pip --disable-pip-version-check --python "$work/venv/bin/python" \
    install --quiet --no-deps --no-index "$work"/dist/*.whl
# A plain path entry: the locked packages are found, but the .pth file of the editable install is not followed.
echo "$site" >"$work/venv/lib/python3.11/site-packages/locked.pth"

cd "$work"
venv/bin/python -I - <<'PY'
import importlib.metadata
import pathlib

import micromoment
import micromoment.v1.scoring_pb2
import training

inside = pathlib.Path.cwd().resolve()
for package in (micromoment, training):
    folder = pathlib.Path(package.__file__).resolve().parent
    assert inside in folder.parents, f"{package.__name__} comes from {folder}, not from the wheel"
    assert (folder / "py.typed").exists(), f"{package.__name__} lacks py.typed"
assert importlib.metadata.version("micromoment") == micromoment.__version__
PY
venv/bin/micromoment --version
echo "wheel works: $(basename "$work"/dist/*.whl)"
