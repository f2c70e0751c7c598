#!/usr/bin/env bash
# Runs the core's tests that need no kernel under Miri: see --help.
set -euo pipefail

usage() {
    cat <<'TEXT'
Usage: test_miri.sh [--optional] [FILTER...]

Runs the core's unit tests under Miri, with stacked borrows: layout, names, errors, heartbeat, the mailbox and the
queue, and whole segments on the heap that two threads use. Miri finds accesses outside of a pointer's provenance,
uninitialized memory, and data races. With FILTERs, runs only tests whose names contain one of them.

  --optional  end with status 0, and report it, where Miri is not available

Needs the nightly toolchain with the components miri and rust-src, and installs what is missing with rustup, where
rustup can reach its server. Ends with status 3 where it cannot.

  MIRI_CASES      the number of cases of each property (default: 4)
  MIRI_TOOLCHAIN  another toolchain than nightly
  MIRIFLAGS       more flags, such as -Zmiri-tree-borrows
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

# Installs the toolchain only if it is missing: `toolchain install` could update one that somebody uses.
install() {
    if rustc "+$toolchain" --version; then
        rustup component add --toolchain "$toolchain" miri rust-src
    else
        rustup toolchain install "$toolchain" --profile minimal --component miri --component rust-src
    fi
}

unavailable() {
    echo "test_miri.sh: NOT RUN: $1" >&2
    echo "test_miri.sh: scripts/test_races.sh and the loom models find races, too; only Miri finds pointers that are used outside" >&2
    echo "test_miri.sh: of their provenance" >&2
    if [[ $optional == yes ]]; then exit 0; fi
    exit 3
}

if ! has_miri >/dev/null 2>&1; then
    command -v rustup >/dev/null || unavailable "the toolchain $toolchain has no Miri, and there is no rustup"
    echo "==> rustup: $toolchain with miri and rust-src" >&2
    install >&2 || unavailable "rustup cannot install $toolchain with miri and rust-src"
    has_miri >/dev/null || unavailable "the toolchain $toolchain has no Miri"
fi

# Skips the tests of the poll timing and of `adaptive`, whose arithmetic takes Miri too long, and those that open
# endpoints, which need the kernel. No isolation: the tests read the clock, and proptest reads the directory. Each case
# takes Miri about a second.
export MIRIFLAGS="-Zmiri-disable-isolation ${MIRIFLAGS:-}"
export PROPTEST_CASES=${MIRI_CASES:-4} PROPTEST_DISABLE_FAILURE_PERSISTENCE=true
echo "==> the core's unit tests under Miri, with $(cargo "+$toolchain" miri --version)" >&2
CARGO_TARGET_DIR=target/miri cargo "+$toolchain" miri test --package eshm --lib -- --skip poll_timing:: --skip adaptive:: --skip raw::tests --skip link::tests --skip api::tests ${filters[@]+"${filters[@]}"}
