#!/usr/bin/env bash
# make_venv.sh <folder> [python]: make a virtual environment of Python 3.11, the version that the lock is for.
set -euo pipefail
venv=$1
shift
candidates=("$@")
[ $# -gt 0 ] || candidates=(python3.11 python3 python)

is_311() { "$1" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' >/dev/null 2>&1; }

for candidate in "${candidates[@]}"; do
    if is_311 "$candidate"; then
        exec "$candidate" -m venv --clear "$venv"
    fi
done
echo "error: no working Python 3.11 found (tried: ${candidates[*]});" \
    "install one, or name it: make setup PYTHON=/path/to/python3.11" >&2
exit 1
