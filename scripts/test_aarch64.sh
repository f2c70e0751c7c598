#!/usr/bin/env bash
# Runs the core's tests as AArch64 programs, under QEMU: see --help.
set -euo pipefail

usage() {
    cat <<'TEXT'
Usage: test_aarch64.sh [--check] [TEST...]

Builds the core and its tests for AArch64 Linux, and runs all tests, or the named ones (lib, faults, lifecycle, …), with
QEMU's user mode. Adds the Rust target with rustup, and installs QEMU and the cross compiler with apt-get, where these
exist.

  --check   compiles only; needs the Rust target and nothing else

QEMU does not show the processor's own reordering. protocol/PROTOCOL.md, section 11, argues that the core does not
depend on the order of x86, and the loom models show it.
TEXT
}

fail() {
    echo "test_aarch64.sh: $*" >&2
    exit 1
}

need_target() {
    [[ -d $(rustc --print sysroot)/lib/rustlib/$target ]] && return
    command -v rustup >/dev/null || fail "the Rust target $target is missing, and there is no rustup to add it"
    rustup target add "$target"
}

need() { # need COMMAND PACKAGE...
    command -v "$1" >/dev/null && return
    shift
    if [[ $(id -u) != 0 ]] || ! command -v apt-get >/dev/null; then
        fail "install them first: sudo apt-get install $*"
    fi
    DEBIAN_FRONTEND=noninteractive apt-get install --yes -qq --no-install-recommends "$@" >/dev/null
}

target=aarch64-unknown-linux-gnu
check=false
chosen=()
while (($#)); do
    case $1 in
    --help | -h)
        usage
        exit
        ;;
    --check) check=true ;;
    -*) fail "unknown option '$1'; see --help" ;;
    lib) chosen+=(--lib) ;;
    *) chosen+=(--test "$1") ;;
    esac
    shift
done
((${#chosen[@]})) || chosen=(--lib --tests)

cd "$(dirname "${BASH_SOURCE[0]}")/.."
need_target
if $check; then
    exec cargo check -p eshm --all-targets --target "$target"
fi
need aarch64-linux-gnu-gcc gcc-aarch64-linux-gnu libc6-dev-arm64-cross
need qemu-aarch64 qemu-user
runner="qemu-aarch64 -L /usr/aarch64-linux-gnu"
export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER=aarch64-linux-gnu-gcc
export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUNNER=$runner
# The tests start their child processes with it.
export ESHM_TEST_RUNNER=$runner
# Skipped: QEMU's user mode itself aborts when the child of a fork starts threads; and a signal that kills a child is QEMU's,
# whose memory layout is not the kernel's.
exec cargo test -p eshm --target "$target" "${chosen[@]}" -- \
    --skip a_forked_child_is_refused_and_leaves_its_parents_endpoint_alone
