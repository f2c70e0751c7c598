#!/usr/bin/env bash
# Runs all tests, or those that a change touches: see --help.
set -euo pipefail

usage() {
    cat <<'TEXT'
Usage: test.sh [STEP...]
       test.sh --changed [BASE] [--list]
       test.sh --list

Runs all steps, or only the ones named, and prints at the end which passed. With ESHM_REQUIRE=all a missing language is
an error instead of a skip.

  --changed [BASE]  run only the steps that the changes since BASE touch, in their short form, in under five minutes
                    once everything is built. Uncommitted and untracked files count. BASE is a commit; the default is
                    the point where the branch left origin/main or, without an origin/main, the last commit's parent
  --list            run nothing: print the files that steps depend on, or with --changed the steps that would run

Steps:
TEXT
    printf '  %-12s %s\n' "${about[@]}"
}

about=(
    setup "what scripts/setup.sh says about tools that are too old"
    format "rustfmt over every crate of the four Cargo workspaces"
    lint "scripts/lint.sh: clippy, shellcheck, spelling, links, dependencies and more"
    guide "every test that the documents name exists"
    core "the core: unit, property and process tests, models under loom"
    python "the wheel: ruff, mypy, stubtest, pytest"
    cpp "the C++ package, as an outside project uses it; clang-format"
    capi "the C library: 1.x programs in C and C++ against an installed prefix"
    go "the Go package: gofmt, vet, staticcheck, tests, race detector, fuzzing"
    instructions "what each verb costs in instructions, by callgrind, beside the record"
    examples "a Go API with a Python service: both linted, and tested together"
    services "the user service over five transports, in Rust and Python: conformance suite"
    interop "cargo test -p interop-tests: every pairing of languages, every scenario"
    faults "kills at every step, storms: the short form of scripts/test_faults.sh"
)

# For --changed. A file belongs to the first pattern that matches it (* matches / too), and touches the steps beside it.
# STEP:PART is a part of a step: a check of lint.sh, a language of the pairings, a suite of test_faults.sh.
prose="lint:spelling lint:whitespace lint:links guide"
touches=(
    "README.md" "$prose cpp"
    "docs/options.md" "$prose core"
    "ARCHITECTURE.md" "$prose lint:lengths"
    "*.md" "$prose"
    "core/*" "format lint core instructions interop:rust"
    "protocol/*" "lint:whitespace core go"
    "py/*" "format lint python interop:python"
    "cpp/*" "format lint cpp interop:cpp"
    "capi/*" "format lint capi instructions interop:c"
    "go/*" "lint:whitespace lint:spelling lint:plants lint:lengths go interop:go"
    "interop-tests/corpus/*" "interop:life"
    "interop-tests/plants/*" "lint:plants"
    "interop-tests/instructions/*" "format lint cpp:format instructions"
    "interop-tests/peers/c/*" "cpp:format interop:c"
    "interop-tests/peers/cpp/*" "cpp:format interop:cpp"
    "interop-tests/peers/go/*" "go interop:go"
    "interop-tests/peers/legacy/*" "cpp:format interop:legacy-1.2"
    "interop-tests/peers/python/*" "lint:spelling interop:python"
    "interop-tests/src/hostile/*" "format lint faults:hostile"
    "interop-tests/src/faults/sandbox/*" "format lint faults:sandbox"
    "interop-tests/src/faults/*" "format lint faults:kill"
    "interop-tests/src/life/*" "format lint interop:life"
    "interop-tests/*" "format lint guide interop:rust"
    "services/*" "lint:spelling lint:dependencies services"
    "examples/go-python-users/*" "lint:shell lint:spelling examples"
    "examples/*" "lint:spelling python"
    "bench/*.go" "go"
    "bench/*" "format lint:spelling lint:dependencies cpp:format"
    "fuzz/*" "format lint:dependencies faults:fuzz"
    "scripts/install*.sh" "lint:shell lint:spelling cpp capi"
    "scripts/test_instructions.sh" "lint:shell lint:spelling instructions"
    "scripts/setup.sh" "lint setup"
    "scripts/test_setup.sh" "lint:shell setup"
    "scripts/*" "lint:shell lint:python lint:spelling lint:whitespace lint:changed"
    ".ci/*" "lint:shell"
    "Cargo.*" "format lint core instructions"
    "deny.toml" "lint:dependencies"
    "*" "format lint"
)

step_setup() { scripts/test_setup.sh; }
step_format() {
    local folder status=0
    for folder in . bench fuzz services; do cargo fmt --manifest-path "$folder/Cargo.toml" --all --check || status=1; done
    return "$status"
}
step_lint() { scripts/lint.sh; }
step_guide() { cargo test --quiet --package interop-tests --test guide; }
# Miri takes as long as everything else of the core together: scripts/test_core.sh runs it by itself.
step_core() { scripts/test_core.sh --no-miri; }
step_python() { scripts/test_python.sh; }
step_cpp() { scripts/test_cpp.sh; }
step_capi() { scripts/test_capi.sh; }
step_go() { scripts/test_go.sh; }
step_instructions() {
    local status=0
    cargo test --quiet --release --package instructions
    scripts/test_instructions.sh || status=$?
    # 3: the record was made with other tools, as the script has said. That is no failure.
    ((status == 0 || status == 3))
}
step_examples() { examples/go-python-users/test.sh; }
step_services() { services/test.sh; }
step_interop() { cargo test --package interop-tests --no-fail-fast; }
step_faults() { scripts/test_faults.sh; }

