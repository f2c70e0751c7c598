#!/usr/bin/env bash
# Runs processes of every language against each other, and prints the matrix: see --help.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
command -v cargo >/dev/null || {
    echo "test_interop.sh: cargo is missing; install it: see rustup.rs, or 'apt-get install cargo'" >&2
    exit 1
}
echo "building the matrix and the Rust peer …" >&2
cargo build --manifest-path "$root/Cargo.toml" --package interop-tests --bins
exec "${CARGO_TARGET_DIR:-$root/target}/debug/matrix" "$@"
