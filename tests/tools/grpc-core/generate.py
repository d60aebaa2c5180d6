#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes build.ninja, the public headers and grpc.pc for a static C-core.

  generate.py --source grpcio-1.85.1 --out work
  ninja -C work          -> work/lib/libgrpc.a, work/lib/pkgconfig/grpc.pc

The source is the unpacked archive of the Python package grpcio, which carries all of C-core. OpenSSL, c-ares and zlib are
the system's: their security updates then need no new build here.
"""
import argparse
import os
import pathlib
import re
import shutil
import sys

HERE = pathlib.Path(__file__).resolve().parent
INCLUDE = [
    ".",
    "include",
    "third_party/abseil-cpp",
    "third_party/address_sorting/include",
    "third_party/re2",
    "third_party/upb",
    "src/core/ext/upb-gen",
    "src/core/ext/upbdefs-gen",
    "third_party/utf8_range",
    "third_party/xxhash",
]
# Warnings are upstream's affair (-w). Sections let the linker drop what a program does not use. The path of the source is
# mapped away, so that the archive does not depend on where it was built.
FLAGS = (
    "-O2 -DNDEBUG -w -pthread -fPIC -fvisibility=hidden -ffunction-sections -fdata-sections -fno-wrapv"
    " -fstack-protector-strong -fstack-clash-protection -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2"
    " -DHAVE_CONFIG_H=1 -D__STDC_FORMAT_MACROS -DGRPC_NO_XDS -DGRPC_NO_RLS"
)
RULES = """ninja_required_version = 1.5
flags = {flags}
rule cxx
  command = {cxx} -std=c++17 -fno-exceptions $flags -MMD -MF $out.d -c $in -o $out
  depfile = $out.d
  deps = gcc
rule cc
  command = {cc} -std=gnu17 $flags -MMD -MF $out.d -c $in -o $out
  depfile = $out.d
  deps = gcc
rule ar
  command = rm -f $out && ar crsD $out @$out.rsp
  rspfile = $out.rsp
  rspfile_content = $in_newline
"""
# The name is Debian's, so that dependency('grpc') takes whichever comes first in PKG_CONFIG_PATH. The version is the
# core's: 29.0.0 is Debian's 1.51.1. GRPC_COMPAT_LOG_SHIM says that grpc_shim_set_log() is in the archive.
PKG_CONFIG = """prefix=${{pcfiledir}}/../..
libdir=${{prefix}}/lib
includedir=${{prefix}}/include
grpc_release={release}

Name: grpc
Description: gRPC C-core, static, with abseil, upb, re2, utf8_range and address_sorting inside
Version: {core}
Requires: openssl, libcares, zlib
Cflags: -I${{includedir}} -DGRPC_COMPAT_LOG_SHIM=1
Libs: -L${{libdir}} -lgrpc -l:libstdc++.a -lm -lrt -ldl -lpthread
"""


def source_files(source):
    """The files of our list, in the archive's order. A list that does not fit the archive is an error."""
    sys.path.insert(0, str(source / "src/python/grpcio"))
    import grpc_core_dependencies as archive  # comes with the archive: what the Python package compiles

    have = list(dict.fromkeys(archive.CORE_SOURCE_FILES))
    want = set((HERE / "sources.txt").read_text().split())
    extra = {"third_party/abseil-cpp/absl/log/initialize.cc"}  # for log_shim.cc; the Python package has its own way
    missing = [f for f in sorted(want - set(have)) if not (source / f).is_file()]
    if missing:
        sys.exit(f"sources.txt does not fit this archive, for example {missing[0]}: see README.md")
    return [f for f in have if f in want] + sorted((want - set(have)) | extra)


def object_name(path):
    return "obj/" + path.lstrip("/").replace("/", "_") + ".o"


def write_ninja(source, out, files, cc, cxx):
    flags = FLAGS + f" -ffile-prefix-map={source}=grpc " + " ".join(f"-I{source}/{i}" for i in INCLUDE)
    lines = [RULES.format(flags=flags, cc=cc, cxx=cxx)]
    for path in files + ["log_shim.cc"]:
        where = HERE / path if path == "log_shim.cc" else source / path
        rule = "cxx" if path.endswith(".cc") else "cc"
        lines.append(f"build {object_name(path)}: {rule} {where}\n")
    objects = " ".join(object_name(path) for path in files + ["log_shim.cc"])
    lines.append(f"build lib/libgrpc.a: ar {objects}\ndefault lib/libgrpc.a\n")
    (out / "build.ninja").write_text("".join(lines))


def main():
    args = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    args.add_argument("--source", required=True, type=pathlib.Path, help="unpacked grpcio source archive")
    args.add_argument("--out", required=True, type=pathlib.Path, help="build folder")
    args = args.parse_args()
    source, out = args.source.resolve(), args.out.resolve()
    version = (source / "src/core/lib/surface/version.cc").read_text()
    core = re.search(r'return "([\d.]+)"', version).group(1)
    files = source_files(source)
    import grpc_version  # beside grpc_core_dependencies

    (out / "lib/pkgconfig").mkdir(parents=True, exist_ok=True)
    write_ninja(source, out, files, os.environ.get("CC", "gcc"), os.environ.get("CXX", "g++"))
    shutil.copytree(source / "include/grpc", out / "include/grpc", dirs_exist_ok=True)
    pc = PKG_CONFIG.format(release=grpc_version.VERSION, core=core)
    (out / "lib/pkgconfig/grpc.pc").write_text(pc)
    print(f"core {core} of grpcio {grpc_version.VERSION}: {len(files) + 1} files")


if __name__ == "__main__":
    main()
