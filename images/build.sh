#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# build.sh CACHE NAME...: builds images (sidecar, controller, sqlsim) with buildah and prints the archive of each, one per line.
# --twice NAME...: builds each a second time elsewhere and compares the layers.
# An image is built again only when something that it is made of has changed; what is not needed any more is removed.
# docs/internals/images.md explains it. It needs root: buildah runs without a daemon and without containers of its own.
set -euo pipefail
ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
CACHE=${1:?usage: build.sh CACHE NAME...}
shift
STORE=$CACHE/images
ARCHIVES=$STORE/archives
KEEP=3 # archives of an image: other working copies have theirs in the same cache
export CONTAINERS_STORAGE_CONF=$STORE/storage.conf BUILDAH_ISOLATION=chroot TMPDIR=$STORE/tmp

say() { printf '\033[1m==> %s\033[0m\n' "$*" >&2; }
die() { printf 'images: %s\n' "$*" >&2; exit 1; }

# The repositories that this machine installs from, as lines of sources.list.
repositories() {
    # shellcheck disable=SC2016 # apt's own variables
    apt-get indextargets --format '$(REPO_URI) $(RELEASE) $(COMPONENT)' 'Created-By: Packages' 'Origin: Debian' |
        sort -u | awk '{print "deb", $1, $2, $3}'
}

# A base that stands in for the public image: the same packages, made here, because the machine may have no registry.
base() {
    local key root=$STORE/base container mirror
    key=$({ repositories; sed -n '/^base()/,/^}/p' "$0"; } | sha256sum | cut -c1-16)
    [ "$(cat "$STORE/base.key" 2>/dev/null)" = "$key" ] && buildah images -q docker.io/library/debian:12-slim >/dev/null 2>&1 && return 0
    say "making a Debian 12 base, once (two minutes)"
    mirror=$(repositories | awk '$3 == "bookworm" && $4 == "main" {print $2; exit}')
    rm -rf "$root"
    debootstrap --variant=minbase --include=ca-certificates bookworm "$root" "$mirror" >"$STORE/base.log" 2>&1 ||
        { tail -n 20 "$STORE/base.log" >&2; die "debootstrap failed ($STORE/base.log)"; }
    repositories >"$root/etc/apt/sources.list"
    cp -r /etc/apt/apt.conf.d/99* "$root/etc/apt/apt.conf.d/" 2>/dev/null || true
    container=$(buildah from scratch)
    buildah copy -q "$container" "$root" / >/dev/null
    buildah commit -q --rm "$container" docker.io/library/debian:12-slim >/dev/null
    rm -rf "$root"
    printf '%s\n' "$key" >"$STORE/base.key"
}

# What an image is made of, inside the repository.
sources() {
    case $1 in
        sqlsim) printf '%s\n' images/sqlsim tests/sqlsim ;;
        *) printf '%s\n' "images/$1" images/compile.sh images/rootfs.sh meson.build meson_options.txt LICENSE proto common sidecar cli controller ;;
    esac
}

# One word for all that goes into an image: contents, names and modes, not dates.
key_of() {
    (
        cd "$ROOT"
        cat "$STORE/base.key"
        sources "$1" | while read -r path; do
            find "$path" -type f ! -path '*/__pycache__/*' -printf '%m %p\n'
        done | LC_ALL=C sort -k2 | while read -r mode path; do
            printf '%s %s ' "$(((8#$mode & 8#100) != 0))" "$path"
            sha256sum <"$path"
        done
        case $1 in sqlsim) ;; *) cat "$CORE/.complete" ;; esac
    ) | sha256sum | cut -c1-16
}

build() { # NAME OPTIONS...
    local name=$1 log=$STORE/$1.log
    shift
    buildah build --pull=never --network=host --layers --timestamp 0 ${CORE:+--build-context "grpc-core=$CORE"} \
        -f "$ROOT/images/$name/Containerfile" "$@" "$ROOT" >>"$log" 2>&1 ||
        { grep -E -A 8 'error|Error|FAILED|^E:' "$log" | head -n 40 >&2; die "the image $name could not be built ($log)"; }
}

