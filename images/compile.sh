#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# compile.sh SOURCE OUT REVISION TARGET...: release builds with LTO, stripped, on the static C-core of /opt/grpc-core. Equal
# sources give equal bytes, wherever they lie.
set -eu
source=$1 out=$2 revision=$3
shift 3
export CC='ccache gcc' CCACHE_DIR=/var/cache/ccache CCACHE_COMPILERCHECK=content CCACHE_NOHASHDIR=1
export CFLAGS="-ffile-prefix-map=$source=." SOURCE_DATE_EPOCH="${SOURCE_DATE_EPOCH:-0}"
cd "$source"
meson setup /build --buildtype=release -Db_lto=true -Dtests=false -Dpkg_config_path=/opt/grpc-core/lib/pkgconfig -Dcommit="$revision"
ninja -C /build "$@"
mkdir -p "$out"
for target; do
    strip --strip-all -o "$out/${target##*/}" "/build/$target"
done
