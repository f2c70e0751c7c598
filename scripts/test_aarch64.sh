#!/usr/bin/env bash
# The core's tests as AArch64 programs, under QEMU: see --help.
set -euo pipefail

usage() {
    cat <<'TEXT'
Usage: test_aarch64.sh [--check] [TEST...]

Builds the core and its tests for AArch64 Linux, and runs them with QEMU's user mode: all of them, or those named (lib, faults,
lifecycle, …). Adds the Rust target by rustup, and installs QEMU and the cross compiler with apt-get, where these are at hand.

  --check   compiles only; needs the Rust target and nothing else

What QEMU does not show is the processor's own reordering: that the core does not lean on the order of x86 is argued in
protocol/PROTOCOL.md, section 11, and shown by the loom models.
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
# The tests' child processes are started by the tests.
export ESHM_TEST_RUNNER=$runner
# Left out: QEMU's user mode itself aborts when the child of a fork starts threads; and a signal that a child dies of is
# QEMU's, whose memory is not laid out as the kernel's.
exec cargo test -p eshm --target "$target" "${chosen[@]}" -- \
    --skip a_forked_child_is_refused_and_leaves_its_parents_endpoint_alone