image() {
    local name=$1 key archive tag log=$STORE/$1.log began=$SECONDS
    key=$(key_of "$name")
    archive=$ARCHIVES/$name-$key.tar
    tag=localhost/mssql-$name:dev
    if [ ! -f "$archive" ]; then
        say "building the image $name"
        : >"$log"
        # its packages get a name, so that only what depends on the sources is thrown away below
        build "$name" --target tools -t "localhost/mssql-$name:tools"
        build "$name" -t "$tag"
        rm -f "$archive.part"
        buildah push -q "$tag" "oci-archive:$archive.part:$tag" >>"$log" 2>&1 || die "the image $name could not be written ($log)"
        mv "$archive.part" "$archive"
        buildah rmi --prune >>"$log" 2>&1 || true
        say "$tag: $(size_of "$archive"), built in $((SECONDS - began)) s"
    fi
    touch "$archive"
    find "$ARCHIVES" -name "$name-*.tar" -printf '%T@ %p\n' | sort -rn | tail -n +$((KEEP + 1)) | cut -d' ' -f2- | xargs -r rm -f
    printf '%s\n' "$archive"
}

size_of() {
    /usr/bin/python3 - "$1" <<'PYTHON'
import gzip, json, sys, tarfile
with tarfile.open(sys.argv[1]) as archive:
    blob = lambda digest: archive.extractfile("blobs/sha256/" + digest.split(":")[1]).read()
    index = json.load(archive.extractfile("index.json"))
    layers = json.loads(blob(index["manifests"][0]["digest"]))["layers"]
    data = [blob(layer["digest"]) for layer in layers]
    plain = sum(len(gzip.decompress(d)) if d[:2] == b"\x1f\x8b" else len(d) for d in data)
    print(f"{plain / 1e6:.1f} MB, {sum(map(len, data)) / 1e6:.1f} MB compressed")
PYTHON
}

# The same image from a copy of the sources in another folder, without any cache but the packages: the layers must be equal.
twice() {
    local name=$1 folder log=$STORE/$1.again.log one two
    one=$(image "$name")
    one=$(layers "$one")
    folder=$(mktemp -d "$STORE/again.XXXXXX")
    mkdir "$folder/source" "$folder/tmp"
    (cd "$ROOT" && sources "$name" | xargs -I{} cp --parents -r {} "$folder/source")
    say "building the image $name again, in another folder"
    TMPDIR=$folder/tmp buildah build --pull=never --network=host --layers=false --timestamp 0 --from "localhost/mssql-$name:tools" \
        ${CORE:+--build-context "grpc-core=$CORE"} -f "$folder/source/images/$name/Containerfile" -t "localhost/mssql-$name:again" \
        "$folder/source" >"$log" 2>&1 || { tail -n 20 "$log" >&2; die "the image $name could not be built again ($log)"; }
    two=$(buildah inspect --type image --format '{{range .OCIv1.RootFS.DiffIDs}}{{.}} {{end}}' "localhost/mssql-$name:again")
    two=${two% }
    buildah rmi "localhost/mssql-$name:again" >>"$log" 2>&1
    rm -rf "$folder"
    [ "$one" = "$two" ] || die "the layers of $name differ: $one and $two"
    say "$name: equal layers, $one"
}

layers() { # ARCHIVE
    /usr/bin/python3 - "$1" <<'PYTHON'
import json, sys, tarfile
with tarfile.open(sys.argv[1]) as archive:
    blob = lambda digest: json.load(archive.extractfile("blobs/sha256/" + digest.split(":")[1]))
    manifest = blob(json.load(archive.extractfile("index.json"))["manifests"][0]["digest"])
    print(*blob(manifest["config"]["digest"])["rootfs"]["diff_ids"])
PYTHON
}

what=image
[ "${1:-}" != --twice ] || { what=twice; shift; }
[ $# -gt 0 ] || die "which image? sidecar, controller, sqlsim"
[ "$(id -u)" = 0 ] || die "needs root"
mkdir -p "$ARCHIVES" "$STORE/tmp"
exec 9>"$STORE/lock"
flock 9 # one storage: one build at a time
cat >"$CONTAINERS_STORAGE_CONF" <<EOF
[storage]
driver = "overlay"
graphroot = "$STORE/storage"
runroot = "$STORE/run"
EOF
base
CORE=
for name; do
    [ -f "$ROOT/images/$name/Containerfile" ] || die "no such image: $name"
    [ "$name" = sqlsim ] || [ -n "$CORE" ] || CORE=$(bash "$ROOT/tests/tools/grpc-core/build.sh" "$CACHE")
done
for name; do $what "$name"; done
