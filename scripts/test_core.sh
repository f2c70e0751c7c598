#!/usr/bin/env bash
# Runs the core's tests, its loom models, and its unit tests under Miri.
set -euo pipefail

usage() {
    cat <<'TEXT'
Usage: test_core.sh [--no-loom] [--no-miri]

Runs the tests of the core crate: units, properties, processes, documentation, examples. Checks that it compiles without
warnings with each of its features and with none (target/features). Then runs the loom models, which try every
interleaving of the mailbox's and the queue's threads, up to LOOM_MAX_PREEMPTIONS preemptions (default: 3), and which
are built in target/loom. Last runs the unit tests under Miri (scripts/test_miri.sh), if a nightly toolchain is
installed or rustup can install one, and reports it if not.
TEXT
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
for features in "" tracing serde tokio async; do
    RUSTFLAGS="${RUSTFLAGS:-} -D warnings" CARGO_TARGET_DIR=target/features \
        cargo check -p eshm --no-default-features --features "$features"
done
RUSTFLAGS="${RUSTFLAGS:-} -D warnings" CARGO_TARGET_DIR=target/features cargo check -p eshm --all-features --all-targets
cargo test -p eshm --features serde --test serialize
cargo test -p eshm --features tokio,async --lib aio
cargo test -p eshm --features tokio,async --test tokio --test tokio_cancel --test tokio_ends --test async
cargo test -p eshm --features tokio,async --doc -- async_io tokio
for example in event_loop tokio_loop; do
    cargo run --quiet -p eshm --features tokio --example "$example"
done

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
