#!/usr/bin/env bash
# Tests what scripts/setup.sh reports about tools that are too old: see --help.
set -euo pipefail

usage() {
    cat <<'TEXT'
Usage: test_setup.sh

Puts an old version of each tool first in PATH, one after the other, and expects setup.sh to fail and to name the
version found and the version needed. Installs and builds nothing.
TEXT
}

case ${1:-} in
--help | -h)
    usage
    exit
    ;;
esac

cd "$(dirname "${BASH_SOURCE[0]}")/.."
old=$(mktemp -d)
trap 'rm -rf "$old"' EXIT

failed=0
fail() {
    echo "test_setup.sh: $*" >&2
    failed=1
}

# expect COMMAND TEXT FOUND...: with a COMMAND whose version text is TEXT, setup.sh fails and prints each of FOUND.
expect() {
    local command=$1 text=$2 said
    shift 2
    printf '#!/bin/sh\necho "%s"\n' "$text" >"$old/$command"
    chmod +x "$old/$command"
    if said=$(PATH=$old:$PATH scripts/setup.sh 2>&1); then
        fail "setup.sh accepts a $command that says '$text'"
    fi
    for found in "$@"; do
        [[ $said == *"$found"* ]] || fail "with a $command that says '$text' it does not say '$found', but: $said"
    done
    rm "$old/$command"
}

# The installed tools are new enough.
scripts/setup.sh

rust=$(sed -n 's/^rust-version = "\(.*\)"$/\1/p' Cargo.toml)
expect cargo "cargo 1.70.0 (ec8a8a0ca 2023-04-25)" "cargo is 1.70.0 ($old/cargo), $rust or newer is needed"
expect rustc "rustc 1.9.0 (e4e8b6668 2016-05-18)" "rustc is 1.9.0" "$rust or newer is needed"
expect python3 "Python 3.10.13" "python3 is 3.10.13 ($old/python3), 3." "or newer is needed"
expect go "go version go1.22.12 linux/amd64" "go is 1.22.12" "1.24 or newer is needed"
expect go "go: cannot find GOROOT directory" "go does not tell its version, but 'go: cannot find GOROOT"
expect cmake "cmake version 3.10.2" "cmake is 3.10.2" "3.20 or newer is needed"
expect c++ "c++ (Ubuntu 7.5.0-3ubuntu1~18.04) 7.5.0" "c++ is 7.5.0" "9 or newer is needed"
expect c++ "c++ (GCC) 8.5.0 20210514 (Red Hat 8.5.0-4)" "c++ is 8.5.0" "9 or newer is needed"
expect c++ "Ubuntu clang version 6.0.0-1ubuntu2.1" "c++ is 6.0.0" "10 or newer is needed"
# setup.sh reports all problems at once.
printf '#!/bin/sh\necho "cmake version 3.5.1"\n' >"$old/cmake"
chmod +x "$old/cmake"
expect cargo "cargo 1.70.0" "cargo is 1.70.0" "cmake is 3.5.1"

((failed == 0)) || exit 1
echo "==> setup.sh names old tools: all passed"
