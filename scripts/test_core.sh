#!/usr/bin/env bash
# The core's tests, then its loom models.
set -euo pipefail

usage() {
    cat <<'USAGE'
usage: scripts/test_core.sh [--help] [--no-loom]

Runs the tests of the core crate: units, properties, processes, documentation; then the loom models, which try
every order in which the mailbox's and the queue's threads can meet, up to LOOM_MAX_PREEMPTIONS switches (3 unless
set). The models are built in a target directory of their own, target/loom.
USAGE
}

loom=yes
for argument in "$@"; do
    case "$argument" in
        --help | -h)
            usage
            exit 0
            ;;
        --no-loom) loom=no ;;
        *)
            echo "test_core.sh: unknown argument '$argument'" >&2
            usage >&2
            exit 2
            ;;
    esac
done

cd "$(dirname "${BASH_SOURCE[0]}")/.."

echo "== 1/2 tests of the core"
cargo test -p eshm
cargo test -p eshm --features crash-points --test segments

if [ "$loom" = no ]; then
    echo "== 2/2 loom models: skipped (--no-loom)"
    exit 0
fi
preemptions=${LOOM_MAX_PREEMPTIONS:-3}
echo "== 2/2 loom models, up to $preemptions preemptions"
LOOM_MAX_PREEMPTIONS=$preemptions RUSTFLAGS="${RUSTFLAGS:-} --cfg loom" \
    CARGO_TARGET_DIR=target/loom cargo test -p eshm --lib --release models
echo "== the core's tests passed"
