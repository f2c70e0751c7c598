#!/usr/bin/env bash
# Measures the user service over sockets, REST, gRPC and ESHM on this machine: see --help.
set -euo pipefail

usage() {
    cat <<'TEXT'
Usage: compare_transports.sh [--quick] [--rust-only] [--out DIR]

Builds the servers and clients of services/ in Rust and Python, and measures all transports in turn, in one run: latency
by size, calls × payload, a ranking of 50 runs, connections reused or not, paced calls, a call that reads the store, CPU
time and memory. One of the transports is a Unix socket with the frames of ESHM. Prints the report, which begins with
the answer, and writes report.md, report.json and plots (SVG).

  --quick      shorter measurements: some three minutes instead of some eight (plus the first build)
  --rust-only  without Python
  --out DIR    the folder of the report; default: services/target/report (services/report is the one in the repository)
  --help       this text

Run it on an idle machine. Needs Rust 1.89 or newer, a C compiler, and Python 3.11 or newer with venv.
TEXT
}

fail() {
    echo "compare_transports.sh: $*" >&2
    exit 2
}

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
target=$root/services/target
out=$target/report
quick=()
python=yes
while (($#)); do
    case $1 in
    --quick) quick=(--quick) ;;
    --rust-only) python=no ;;
    --out)
        (($# > 1)) || fail "--out needs a directory"
        mkdir -p "$2"
        out=$(cd "$2" && pwd)
        shift
        ;;
    --help | -h)
        usage
        exit
        ;;
    *) fail "unknown argument '$1'; see --help" ;;
    esac
    shift
done

echo "==> cargo build (the first time takes a few minutes)" >&2
cargo build --quiet --release --manifest-path "$root/services/Cargo.toml" --target-dir "$target"
arguments=(--rust "$target/release" --out "$out")
if [[ $python == yes ]]; then
    interpreter=$("$root/services/python/setup_venv.sh")
    arguments+=(--python "$interpreter")
fi
cd "$root"
exec "$target/release/compare" "${quick[@]}" "${arguments[@]}"
