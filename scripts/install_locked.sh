#!/usr/bin/env bash
# install_locked.sh <bin folder> <requirements file> [uv]: install hash-locked requirements, nothing beyond them.
# uv takes a quarter of pip's time, but knows pip's settings only as far as they are handed over here;
# where it fails, pip does the same work from its own settings. It is locked among the requirements, or given.
set -euo pipefail
bin=$1
requirements=$2
uv=${3:-}
pip=("$bin/python" -m pip --disable-pip-version-check)
only_these=(--quiet --no-deps --require-hashes)

install_uv() {
    [ -z "$uv" ] || return 0
    uv=$bin/uv
    local pin
    pin=$(mktemp)
    awk '/^uv==/ {found = 1} found {print} found && !/\\$/ {exit}' "$requirements" >"$pin"
    "${pip[@]}" install "${only_these[@]}" --requirement "$pin"
    rm -f "$pin"
}

pip_setting() { "${pip[@]}" config list | sed -nE "s/^(global|install|:env:)\.$1='(.*)'\$/\2/p" | tail -n 1; }

install_with_uv() {
    local index cert
    index=$(pip_setting index-url)
    cert=$(pip_setting cert)
    [ -z "$index" ] || export UV_DEFAULT_INDEX=${UV_DEFAULT_INDEX:-$index}
    [ -z "$cert" ] || export SSL_CERT_FILE=${SSL_CERT_FILE:-$cert}
    # An unreachable index must cost seconds, not minutes, before pip takes over.
    UV_HTTP_RETRIES=${UV_HTTP_RETRIES:-2} UV_HTTP_TIMEOUT=${UV_HTTP_TIMEOUT:-15} \
        "$uv" pip install --python "$bin/python" --compile-bytecode "${only_these[@]}" --requirement "$requirements"
}

echo "installing $requirements"
if ! { install_uv && install_with_uv; }; then
    echo "uv could not install them; trying pip" >&2
    "${pip[@]}" install "${only_these[@]}" --requirement "$requirements"
fi