# The short forms, which --changed runs in their place. Arguments: the parts, or none for the whole step.
short_lint() { scripts/lint.sh "$@"; }
short_core() { scripts/test_core.sh --no-miri --no-loom; }
short_cpp() { # short_cpp [format]
    if (($#)); then scripts/test_cpp.sh --only-format; else scripts/test_cpp.sh --no-sanitizers; fi
}
short_capi() { scripts/test_capi.sh --no-sanitizers; }
short_go() { FUZZ_SECONDS=1 scripts/test_go.sh; }
short_services() { services/test.sh -k eshm; }
short_interop() { # short_interop LANGUAGE|life...
    local part pairings=()
    for part in "$@"; do
        if [[ $part == life ]]; then
            scripts/test_interop.sh --scenario life --pairing rust:rust --pairing go:python
        else
            pairings+=(--pairing "rust:$part")
            [[ $part == rust ]] || pairings+=(--pairing "$part:rust")
        fi
    done
    if ((${#pairings[@]})); then scripts/test_interop.sh "${pairings[@]}"; fi
}
short_faults() { scripts/test_faults.sh --seconds 10 "$@"; }

fail() {
    echo "test.sh: $*" >&2
    exit 2
}

default_base() {
    git merge-base HEAD origin/main 2>/dev/null || git rev-parse --verify --quiet 'HEAD^' || git rev-parse HEAD
}

changed_files() { # changed_files BASE: as git knows them, and those that it does not track yet
    git diff --name-only --no-renames "$1"
    git ls-files --others --exclude-standard
}

# touched FILE...: what the files touch, one STEP or STEP:PART a line, each once, in the order of the steps.
touched() {
    local file i step
    local -A wanted=()
    for file in "$@"; do
        for ((i = 0; i < ${#touches[@]}; i += 2)); do
            # shellcheck disable=SC2053 # the right side is a pattern
            if [[ $file == ${touches[i]} ]]; then
                for step in ${touches[i + 1]}; do wanted[$step]=1; done
                break
            fi
        done
    done
    for ((i = 0; i < ${#about[@]}; i += 2)); do
        step=${about[i]}
        # The whole step has its parts in it.
        if [[ -n ${wanted[$step]:-} ]]; then
            echo "$step"
        elif ((${#wanted[@]})); then
            printf '%s\n' "${!wanted[@]}" | grep "^$step:" | sort || true
        fi
    done
}

run() { # run STEP COMMAND...: in a shell of its own, so that its failure does not end the others
    local start=$SECONDS step=$1
    shift
    echo
    echo "=== $step"
    if bash -c "set -euo pipefail; $(declare -f "$1"); \"\$@\"" bash "$@"; then
        passed+=("$step ($((SECONDS - start)) s)")
    else
        failed+=("$step ($((SECONDS - start)) s)")
    fi
}

run_changed() { # run_changed STEP|STEP:PART...
    local step one parts
    for ((i = 0; i < ${#about[@]}; i += 2)); do
        step=${about[i]}
        parts=()
        for one in "$@"; do
            if [[ $one == "$step" ]]; then
                parts=(whole)
                break
            elif [[ $one == "$step":* ]]; then
                parts+=("${one#*:}")
            fi
        done
        ((${#parts[@]})) || continue
        [[ ${parts[0]} != whole ]] || parts=()
        if declare -F "short_$step" >/dev/null; then
            run "$step${parts[*]:+: ${parts[*]}}" "short_$step" ${parts[@]+"${parts[@]}"}
        else
            run "$step" "step_$step"
        fi
    done
}

changed=false base='' list=false steps=()
while (($#)); do
    case $1 in
    --help | -h)
        usage
        exit
        ;;
    --changed)
        changed=true
        if (($# > 1)) && [[ $2 != -* ]]; then
            base=$2
            shift
        fi
        ;;
    --list) list=true ;;
    -*) fail "there is no option '$1'; see --help" ;;
    *) steps+=("$1") ;;
    esac
    shift
done

cd "$(dirname "${BASH_SOURCE[0]}")/.."
for step in ${steps[@]+"${steps[@]}"}; do
    declare -F "step_$step" >/dev/null || fail "there is no step '$step'; see --help"
done

if $changed; then
    ((${#steps[@]} == 0)) || fail "--changed takes no steps, but one commit: '${steps[0]}' is too much"
    base=${base:-$(default_base)}
    git rev-parse --verify --quiet "$base^{commit}" >/dev/null || fail "there is no commit '$base'"
    mapfile -t files < <(changed_files "$base" | sort -u)
    mapfile -t steps < <(touched ${files[@]+"${files[@]}"})
    echo "${#files[@]} files have changed since $(git describe --always "$base"): ${steps[*]:-nothing to run}" >&2
    if $list; then
        printf '%s\n' ${steps[@]+"${steps[@]}"}
        exit
    fi
    ((${#steps[@]})) || exit 0
elif $list; then
    ((${#steps[@]} == 0)) || fail "--list takes no steps"
    printf '%-36s %s\n' "${touches[@]}"
    exit
elif ((${#steps[@]} == 0)); then
    for ((i = 0; i < ${#about[@]}; i += 2)); do
        # The step interop has it in it.
        [[ ${about[i]} == guide ]] || steps+=("${about[i]}")
    done
fi

scripts/setup.sh
passed=()
failed=()
if $changed; then
    run_changed "${steps[@]}"
else
    for step in "${steps[@]}"; do run "$step" "step_$step"; done
fi

echo
echo "=== steps"
for step in ${passed[@]+"${passed[@]}"}; do echo "passed  $step"; done
for step in ${failed[@]+"${failed[@]}"}; do echo "FAILED  $step"; done
echo "${#passed[@]} passed, ${#failed[@]} failed"
((${#failed[@]} == 0))
