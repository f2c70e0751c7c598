#!/usr/bin/env bash
# Runs the C++ package, with the core in it, under ThreadSanitizer: see --help.
set -euo pipefail

usage() {
    cat <<'TEXT'
Usage: test_races.sh [--gtest_...]

Builds the C++ package's tests with ThreadSanitizer in all parts (tests, facade, core, and Rust's standard library), and
runs them. A race is a failure. Options go to the test program, such as --gtest_filter=Threads*.

ThreadSanitizer finds races within a process: of threads that share an endpoint, of the background thread, of the
process's exit. It does not see races between two processes, or between two mappings of one segment; the loom models
cover these (scripts/test_core.sh).

Needs GoogleTest, and the stable toolchain with rust-src, which the script adds with rustup where rustup is installed.
TEXT
}

case ${1:-} in
--help | -h)
    usage
    exit
    ;;
esac

cd "$(dirname "${BASH_SOURCE[0]}")/.."
source=$(rustc --print sysroot)/lib/rustlib/src/rust/library
if [[ ! -d $source ]]; then
    if ! command -v rustup >/dev/null; then
        echo "test_races.sh: the source of Rust's standard library is missing: install the component rust-src" >&2
        exit 1
    fi
    rustup component add rust-src
fi
triple=$(rustc -vV | sed -n 's/^host: //p')
out=target/races
mkdir -p "$out"
echo "==> the core and its standard library, with ThreadSanitizer" >&2
# RUSTC_BOOTSTRAP: neither the sanitizer nor building the standard library is stable yet.
RUSTC_BOOTSTRAP=1 RUSTFLAGS=-Zsanitizer=thread CXXFLAGS=-fsanitize=thread \
    cargo build --quiet --package eshm-cpp -Zbuild-std --target "$triple" --target-dir "$out"
echo "==> the tests" >&2
objects=()
for test in cpp/tests/*_test.cpp; do
    objects+=("$out/$(basename "$test" .cpp).o")
    "${CXX:-c++}" -std=c++17 -g -O1 -fsanitize=thread -I cpp/include -c "$test" -o "${objects[-1]}"
done
# Rust's runtime: that of GCC 12 lacks functions that Rust's code calls.
runtime=("$(rustc --print target-libdir)"/librustc*_rt.tsan.a)
"${CXX:-c++}" "${objects[@]}" "$out/$triple/debug/libeshm_cpp.a" -lgtest -lgtest_main \
    -Wl,--whole-archive "${runtime[@]}" -Wl,--no-whole-archive -pthread -ldl -lm -o "$out/eshm_races"
TSAN_OPTIONS="halt_on_error=1 ${TSAN_OPTIONS:-}" "$out/eshm_races" "$@"
