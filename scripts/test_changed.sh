#!/usr/bin/env bash
# Tests which steps scripts/test.sh --changed chooses: see --help.
set -euo pipefail

usage() {
    cat <<'TEXT'
Usage: test_changed.sh

Makes a small repository with a copy of test.sh, changes one file of it after another, and compares the steps that
`test.sh --changed --list` prints with the expected ones. Runs no step.
TEXT
}

case ${1:-} in
--help | -h)
    usage
    exit
    ;;
esac

cd "$(dirname "${BASH_SOURCE[0]}")/.."
root=$PWD
tree=$(mktemp -d)
trap 'rm -rf "$tree"' EXIT
# The repository of the tree must not be found by these variables, which a git hook sets.
unset GIT_DIR GIT_WORK_TREE GIT_INDEX_FILE

git_() { git -C "$tree" -c user.name=test -c user.email=test@example.org -c commit.gpgsign=false "$@"; }

failed=0
expect() { # expect FILE STEP...: a change of FILE touches exactly these steps
    local file=$1 found
    shift
    mkdir -p "$tree/$(dirname "$file")"
    echo changed >>"$tree/$file"
    found=$("$tree/scripts/test.sh" --changed HEAD --list 2>/dev/null | paste -sd ' ')
    if [[ $found != "$*" ]]; then
        echo "test_changed.sh: a change of $file touches '$found', expected '$*'" >&2
        failed=1
    fi
    [[ -n ${keep:-} ]] || git_ clean --quiet --force -d -- . ':!scripts/test.sh'
}

mkdir "$tree/scripts"
cp "$root/scripts/test.sh" "$tree/scripts/"
git_ init --quiet
git_ add .
git_ commit --quiet --message first

# What is not tracked counts.
expect core/src/queue.rs format lint core instructions interop:rust
expect py/src/lib.rs format lint python interop:python
expect cpp/src/lib.rs format lint cpp interop:cpp
expect capi/src/lib.rs format lint capi instructions interop:c
expect go/queue.go lint:lengths lint:plants lint:spelling lint:whitespace go interop:go
expect docs/page.md lint:links lint:spelling lint:whitespace guide
expect README.md lint:links lint:spelling lint:whitespace guide cpp
expect interop-tests/src/hostile/mod.rs format lint faults:hostile
expect interop-tests/instructions/record.tsv format lint cpp:format instructions
expect scripts/test_instructions.sh lint:shell lint:spelling instructions
expect services/rust/src/lib.rs lint:dependencies lint:spelling services
expect bench/src/main.rs format lint:dependencies lint:spelling cpp:format
expect fuzz/fuzz_targets/queue.rs format lint:dependencies faults:fuzz
expect a-new-folder/file format lint

# Several files: each step once, and the whole step in place of its parts.
keep=yes
expect go/queue.go lint:lengths lint:plants lint:spelling lint:whitespace go interop:go
expect core/src/lib.rs format lint core go instructions interop:go interop:rust
keep=

# A commit is seen from the base that is given, and without one from the commit before it.
git_ add .
git_ commit --quiet --message second
found=$("$tree/scripts/test.sh" --changed --list 2>/dev/null | paste -sd ' ')
[[ $found == "format lint core go instructions interop:go interop:rust" ]] || {
    echo "test_changed.sh: without a base and with a new commit: '$found'" >&2
    failed=1
}
found=$("$tree/scripts/test.sh" --changed HEAD --list 2>/dev/null)
[[ -z $found ]] || {
    echo "test_changed.sh: nothing has changed since HEAD, but: '$found'" >&2
    failed=1
}

# Every folder of this repository has a line of its own.
table=$("$root/scripts/test.sh" --list)
while read -r folder; do
    if [[ $table != *"$folder/*"* ]]; then
        echo "test_changed.sh: no line of the table in test.sh is for $folder/" >&2
        failed=1
    fi
done < <(git ls-files | sed -n 's|^\([^/]*\)/.*|\1|p' | sort -u | grep --invert-match '^docs$')

((failed == 0)) || exit 1
echo "test.sh --changed chooses the right steps" >&2
