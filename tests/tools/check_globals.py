#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Names global functions that only their own file uses: they should be static, or they are dead.

The compiler already refuses a global function without a declaration (-Wmissing-prototypes). This finds the ones whose
declaration in a header nobody needs. Use by a test counts: a header may be there for it.
"""
import collections
import pathlib
import re
import subprocess
import sys

PRODUCT = ("common/", "sidecar/", "cli/", "controller/")
KEPT = {
    "service_get_status": "one of the handlers, which are declared together",
    "store_caps": "part of the interface that all stores have",
}
NOT_CODE = re.compile(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"', re.S)
WORD = re.compile(r"[A-Za-z_]\w*")


def words(path):
    return collections.Counter(WORD.findall(NOT_CODE.sub(" ", path.read_text(encoding="utf-8"))))


def definitions(files):
    """(name, file) of each function that is not static."""
    listed = subprocess.run(
        ["ctags", "-L", "-", "--c-kinds=f", "--fields=+f", "--extras=-F", "-f", "-"],
        input="\n".join(files), capture_output=True, text=True, check=True,
    ).stdout
    for line in listed.splitlines():
        name, file, *rest = line.split("\t")
        if file.endswith(".c") and "file:" not in rest and name != "main":
            yield name, file


def main():
    listed = subprocess.run(["git", "ls-files", "*.c", "*.h", "*.inc"], capture_output=True, text=True, check=True)
    files = [f for f in listed.stdout.split() if pathlib.Path(f).is_file()]
    sources = collections.Counter()  # how many .c files know the word
    headers = collections.Counter()  # how often headers say it: once is the declaration
    for file in files:
        found = words(pathlib.Path(file))
        if file.endswith(".h"):
            headers.update(found)
        else:
            sources.update(found.keys())
    bad = 0
    for name, file in definitions([f for f in files if f.startswith(PRODUCT)]):
        if name not in KEPT and sources[name] < 2 and headers[name] < 2:
            print(f"{file}: {name}() is used by no other file: static, or dead")
            bad = 1
    return bad


if __name__ == "__main__":
    sys.exit(main())
