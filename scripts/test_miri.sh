#!/usr/bin/env bash
# The core's tests that need no kernel, under Miri: see --help.
set -euo pipefail

usage() {
    cat <<'TEXT'
Usage: test_miri.sh [--optional] [FILTER...]

Runs the core's unit tests under Miri, with stacked borrows: layout, names, errors, heartbeat, the mailbox and the queue, and
whole segments on the heap that two threads use. Miri finds accesses outside of what a pointer was made for, uninitialized
memory, and data races. FILTER: only tests whose names contain one of them.

  --optional  ends with status 0, and says so, where Miri cannot be had

Needs the nightly toolchain with the components miri and rust-src; what is missing it installs by rustup, where that can reach
its server. Ends with status 3 where it cannot. MIRI_CASES: how many cases each property is tried with (4). MIRI_TOOLCHAIN: another
toolchain than nightly. MIRIFLAGS: more flags, such as -Zmiri-tree-borrows.
TEXT
}

optional=no
filters=()
for argument in "$@"; do
    case $argument in
    --help | -h)
        usage
        exit
        ;;
    --optional) optional=yes ;;
    -*)
        echo "test_miri.sh: unknown option '$argument'" >&2
        usage >&2
        exit 2
        ;;
    *) filters+=("$argument") ;;
    esac
done

cd "$(dirname "${BASH_SOURCE[0]}")/.."
toolchain=${MIRI_TOOLCHAIN:-nightly}

has_miri() {
    cargo "+$toolchain" miri --version && [[ -d $(rustc "+$toolchain" --print sysroot)/lib/rustlib/src/rust/library ]]
}

# Not a toolchain that is there and lacks a part: adding that could update it under whoever uses it.
install() {
    if rustc "+$toolchain" --version; then
        rustup component add --toolchain "$toolchain" miri rust-src
    else
        rustup toolchain install "$toolchain" --profile minimal --component miri --component rust-src
    fi
}

unavailable() {
    echo "test_miri.sh: NOT RUN: $1" >&2
    echo "test_miri.sh: races show in scripts/test_races.sh and in the loom models, too; pointers that reach beyond what they" >&2
    echo "test_miri.sh: were made from show nowhere else" >&2
    if [[ $optional == yes ]]; then exit 0; fi
    exit 3
}

if ! has_miri >/dev/null 2>&1; then
    command -v rustup >/dev/null || unavailable "the toolchain $toolchain has no Miri, and there is no rustup"
    echo "==> rustup: $toolchain with miri and rust-src" >&2
    install >&2 || unavailable "rustup cannot install $toolchain with miri and rust-src"
    has_miri >/dev/null || unavailable "the toolchain $toolchain has no Miri"
fi

# The pace is arithmetic, of which its tests do too much for Miri.
# No isolation: the tests read the clock, and proptest the directory. Each case takes Miri a second or so.
export MIRIFLAGS="-Zmiri-disable-isolation ${MIRIFLAGS:-}"
export PROPTEST_CASES=${MIRI_CASES:-4} PROPTEST_DISABLE_FAILURE_PERSISTENCE=true
echo "==> the core's unit tests under Miri, with $(cargo "+$toolchain" miri --version)" >&2
CARGO_TARGET_DIR=target/miri cargo "+$toolchain" miri test --package eshm --lib -- --skip pace:: ${filters[@]+"${filters[@]}"}
