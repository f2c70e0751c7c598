#!/usr/bin/env bash
# Plants faults, and checks that the life test finds them: see --help.
set -euo pipefail

usage() {
    cat <<'TEXT'
Usage: plant_faults.sh [--check] [--no-corpus] [--seed S] [--programs N] [NAME...]

Plants each fault of interop-tests/plants/, or only the named ones, in a copy of the tree, builds the peers, and runs
the life test with the pairing that the patch names: first the corpus, then random programs until the first failure,
which it shortens. Before that, the same pairings must pass without a fault. Prints the table of docs/test-suites.md.
The exit status is 1 if a fault was not found, and 2 for a wrong command line.

  --check        only check that each patch applies and has its description; plant nothing
  --no-corpus    random programs alone
  --seed S       the first random program's seed; the next ones count up from it (default: 1)
  --programs N   the number of random programs per fault (default: 1000)

The copy, its builds and the output for each fault are in target/plants/, or in $CARGO_TARGET_DIR/plants/. All faults
take three quarters of an hour on two cores.
TEXT
}

refuse() { # refuse TEXT
    echo "plant_faults.sh: $1" >&2
    exit 2
}

check=false corpus=true seed=1 programs=1000 names=()
while (($#)); do
    case $1 in
    --help | -h)
        usage
        exit
        ;;
    --check) check=true ;;
    --no-corpus) corpus=false ;;
    --seed | --programs)
        [[ ${2:-} =~ ^[0-9]+$ ]] || refuse "$1 needs a number"
        if [[ $1 == --seed ]]; then seed=$2; else programs=$2; fi
        shift
        ;;
    -*) refuse "there is no option '$1'; see --help" ;;
    *) names+=("$1") ;;
    esac
    shift
done

cd "$(dirname "${BASH_SOURCE[0]}")/.."
plants=interop-tests/plants
if ((${#names[@]} == 0)); then
    for patch in "$plants"/*.patch; do names+=("$(basename "$patch" .patch)"); done
fi
for name in "${names[@]}"; do
    [[ -f $plants/$name.patch ]] || refuse "there is no fault '$name'; see $plants/"
done

said() { # said KEY NAME: prints the KEY that a patch states in its first lines
    sed -n "s/^# $1: //p" "$plants/$2.patch"
}

places() { # places NAME: prints the files that a patch changes
    sed -n "s|^--- a/\(.*\)|\`\1\`|p" "$plants/$1.patch" | paste -sd ' '
}

for name in "${names[@]}"; do
    git apply --check "$plants/$name.patch" || refuse "$plants/$name.patch does not apply"
    [[ -n $(said what "$name") && -n $(said row "$name") && $(said pairing "$name") =~ ^[a-z-]+:[a-z-]+$ ]] ||
        refuse "$plants/$name.patch does not begin with '# what: ', '# row: ' and '# pairing: MASTER:SLAVE'"
done
if $check; then
    echo "${#names[@]} faults can be planted" >&2
    exit
fi

# The copy: all files that git tracks, with uncommitted changes.
folder=$(realpath -m "${CARGO_TARGET_DIR:-target}/plants")
tree=$folder/tree
export CARGO_TARGET_DIR=$folder/build
# Wheels and libraries with a fault need not be fast.
export CARGO_PROFILE_RELEASE_LTO=off CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16 CARGO_PROFILE_RELEASE_OPT_LEVEL=1
rm -rf "$tree"
mkdir -p "$tree" "$folder/log"
state=$(git stash create)
# The current time as modification time, so that cargo does not reuse older builds.
git archive "${state:-HEAD}" | tar -x -m -C "$tree"
echo "building the matrix …" >&2
cargo build --quiet --manifest-path "$tree/Cargo.toml" --package interop-tests --bins

apply() { # apply NAME [--reverse]
    (cd "$tree" && GIT_CEILING_DIRECTORIES=$folder git apply "${@:2}" "$OLDPWD/$plants/$1.patch")
}

life() { # life LOG PAIRING... ARGUMENT...: true if a program failed
    local log=$1 arguments=()
    shift
    while [[ ${1:-} == *:* ]]; do
        arguments+=(--pairing "$1")
        shift
    done
    # Its progress goes on to stderr.
    if "$CARGO_TARGET_DIR/debug/matrix" --scenario life "${arguments[@]}" "$@" 2>&1 >"$log" | tee "$log.progress" >&2; then
        return 1
    fi
    grep -q '^FAILED' "$log" && return 0
    echo "plant_faults.sh: the life test did not run" >&2
    exit 1
}

scripts() { # scripts LOG: prints the names of the corpus's programs that failed, or their number
    local failed
    mapfile -t failed < <(sed -n 's|^FAILED .*corpus/life/\([^ ]*\)\.life: .*|\1|p' "$1" | sort -u)
    if ((${#failed[@]} > 2)); then echo "${#failed[@]} programs"; else echo "${failed[@]}"; fi
}

shrunk() { # shrunk LOG: prints the first program that failed, in one line; it has no step if every program fails
    awk '/^  shrunk:/ { on = 1; next } on && /^    / { sub(/^ +/, ""); line = line (line ? "; " : "") $0; next } on { exit }
        END { print line ? "`" line "`" : "(no step)" }' "$1"
}

play() { # play NAME: plants it, and prints its row of the table
    local name=$1 pairing log=$folder/log/$1 by_corpus=- random='NOT FOUND'
    pairing=$(said pairing "$name")
    apply "$name"
    if [[ :$pairing: == *:rust:* ]]; then
        # The matrix is not built again: it reads segments with the unchanged core.
        cargo build --quiet --manifest-path "$tree/Cargo.toml" --package interop-tests --bin peer-rust
    fi
    if $corpus && life "$log.corpus" "$pairing" --programs 0 --stop-after 100; then
        by_corpus=$(scripts "$log.corpus")
    fi
    if life "$log.random" "$pairing" --no-corpus --seed "$seed" --programs "$programs" --stop-after 1; then
        random=$(sed -n 's/^FAILED .*, seed \([0-9]*\): .*/\1/p' "$log.random" | head -n 1)
        random+=" | $(sed -n 's/^\([0-9]*\) programs, .*/\1/p' "$log.random") | $(shrunk "$log.random")"
    else
        random+=" | $programs | "
        [[ $by_corpus != - ]] || missed+=("$name")
    fi
    apply "$name" --reverse
    echo "| \`$name\` | $(said what "$name") | $(places "$name") | $(said row "$name") | $pairing | $by_corpus | $random |"
}

echo "without a fault …" >&2
mapfile -t pairings < <(for name in "${names[@]}"; do said pairing "$name"; done | sort -u)
if life "$folder/log/without" "${pairings[0]}" "${pairings[@]:1}" --programs 40; then
    cat "$folder/log/without" >&2
    echo "plant_faults.sh: the life test fails without a fault" >&2
    exit 1
fi

missed=()
number=0
echo "| fault | what | where | row | pairing | corpus | seed | programs | shrunk program |"
echo "|---|---|---|---|---|---|---|---|---|"
for name in "${names[@]}"; do
    number=$((number + 1))
    echo "$number of ${#names[@]}: $name …" >&2
    play "$name"
done
if ((${#missed[@]})); then
    echo "NOT FOUND: ${missed[*]}" >&2
    exit 1
fi
