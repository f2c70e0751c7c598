#!/usr/bin/env bash
# Passes every test there is: see --help.
set -euo pipefail

usage() {
    cat <<'TEXT'
Usage: test.sh [STEP...]

Runs all steps, or only the ones named, and prints what passed at the end. ESHM_REQUIRE=all makes a missing language an
error instead of a skip.

TEXT
    printf '  %-9s %s\n' "${about[@]}"
}

about=(
    setup "what scripts/setup.sh says of tools that are too old"
    format "rustfmt over every crate"
    lint "clippy over every crate and target, warnings denied; each planted fault still applies"
    core "the core: unit, property and process tests, models under loom"
    python "the wheel: ruff, mypy, stubtest, pytest"
    cpp "the C++ package, as an outside project uses it; clang-format"
    capi "the C library: 1.x programs in C and C++ against an installed prefix"
    go "the Go package: gofmt, vet, staticcheck, tests, race detector, fuzzing"
    examples "a Go API with a Python service: both linted, and tested together"
    services "the user service over five transports, in Rust and Python: conformance suite"
    interop "cargo test -p interop-tests: every pairing of languages, every scenario"
    faults "kills at every step, storms: the short form of scripts/test_faults.sh"
)

step_setup() { scripts/test_setup.sh; }
step_format() { cargo fmt --all --check; }
step_lint() {
    cargo clippy --quiet --workspace --all-targets -- --deny warnings
    cargo clippy --quiet --package eshm --package interop-tests --all-targets --features interop-tests/crash-points \
        -- --deny warnings
    scripts/plant_faults.sh --check
}
# Miri takes as long as everything else of the core together: scripts/test_core.sh runs it by itself.
step_core() { scripts/test_core.sh --no-miri; }
step_python() { scripts/test_python.sh; }
step_cpp() { scripts/test_cpp.sh; }
step_capi() { scripts/test_capi.sh; }
step_go() { scripts/test_go.sh; }
step_examples() { examples/go-python-users/test.sh; }
step_faults() { scripts/test_faults.sh; }
step_services() { services/test.sh; }
step_interop() { cargo test --package interop-tests --no-fail-fast; }

run() { # run STEP: in a shell of its own, so that its failure does not end the others
    local start=$SECONDS
    echo
    echo "=== $1"
    if bash -c "set -euo pipefail; $(declare -f "step_$1"); step_$1"; then
        passed+=("$1 ($((SECONDS - start)) s)")
    else
        failed+=("$1 ($((SECONDS - start)) s)")
    fi
}

case ${1:-} in
--help | -h)
    usage
    exit
    ;;
esac

cd "$(dirname "${BASH_SOURCE[0]}")/.."
steps=("$@")
if ((${#steps[@]} == 0)); then
    for ((i = 0; i < ${#about[@]}; i += 2)); do steps+=("${about[i]}"); done
fi
for step in "${steps[@]}"; do
    if ! declare -f "step_$step" >/dev/null; then
        echo "test.sh: there is no step '$step'; see --help" >&2
        exit 2
    fi
done

scripts/setup.sh
passed=()
failed=()
for step in "${steps[@]}"; do run "$step"; done

echo
echo "=== steps"
for step in "${passed[@]}"; do echo "passed  $step"; done
for step in ${failed[@]+"${failed[@]}"}; do echo "FAILED  $step"; done
echo "${#passed[@]} passed, ${#failed[@]} failed"
((${#failed[@]} == 0))
