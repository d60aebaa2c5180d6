#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# build.sh CACHE: prints the folder of a static gRPC C-core (include/, lib/libgrpc.a, lib/pkgconfig/grpc.pc). Builds it when
# it is not there: about 20 minutes of CPU, once per release of the core, recipe and compiler. An interrupted build goes on
# where it was. GRPC_CORE_ARCHIVE names an archive that was fetched before; GRPC_CORE_JOBS limits the compilers.
set -euo pipefail
RELEASE=1.85.1
SHA256=5f530287d5de5f7f66089ead81de44f6787162944dab3922efa65dfdff108a1d
HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
CACHE=${1:?usage: build.sh CACHE}
NAME=grpcio-$RELEASE
ARCHIVE=$CACHE/$NAME.tar.gz
OUT=$CACHE/grpc-core-$RELEASE
WORK=$OUT.work
PYTHON=/usr/bin/python3

say() { printf '\033[1m==> %s\033[0m\n' "$*" >&2; }
die() { printf 'grpc-core: %s\n' "$*" >&2; exit 1; }

# What the archive depends on. Another recipe or compiler makes a new one.
recipe() {
    { printf '%s\n' "$RELEASE" "$SHA256"; cat "$HERE/generate.py" "$HERE/sources.txt" "$HERE/log_shim.cc"
      "${CXX:-g++}" --version; uname -m; } | sha256sum | cut -d' ' -f1
}

verified() { [ -f "$1" ] && printf '%s  %s\n' "$SHA256" "$1" | sha256sum --check --status; }

fetch() {
    verified "$ARCHIVE" && return 0
    rm -f "$ARCHIVE"
    local from=${GRPC_CORE_ARCHIVE:-}
    if [ -z "$from" ]; then
        # pip knows the index, the proxy and the certificates of this machine. It also asks the package for its metadata,
        # which takes minutes; there is no option against that.
        say "fetching $NAME.tar.gz"
        "$PYTHON" -m venv "$WORK.venv"
        "$WORK.venv/bin/pip" download -q --disable-pip-version-check --no-deps --no-binary :all: -d "$WORK.fetch" \
            "grpcio==$RELEASE" >"$WORK.log" 2>&1 || { tail -n 20 "$WORK.log" >&2; die "could not fetch $NAME.tar.gz"; }
        from=$WORK.fetch/$NAME.tar.gz
    fi
    verified "$from" || die "$from is not the archive that was reviewed: its SHA-256 is not $SHA256"
    cp "$from" "$ARCHIVE.part" && mv "$ARCHIVE.part" "$ARCHIVE"
    rm -rf "$WORK.venv" "$WORK.fetch" "$WORK.log"
}

unpack() { # the folder gets its name when it is complete
    [ -d "$WORK/$NAME" ] && return 0
    rm -rf "$WORK" && mkdir -p "$WORK/part"
    tar -xzf "$ARCHIVE" -C "$WORK/part"
    mv "$WORK/part/$NAME" "$WORK/$NAME"
}

build() {
    say "building gRPC C-core $RELEASE, once (about 10 minutes on two cores)"
    PYTHONDONTWRITEBYTECODE=1 "$PYTHON" "$HERE/generate.py" --source "$WORK/$NAME" --out "$WORK/build" >&2
    local log=$WORK/build.log
    nice -n 19 ninja -C "$WORK/build" -j "${GRPC_CORE_JOBS:-$(nproc)}" >"$log" 2>&1 || {
        grep -E -A 12 'FAILED|error:' "$log" | head -n 40 >&2
        die "build failed ($log)"
    }
    rm -rf "$OUT" && mkdir -p "$OUT/lib"
    mv "$WORK/build/include" "$OUT/"
    mv "$WORK/build/lib/libgrpc.a" "$WORK/build/lib/pkgconfig" "$OUT/lib/"
}

key=$(recipe)
mkdir -p "$CACHE"
exec 9>"$OUT.lock"
flock 9 # two builds at once would mix their objects
if [ "$(cat "$OUT/.complete" 2>/dev/null || true)" != "$key" ]; then
    fetch
    unpack
    build
    printf '%s\n' "$key" >"$OUT/.complete"
    rm -rf "$WORK"
fi
printf '%s\n' "$OUT"
