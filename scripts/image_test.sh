#!/usr/bin/env bash
# image_test.sh <bin folder>: build the image without a daemon and without a registry, run it as strictly as
# docs/operations.md says, check what it promises. Needs root, Debian and a package index.
# The base and the wheels stay in build/image, which makes the next run quicker; KEEP=1 keeps the rest until then.
# FORMS are the Dockerfile's that are built, "base http" unless given; with TRAINING=1 deploy/training.Dockerfile is, too.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
bin=$(cd "$1" && pwd)
kept=$PWD/build/image
base=$kept/base.tar
forms=${FORMS:-base http}
wheels=$kept/wheels

say() { printf '%s  %s\n' "$(date +%H:%M:%S)" "$*"; }

fail() {
    echo "error: $*" >&2
    exit 1
}

clean_up() {
    local status=$?
    if [ "${KEEP:-}" = 1 ]; then
        say "kept in $work"
    elif grep -qF " $work/" /proc/self/mountinfo; then
        echo "left in place, because something is still mounted there: $work" >&2
    else
        rm -rf --one-file-system "$work"
    fi
    exit "$status"
}

# logged <seconds> <name> <command> ...: what it writes is shown when it fails or takes longer.
logged() {
    local seconds=$1 log=$work/$2.log
    shift 2
    timeout --kill-after=10 "$seconds" "$@" >"$log" 2>&1 </dev/null || {
        tail -n 40 "$log" >&2
        fail "failed, or took longer than $seconds s: $*"
    }
}

# build <seconds> <name> <buildah's arguments>: in mounts of its own, so that none outlives it.
build() {
    local seconds=$1 name=$2
    shift 2
    logged "$seconds" "$name" unshare --mount --propagation private \
        buildah --storage-driver vfs --root "$work/storage" --runroot "$work/run" "$@"
}

# install_tools <command>=<package> ...: with apt-get, those that are missing.
install_tools() {
    local pair missing=()
    for pair in "$@"; do
        command -v "${pair%=*}" >/dev/null || missing+=("${pair#*=}")
    done
    [ ${#missing[@]} -gt 0 ] || return 0
    say "install with apt-get: ${missing[*]}"
    logged 300 apt-update apt-get update -qq
    logged 600 apt-install env DEBIAN_FRONTEND=noninteractive \
        apt-get install -qq --yes --no-install-recommends "${missing[@]}"
}

make_base() {
    [ ! -f "$base" ] || return 0
    say "make the base: Debian 12 with Python, as the Dockerfile's BASE"
    local sources=/etc/apt/sources.list.d/debian.sources origin=()
    # This machine's mirror, where it is one of Debian 12.
    if [ -f "$sources" ] && grep -q '^Suites:.*\<bookworm\>' "$sources"; then origin=("$sources"); fi
    # shellcheck disable=SC2016 # mmdebstrap gives the hook its $1
    logged 900 base mmdebstrap --variant=minbase --include=python3,python3-venv,libgomp1,ca-certificates \
        --customize-hook='rm -rf "$1"/etc/apt/sources.list "$1"/etc/apt/sources.list.d/*' \
        bookworm "$work/base.tar" "${origin[@]}"
    mv "$work/base.tar" "$base"
}

fetch_wheels() {
    say "fetch wheels"
    mkdir -p "$wheels"
    awk "/^[^ #]/ {keep = $(grep -o '/^(hatchling.*==/' Dockerfile)} keep" requirements/dev.txt >"$work/tools.txt"
    local lock locks=("$work/tools.txt")
    for lock in $forms; do locks+=("requirements/$lock.txt"); done
    [ "${TRAINING:-}" != 1 ] || locks+=(requirements/training.txt)
    for lock in "${locks[@]}"; do
        logged 900 wheels "$bin/python" -m pip --disable-pip-version-check download --no-deps --require-hashes \
            --only-binary :all: --dest "$wheels" --find-links "$wheels" --requirement "$lock"
    done
    printf '[global]\nno-index = true\nfind-links = /wheels\n' >"$work/pip.conf"
}

make_storage() {
    export BUILDAH_ISOLATION=chroot
    mkdir "$work/tmp"
    build 60 from from --name base scratch
    build 300 add add base "$base" /
    build 300 commit commit --rm base localhost/micromoment-base
}

# build_image <name> <buildah's arguments>: from the checkout, with wheels and base at hand.
build_image() {
    local name=$1
    shift
    say "build the image $name"
    TMPDIR=$work/tmp build 2400 "image-$name" bud --pull-never --format docker --tag "localhost/$name" \
        --build-arg BASE=localhost/micromoment-base --secret "id=pip.conf,src=$work/pip.conf" \
        --volume "$wheels:/wheels:ro" "$@" .
    TMPDIR=$work/tmp build 60 "inspected-$name" inspect --type image "localhost/$name"
}

unpack_image() {
    local name=$1
    logged 600 copy skopeo copy --quiet \
        "containers-storage:[vfs@$work/storage+$work/run]localhost/$name" "oci:$work/oci-$name:image"
    logged 600 unpack umoci unpack --image "$work/oci-$name:image" "$work/$name"
    say "$(du -sm "$work/oci-$name" | cut -f1) MB compressed, $(du -sm "$work/$name/rootfs" | cut -f1) MB unpacked"
    rm -rf --one-file-system "$work/oci-$name"
}

train_bundle() {
    say "train a bundle on a simulated shop"
    local micromoment=$bin/micromoment shop=$work/shop
    export BENTOML_HOME=$work/bentoml BENTOML_DO_NOT_TRACK=True
    logged 300 simulate "$micromoment" simulate --out "$shop/export" --days 6 --sessions-per-day 1000
    logged 300 import "$micromoment" import ga4 "$shop/export/events_*.parquet" --out "$shop/events" --currency USD
    logged 600 train "$micromoment" train --events "$shop/events" --features "$shop/features" --store "$shop/bundles"
}

[ "$(id -u)" = 0 ] || fail "only root can build and run containers without a daemon"
mkdir -p "$kept"
exec 9>"$kept/lock"
flock --nonblock 9 || fail "another run is under way"
rm -rf --one-file-system "$kept"/work.*
work=$(mktemp -d "$kept/work.XXXXXX")
trap clean_up EXIT

install_tools buildah=buildah skopeo=skopeo umoci=umoci runc=runc mmdebstrap=mmdebstrap nsenter=util-linux
make_base
fetch_wheels
make_storage
train_bundle
for form in $forms; do
    build_image "$form" --build-arg "FORM=$form"
    unpack_image "$form"
    say "check it"
    timeout --kill-after=30 900 "$bin/python" -m tests.image.checks --form "$form" --unpacked "$work/$form" \
        --inspected "$work/inspected-$form.log" --bundles "$work/shop/bundles" --features "$work/shop/features" \
        --work "$work/containers-$form" --grpcurl "$bin/grpcurl"
done
if [ "${TRAINING:-}" = 1 ]; then
    build_image training --file deploy/training.Dockerfile
    unpack_image training
    say "check it"
    timeout --kill-after=30 900 "$bin/python" -m tests.image.checks --form training --unpacked "$work/training" \
        --inspected "$work/inspected-training.log" --bundles "$work/shop/bundles" --features "$work/shop/features" \
        --work "$work/containers-training" --grpcurl "$bin/grpcurl"
fi
say "the image keeps its promises"
