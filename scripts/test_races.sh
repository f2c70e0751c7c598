#!/usr/bin/env bash
# The C++ package and the core in it under ThreadSanitizer: see --help.
set -euo pipefail

usage() {
    cat <<'TEXT'
Usage: test_races.sh [--gtest_...]

Builds the C++ package's tests with ThreadSanitizer in all of it: tests, facade, core, and Rust's standard library; and runs them.
A race that it finds is a failure. Options go to the test program, such as --gtest_filter=Threads*.

It finds races within a process: of threads that share an endpoint, of the background thread, of the process's exit. Two
processes it cannot see, nor two mappings of one segment: there, the loom models are the proof (scripts/test_core.sh).

Needs the stable toolchain with rust-src (rustup component add rust-src, which it does where rustup is), and GoogleTest.
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
# The runtime is Rust's: that of GCC 12 has not all that Rust's code calls.
runtime=("$(rustc --print target-libdir)"/librustc*_rt.tsan.a)
"${CXX:-c++}" "${objects[@]}" "$out/$triple/debug/libeshm_cpp.a" -lgtest -lgtest_main \
    -Wl,--whole-archive "${runtime[@]}" -Wl,--no-whole-archive -pthread -ldl -lm -o "$out/eshm_races"
TSAN_OPTIONS="halt_on_error=1 ${TSAN_OPTIONS:-}" "$out/eshm_races" "$@"
