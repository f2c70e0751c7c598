#!/usr/bin/env bash
# Causes faults, and prints a table of the results: see --help.
set -euo pipefail

usage() {
    cat <<'TEXT'
Usage: test_faults.sh [--seconds N] [--full] [--seed N] [SUITE...]

Runs all suites of faults, or only the named ones, and prints one table for each, with pass or fail. The rows of each
suite are in target/faults/SUITE.jsonl.

  --seconds N  the duration of the storm (default: 30)
  --full       everything: each language as survivor of each other, each crash point four times, all pairings in the
               storm
  --seed N     the seed of the random moments, instead of 1 (kill) and the clock (storm)

TEXT
    printf '  %-8s %s\n' "${about[@]}"
}

about=(
    kill "a process dies at each crash point of the core, in each role and language, and comes back"
    storm "both ends are killed, stopped and started at random, under traffic in both directions"
    hostile "spoiled segments are planted, and peers overwrite them; under AddressSanitizer where there is one"
    waiters "a process that waits in an event loop is killed, and its peer rings its successor"
    sandbox "a process lives without what a sandbox, an old kernel or a limit takes from it, or names it"
    files "what lies under a name, what the system refuses, and who may only look"
    fuzz "what reads a peer's bytes, under AddressSanitizer: 60 s, with --full ten minutes"
)

suite_kill() {
    local options=()
    ((full == 0)) || options+=(--full)
    [[ -z $seed ]] || options+=(--seed "$seed")
    "$faults" kill ${options[@]+"${options[@]}"}
}
suite_storm() {
    local options=(--seconds "$seconds")
    ((full == 0)) || options+=(--full)
    [[ -z $seed ]] || options+=(--seed "$seed")
    # The suite `kill` has built it with crash points.
    cargo build --quiet --package interop-tests --bin peer-rust
    "$faults" storm "${options[@]}"
}

suite_hostile() {
    local options=(--one-in 15 --seconds 1)
    ((full == 0)) || options=(--seconds 30)
    [[ -z $seed ]] || options+=(--seed "$seed")
    "${faults%/*}/hostile" "${options[@]}"
}
suite_waiters() {
    local options=()
    ((full == 0)) || options+=(--full)
    # The suite `kill` has built it with crash points.
    cargo build --quiet --package interop-tests --bin peer-rust
    "$faults" waiters ${options[@]+"${options[@]}"}
}
suite_sandbox() {
    # The suite `kill` has built it with crash points.
    cargo build --quiet --package interop-tests --bin peer-rust
    "$faults" sandbox
}
# Each test of the core in these files is a row.
suite_files() {
    local tests=(files observer)
    cargo test --quiet --package eshm --no-run "${tests[@]/#/--test=}" >&2
    cargo test --package eshm --no-fail-fast "${tests[@]/#/--test=}" 2>&1 | tee >(cat >&2) | awk '
        /^test .* \.\.\. (ok|FAILED)$/ && $2 != "child" {
            passed = $4 == "ok" ? "true" : "false"
            reason = $4 == "ok" ? "" : "see cargo test -p eshm " $2
            gsub("_", " ", $2)
            printf "{\"suite\":\"files\",\"case\":\"%s\",\"passed\":%s,\"figures\":{},\"reason\":\"%s\"}\n", $2, passed, reason
        }'
}
suite_fuzz() {
    scripts/fuzz.sh --seconds "$((full ? 600 : 60))"
}

fail() {
    echo "test_faults.sh: $*" >&2
    exit 2
}

parse() {
    seconds=30
    full=0
    seed=
    suites=()
    while (($#)); do
        case $1 in
        --help | -h)
            usage
            exit
            ;;
        --full) full=1 ;;
        --seconds | --seed)
            [[ ${2-} =~ ^[0-9]+$ ]] || fail "$1 needs a number; see --help"
            printf -v "${1#--}" '%s' "$2"
            shift
            ;;
        *)
            declare -F "suite_$1" >/dev/null || fail "there is no suite '$1'; see --help"
            suites+=("$1")
            ;;
        esac
        shift
    done
    if ((${#suites[@]} == 0)); then
        for ((i = 0; i < ${#about[@]}; i += 2)); do suites+=("${about[i]}"); done
    fi
}

main() {
    parse "$@"
    cd "$(dirname "${BASH_SOURCE[0]}")/.."
    local target=${CARGO_TARGET_DIR:-target} suite status=0 files=() broken=()
    faults=$target/debug/faults
    echo "building the programs …" >&2
    cargo build --quiet --package interop-tests --bins --features crash-points
    mkdir -p "$target/faults"
    for suite in "${suites[@]}"; do
        echo "=== $suite" >&2
        files+=("$target/faults/$suite.jsonl")
        "suite_$suite" >"$target/faults/$suite.jsonl" || broken+=("$suite")
    done
    "$faults" report "${files[@]}" || status=1
    for suite in ${broken[@]+"${broken[@]}"}; do
        echo "FAILED  $suite"
        status=1
    done
    return $status
}

main "$@"
