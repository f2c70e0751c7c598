#!/usr/bin/env bash
# Fuzzes the code that reads a peer's bytes: see --help.
set -euo pipefail

targets=(attach mailbox queue arena)

usage() {
    cat <<TEXT
Usage: fuzz.sh [--seconds N] [--keep] [TARGET...]

Fuzzes all targets (${targets[*]}), or the named ones, for N seconds in all (default: 60), under
AddressSanitizer, starting with the inputs in fuzz/corpus. Prints one row of JSON per target. An input that fails stays in target/fuzz/failed; run it again with
  target/fuzz/x86_64-unknown-linux-gnu/release/TARGET FILE

  --keep   adds the new inputs to fuzz/corpus, reduced to the fewest that have the same coverage

The stable toolchain suffices: RUSTC_BOOTSTRAP lets it use the sanitizer. (If cargo fuzz is installed, cargo fuzz run
TARGET works too.)
TEXT
}

fail() {
    echo "fuzz.sh: $*" >&2
    exit 2
}

# row TARGET LOG STATUS: prints one row, in the format that scripts/test_faults.sh collects.
row() {
    local runs corpus reason='' passed=true
    runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$2")
    corpus=$(sed -n 's/.*INITED.* corp: \([0-9]*\).*/\1/p' "$2")
    if (($3 != 0)) || ((${runs:-0} == 0)); then
        passed=false
        reason="see $2"
        grep --text --extended-regexp 'panicked|ERROR|SUMMARY|Test unit' --after-context 1 "$2" >&2 || true
    fi
    printf '{"suite":"fuzz","case":"%s","passed":%s,"figures":{"inputs":%d,"from_corpus":%d,"seconds":%d},"reason":"%s"}\n' \
        "$1" "$passed" "${runs:-0}" "${corpus:-0}" "$seconds_each" "$reason"
    $passed
}

# Uses the flags of cargo fuzz: coverage for libFuzzer, and AddressSanitizer.
build() {
    local flags=(--cfg fuzzing -Zsanitizer=address -Ccodegen-units=1 -Cpasses=sancov-module)
    local option
    for option in level=4 inline-8bit-counters pc-table trace-compares; do
        flags+=("-Cllvm-args=-sanitizer-coverage-$option")
    done
    echo "==> building the fuzz targets" >&2
    # With --target the flags do not apply to build scripts and macros.
    RUSTC_BOOTSTRAP=1 RUSTFLAGS="${flags[*]}" cargo build --quiet --release --locked \
        --manifest-path fuzz/Cargo.toml --target "$triple" --target-dir target/fuzz >&2
}

# fuzz TARGET: runs it, prints its row.
fuzz() {
    local target=$1 status=0
    local found=target/fuzz/found/$target log=target/fuzz/$1.log program=target/fuzz/$triple/release/$1
    mkdir -p "$found" target/fuzz/failed "fuzz/corpus/$target"
    echo "==> $target, for $seconds_each s" >&2
    "$program" -max_total_time="$seconds_each" -max_len=4096 -timeout=10 -print_final_stats=1 \
        -artifact_prefix=target/fuzz/failed/ "$found" "fuzz/corpus/$target" >"$log" 2>&1 || status=$?
    row "$target" "$log" "$status"
}

# keep TARGET: replaces the corpus by the fewest inputs that have the same coverage.
keep() {
    local target=$1
    local least=target/fuzz/least/$target
    rm -rf "$least"
    mkdir -p "$least"
    "target/fuzz/$triple/release/$target" -set_cover_merge=1 -max_len=4096 "$least" \
        "fuzz/corpus/$target" "target/fuzz/found/$target" >/dev/null 2>&1
    rm -rf "fuzz/corpus/$target"
    cp -r "$least" "fuzz/corpus/$target"
}

seconds=60
keeping=false
chosen=()
while (($#)); do
    case $1 in
    --help | -h)
        usage
        exit
        ;;
    --seconds)
        seconds=${2:-}
        [[ $seconds =~ ^[0-9]+$ ]] || fail "--seconds needs a number"
        shift
        ;;
    --keep) keeping=true ;;
    -*) fail "unknown option '$1'; see --help" ;;
    *)
        [[ " ${targets[*]} " == *" $1 "* ]] || fail "there is no target '$1'; expected one of: ${targets[*]}"
        chosen+=("$1")
        ;;
    esac
    shift
done
((${#chosen[@]})) || chosen=("${targets[@]}")

cd "$(dirname "${BASH_SOURCE[0]}")/.."
triple=$(rustc -vV | sed -n 's/^host: //p')
seconds_each=$((seconds / ${#chosen[@]}))
((seconds_each > 0)) || fail "--seconds $seconds is too little for ${#chosen[@]} targets"
build
failed=0
for target in "${chosen[@]}"; do
    fuzz "$target" || failed=1
    if $keeping; then keep "$target"; fi
done
exit "$failed"
