#!/usr/bin/env bash
# Tests the services in every language against each other: see --help.
set -euo pipefail

usage() {
    cat <<'TEXT'
Usage: services/test.sh [PYTEST-ARGUMENT...]

Builds the Rust and Python programs of services/, checks both (rustfmt, clippy, cargo test; ruff, mypy), and runs the
conformance suite: every client language × server language × transport, then clients that know nothing of our programs:
curl, gRPC reflection, schemathesis. Prints the matrix of results. The first run takes some minutes, mostly for
building.

Arguments go to pytest, such as -k socket, -x, or --languages python.
TEXT
}

case ${1:-} in
--help | -h)
    usage
    exit
    ;;
esac

services=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
target=$services/target

step() { printf '==> %s\n' "$*"; }

"$services/../scripts/setup.sh"

# Its binaries go where the suite looks for them, wherever CARGO_TARGET_DIR points.
cargo_() { cargo "$1" --quiet --manifest-path "$services/Cargo.toml" --target-dir "$target" "${@:2}"; }
step "cargo build (the first time takes a few minutes)"
cargo_ build
step "rustfmt, clippy, cargo test"
cargo fmt --manifest-path "$services/Cargo.toml" --all --check
cargo_ clippy --all-targets -- --deny warnings
cargo_ test

if docker compose version >/dev/null 2>&1; then
    step "docker compose config"
    docker compose --file "$services/compose.yaml" --profile client --profile benchmark config --quiet
else
    step "docker compose is not installed: services/compose.yaml is not checked"
fi

python=$("$services/python/setup_venv.sh")
bin=$(dirname "$python")
step "ruff"
"$bin/ruff" check --quiet "$services/python" "$services/tests"
"$bin/ruff" format --quiet --check "$services/python" "$services/tests"
step "mypy --strict"
(cd "$services/python" && "$bin/mypy" users_service hatch_build.py ../tests)
step "pytest: every pairing"
cd "$services/tests"
"$python" -m pytest --quiet "$@"
