#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# run.sh ROOT BUILD CACHE SECONDS [target...]: builds the fuzz targets with clang and runs each for so many seconds. One line per
# target: executions, and line coverage of its own source files. A crash fails and its input is kept in BUILD/fuzz/found/<target>;
# so does a coverage below 70 %. The corpus grows in CACHE/fuzz/<target>.
set -euo pipefail

ROOT=$1 BUILD=$2/fuzz CACHE=$3/fuzz SECONDS_EACH=$4
shift 4
LEAST=70
[[ $SECONDS_EACH =~ ^[1-9][0-9]*$ ]] || { echo "fuzz: '$SECONDS_EACH' is not a number of seconds" >&2; exit 2; }

mapfile -t known < <(sed -n 's/^\([a-z]*\) .*/\1/p' "$ROOT/tests/fuzz/sources.txt" | sort -u)
targets=("$@")
[ ${#targets[@]} -gt 0 ] || targets=("${known[@]}")
for t in "${targets[@]}"; do
    grep -q "^$t " "$ROOT/tests/fuzz/sources.txt" || { echo "fuzz: no target '$t': one of ${known[*]}" >&2; exit 2; }
done

build() {
    mkdir -p "$BUILD"
    if [ ! -f "$BUILD/build.ninja" ]; then
        CC=clang meson setup "$BUILD" "$ROOT" -Db_sanitize=address,undefined -Db_lundef=false -Dfuzz=true >"$BUILD/setup.log" 2>&1 ||
            { tail -n 30 "$BUILD/setup.log" >&2; return 1; }
    fi
    ninja -C "$BUILD" "${targets[@]/#/tests/fuzz/fuzz_}" >"$BUILD/build.log" 2>&1 ||
        { grep -E -A 12 'FAILED|error' "$BUILD/build.log" >&2 || tail -n 40 "$BUILD/build.log" >&2; return 1; }
}

# The percentage of lines of the target's own files that its corpus reaches; per file in coverage.txt.
coverage() { # target, folders...
    local target=$1 work=$BUILD/work/$1 program=$BUILD/tests/fuzz/fuzz_$1
    shift
    LLVM_PROFILE_FILE=$work/replay.profraw "$program" -runs=0 -rss_limit_mb=4096 "$@" >"$work/replay.log" 2>&1 || return 1
    llvm-profdata merge -sparse "$work/replay.profraw" -o "$work/replay.profdata" || return 1
    /usr/bin/python3 "$ROOT/tests/fuzz/coverage.py" "$ROOT" "$target" "$program" "$work/replay.profdata" "$work/coverage.txt" "$work/lines.txt"
}

run() { # target
    local target=$1 work=$BUILD/work/$1 corpus=$CACHE/$1 found=$BUILD/found/$1 seeds=$ROOT/tests/data/fuzz/$1 rc=0 executions percent
    local options=(-timeout=10 -rss_limit_mb=2048 -print_final_stats=1 -artifact_prefix="$found/" -max_total_time="$SECONDS_EACH")
    [ ! -f "$ROOT/tests/fuzz/$target.dict" ] || options+=(-dict="$ROOT/tests/fuzz/$target.dict")
    mkdir -p "$work" "$corpus" "$found"
    LLVM_PROFILE_FILE=/dev/null "$BUILD/tests/fuzz/fuzz_$target" "${options[@]}" "$corpus" "$seeds" >"$work/run.log" 2>&1 || rc=$?
    executions=$(sed -n 's/^stat::number_of_executed_units: *//p' "$work/run.log")
    if [ "$rc" != 0 ]; then
        printf '%-10s CRASHED  %s\n' "$target" "$(grep -E '^broken: |ERROR: |runtime error: ' "$work/run.log" | head -n 1)"
        printf '           input: %s   log: %s\n' "$(grep -oE "Test unit written to .*" "$work/run.log" | tail -n 1 | sed 's/.* to //')" "$work/run.log"
        return 1
    fi
    percent=$(coverage "$target" "$corpus" "$seeds") || { printf '%-10s the replay of the corpus failed: %s\n' "$target" "$work/replay.log"; return 1; }
    if awk -v p="${percent:-0}" -v least=$LEAST 'BEGIN { exit p >= least }'; then
        printf '%-10s %12s executions  %6.2f %% of lines: less than %s %%, see %s\n' "$target" "${executions:-0}" "${percent:-0}" $LEAST "$work/coverage.txt"
        return 1
    fi
    printf '%-10s %12s executions  %6.2f %% of lines\n' "$target" "${executions:-0}" "$percent"
}

build
failed=0
for t in "${targets[@]}"; do
    run "$t" || failed=$((failed + 1))
done
printf '%s targets, %s failed\n' "${#targets[@]}" "$failed"
[ "$failed" = 0 ]
