#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Checks that a compiler does not make: format, banned calls, sizes, licence lines, shell scripts, generated documents.
# Every check runs; the exit code says whether any found something.
# shellcheck disable=SC2317  # the checks are called by name
set -uo pipefail
ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
cd "$ROOT" || exit 1
rc=0
checks=0

check() { # check NAME COMMAND...: fails when the command fails or prints something
    local name=$1 out
    shift
    checks=$((checks + 1))
    out=$("$@" 2>&1)
    local status=$?
    if [ $status -ne 0 ] || [ -n "$out" ]; then
        printf 'lint: %s\n' "$name"
        printf '%s\n' "$out" | head -n 40 | sed 's/^/    /'
        rc=1
    fi
}

c_files() { git ls-files '*.c' '*.h' '*.inc'; }
sources() { git ls-files '*.c' '*.h' '*.py' '*.sh' dev .ci/run | grep -v '^tests/data/'; }

format() { git ls-files -z '*.c' '*.h' | xargs -0 clang-format --dry-run -Werror 2>&1 | grep -E 'error:' | cut -d: -f1,2 | sort -u | head -n 20; return 0; }

# Calls that have a safe form here: bounded strings (str.h), total parsers (str_to_*), reentrant time, mem_*.
banned() {
    c_files | grep -v -E '^common/base/(mem|secret)\.' |
        xargs grep -nE '(^|[^a-zA-Z0-9_>.])(strcpy|strcat|sprintf|vsprintf|strtok|gets|atoi|atol|atoll|atof|sscanf|localtime|gmtime|ctime|asctime|strerror|rand|srand|tmpnam|mktemp|alloca|malloc|calloc|realloc|strdup|strndup|asprintf|usleep|sleep)\(' |
        grep -v -E '^(tests/|common/base/fault\.c|common/net/rpc_loop\.c)' | grep -v -E ':\s*(/?\*|//)'
    return 0
}

licences() { sources | while IFS= read -r f; do head -n 3 "$f" | grep -q 'SPDX-License-Identifier: Apache-2.0' || echo "$f has no licence line"; done; }

sizes() { sources | while IFS= read -r f; do n=$(wc -l <"$f"); [ "$n" -le 600 ] || echo "$f has $n lines (600 at most: split by idea)"; done; }

functions() {
    # a table of cases inside a test may be longer
    c_files | grep -v '^tests/' | ctags -L - --fields=+ne --c-kinds=f -f - 2>/dev/null |
        awk -F'\t' '{l=0;e=0;for(i=4;i<=NF;i++){if($i~/^line:/)l=substr($i,6);if($i~/^end:/)e=substr($i,5)} if(e-l+1>60)print $2": "$1" has "e-l+1" lines (60 at most)"}'
}

# A folder includes only what stands before it; sidecar and controller never include each other.
layers() {
    local order=(base chain schedule conf policy media pipe net store sql restore) i j
    for i in "${!order[@]}"; do
        [ -d "common/${order[$i]}" ] || continue
        for ((j = i + 1; j < ${#order[@]}; j++)); do
            grep -rnE "#include \"common/${order[$j]}/" "common/${order[$i]}" --include='*.c' --include='*.h'
        done
    done
    grep -rnE '#include "(sidecar|controller|cli|tests)/' common --include='*.c' --include='*.h'
    grep -rnE '#include "(controller|cli|tests)/' sidecar --include='*.c' --include='*.h'
    grep -rnE '#include "(controller|sidecar|tests)/' cli --include='*.c' --include='*.h'
    grep -rnE '#include "(sidecar|cli|tests)/' controller --include='*.c' --include='*.h'
    return 0
}

unfinished() { git grep -nIE '(TODO|FIXME|XXX)[: (]' -- . ':!tests/tools/lint.sh' ':!tests/data' ':!tests/unit/schedule'; return 0; }

shell() { git ls-files -z '*.sh' dev .ci/run tests/kube/cluster/cluster | xargs -0 shellcheck; }

python_syntax() { git ls-files -z '*.py' | xargs -0 /usr/bin/python3 -c 'import ast,pathlib,sys
for f in sys.argv[1:]:
    ast.parse(pathlib.Path(f).read_text(encoding="utf-8"), f)'; }

check 'format (./dev format mends it)' format
check 'banned calls' banned
check 'licence lines' licences
check 'file sizes' sizes
check 'function sizes' functions
check 'layers' layers
check 'global functions' /usr/bin/python3 tests/tools/check_globals.py
check 'unfinished work' unfinished
check 'shell scripts' shell
check 'python syntax' python_syntax
if [ $rc = 0 ]; then echo "lint: $checks checks, nothing found"; fi
exit $rc
