#!/usr/bin/env bash
# The core's tests, its loom models, and what Miri can run of it.
set -euo pipefail

usage() {
    cat <<'USAGE'
usage: scripts/test_core.sh [--help] [--no-loom] [--no-miri]

Runs the tests of the core crate: units, properties, processes, documentation; then the loom models, which try
every order in which the mailbox's and the queue's threads can meet, up to LOOM_MAX_PREEMPTIONS switches (3 unless
set). The models are built in a target directory of their own, target/loom. Last, the unit tests under Miri, where there is a nightly
toolchain or rustup can install one (scripts/test_miri.sh); it says so where not.
USAGE
}

loom=yes
miri=yes
for argument in "$@"; do
    case "$argument" in
    --help | -h)
        usage
        exit 0
        ;;
    --no-loom) loom=no ;;
    --no-miri) miri=no ;;
    *)
        echo "test_core.sh: unknown argument '$argument'" >&2
        usage >&2
        exit 2
        ;;
    esac
done

cd "$(dirname "${BASH_SOURCE[0]}")/.."

echo "== 1/3 tests of the core"
cargo test -p eshm
cargo test -p eshm --features crash-points --test segments

if [ "$loom" = no ]; then
    echo "== 2/3 loom models: skipped (--no-loom)"
else
    preemptions=${LOOM_MAX_PREEMPTIONS:-3}
    echo "== 2/3 loom models, up to $preemptions preemptions"
    LOOM_MAX_PREEMPTIONS=$preemptions RUSTFLAGS="${RUSTFLAGS:-} --cfg loom" \
        CARGO_TARGET_DIR=target/loom cargo test -p eshm --lib --release models
fi

if [ "$miri" = no ]; then
    echo "== 3/3 Miri: skipped (--no-miri)"
else
    echo "== 3/3 unit tests under Miri"
    scripts/test_miri.sh --optional
fi
echo "== the core's tests passed"
