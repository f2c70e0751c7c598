#!/usr/bin/env bash
# Counts the instructions of each verb, and compares them with the record: see --help.
set -euo pipefail

usage() {
    cat <<'TEXT'
Usage: test_instructions.sh [--update] [--record FILE] [--counts FILE]

Counts the instructions of each verb at both ends with callgrind, for 56 and 4096 bytes, in Rust and C, built in
release, and compares the counts with the record, interop-tests/instructions/record.tsv. Fails if a count is more than
2 % off, up or down, and prints both numbers. Takes about 15 seconds once everything is built.

The count of a line is that of one call at one end: a sender whose queue has room, or a receiver whose message is there,
so that nobody waits and nobody is woken. It is the difference between 500 calls and 100, divided by 400. It contains
the loop around the call. A batch has 8 messages. Neither the load of the machine nor its clock speed changes a count.

  --update       write what was counted into the record
  --record FILE  use this record
  --counts FILE  compare these counts, which have the form of a record, in place of counting

Exit status:
  0  every count is within 2 % of the record
  1  a count is further off, a line is missing, or nothing could be counted
  2  wrong arguments
  3  the record was made on another architecture, or with another compiler, C library or valgrind. The table shows the
     differences, but they do not tell whether a change of the code has caused them. To compare two commits on this
     machine, run --update with one record file at the first commit, and compare with it at the second:
       ./scripts/test_instructions.sh --record /tmp/before.tsv --update
       git switch my-branch && ./scripts/test_instructions.sh --record /tmp/before.tsv

When a count has changed on purpose, run --update on a machine with the recorded tools, look at `git diff`, and commit
the record with the change. To see where the instructions are, after a run:
  callgrind_annotate --inclusive=yes target/instructions/rust.out.3
The parts are numbered in the order of target/instructions/rust.txt, and so are those of C: c.out.*, c.txt.

Needs cargo, cc, binutils, pkg-config and valgrind.
TEXT
}

fail() {
    echo "test_instructions.sh: $*" >&2
    exit 1
}

wrong() {
    echo "test_instructions.sh: $*; see --help" >&2
    exit 2
}

say() { echo "==> $*" >&2; }

need() {
    command -v "$1" >/dev/null || fail "$1 is missing; install it: ${*:2}"
}

build() {
    say "building the programs in Rust and C"
    cargo build --quiet --release --package instructions
    ./scripts/install.sh --only c --prefix "$target/capi/prefix" 2>"$work/install.txt" || {
        cat "$work/install.txt" >&2
        fail "the C library does not build"
    }
    local library
    read -ra library < <(PKG_CONFIG_PATH=$target/capi/prefix/lib/pkgconfig pkg-config --static --cflags --libs eshm)
    cc -O2 -std=c11 -D_GNU_SOURCE -Wall -Wextra -Werror interop-tests/instructions/instructions.c -o "$work/c" \
        -static-libgcc -Wl,-Bstatic "${library[@]}" -Wl,-Bdynamic
}

# What the counts depend on besides this repository.
tools() {
    echo "# architecture: $(rustc -vV | sed -n 's/^host: //p')"
    echo "# rustc: $(rustc --version)${RUSTFLAGS:+, RUSTFLAGS=$RUSTFLAGS}"
    echo "# cc: $(cc --version | head -n 1)"
    echo "# libc: $(getconf GNU_LIBC_VERSION 2>/dev/null || echo unknown)"
    echo "# valgrind: $(valgrind --version)"
}

# count LANGUAGE PROGRAM: one line per verb and size, as in the record.
count() {
    local language=$1 program=$2 parts part=0 line
    say "callgrind: $language"
    rm -f "$work/$language".out*
    # The copies of the C library that every processor has: those of other instruction sets take other counts.
    GLIBC_TUNABLES=glibc.cpu.hwcaps=-AVX2,-AVX2_Usable,-AVX_Fast_Unaligned_Load,-ERMS,-SSSE3 \
        valgrind --tool=callgrind --collect-atstart=no --toggle-collect='*counted*' --dump-after='*part_ends*' \
        --callgrind-out-file="$work/$language.out" "$program" >"$work/$language.txt" 2>"$work/$language.err" || {
        cat "$work/$language.err" >&2
        fail "the program in $language fails under callgrind"
    }
    mapfile -t parts <"$work/$language.txt"
    for line in "${parts[@]}"; do
        part=$((part + 1))
        [[ -f $work/$language.out.$part ]] || fail "callgrind has written no part $part for: $line"
        echo "$line $(sed -n 's/^summary: //p' "$work/$language.out.$part")"
    done | awk -v OFS='\t' '
        # Each verb has three parts: the first calls, few calls and many calls.
        NR % 3 == 2 { few = $5; fewer = $6 }
        NR % 3 == 0 { print $1, $2, $3, $4, sprintf("%.2f", ($6 - fewer) / ($5 - few)) }'
}

count_all() {
    need cargo "with rustup"
    need cc "apt-get install gcc"
    need pkg-config "apt-get install pkg-config"
    need valgrind "apt-get install valgrind"
    build
    {
        echo "# Instructions per call. ./scripts/test_instructions.sh --update writes this file; --help explains it."
        tools
        printf 'language\tend\tverb\tbytes\tinstructions\n'
        count rust "$target/release/instructions"
        count c "$work/c"
    } >"$counts"
}

# Prints every line with both numbers. Fails if one is off.
compare() {
    awk -F '\t' -v most=2 '
        /^#/ || $1 == "language" { next }
        { key = sprintf("%-4s %-8s %-29s %4s", $1, $2, $3, $4) }
        NR == FNR { recorded[key] = $5; next }
        !(key in recorded) { print key "  is not in the record; counted: " $5; off = 1; next }
        {
            difference = recorded[key] ? ($5 - recorded[key]) / recorded[key] * 100 : 100
            wrong = difference > most || difference < -most
            printf "%s  recorded %8.2f  counted %8.2f  %+6.2f %%%s\n", key, recorded[key], $5, difference, wrong ? "  OFF" : ""
            if (wrong) off = 1
            delete recorded[key]
        }
        END {
            for (key in recorded) { print key "  is in the record, and was not counted"; off = 1 }
            exit off
        }' "$record" "$counts"
}

main() {
    # Decimals have a point.
    export LC_ALL=C
    local update=false record='' counts='' target work differences
    while (($#)); do
        case $1 in
        --help | -h)
            usage
            exit
            ;;
        --update) update=true ;;
        --record | --counts)
            (($# > 1)) || wrong "$1 needs a file"
            if [[ $1 == --record ]]; then record=$(realpath -m -- "$2"); else counts=$(realpath -m -- "$2"); fi
            shift
            ;;
        *) wrong "unknown argument '$1'" ;;
        esac
        shift
    done
    cd "$(dirname "${BASH_SOURCE[0]}")/.."
    record=${record:-interop-tests/instructions/record.tsv}
    target=$(realpath -m "${CARGO_TARGET_DIR:-target}")
    work=$target/instructions
    mkdir -p "$work"
    if [[ -n $counts ]]; then
        [[ -f $counts ]] || wrong "there is no file $counts"
    else
        counts=$work/counted.tsv
        count_all
    fi
    if $update; then
        if [[ -f $record ]]; then compare || true; fi
        cp "$counts" "$record"
        say "$record is written"
        return
    fi
    [[ -f $record ]] || fail "there is no record $record; --update makes it"
    if differences=$(diff <(grep '^# [a-z]*: ' "$record") <(grep '^# [a-z]*: ' "$counts")); then
        compare || fail "counts are more than 2 % off the record. If the change is meant, write them into the record with" \
            "./scripts/test_instructions.sh --update, and commit $record"
        say "instructions: every count is within 2 % of the record"
        return
    fi
    compare || true
    {
        echo "test_instructions.sh: NOT COMPARED: the record was made with other tools, so that this is no regression and no pass:"
        sed -n 's/^< # /  the record was made with  /p; s/^> # /  this machine has          /p' <<<"$differences"
        echo "To make a record with these tools, run ./scripts/test_instructions.sh --update"
    } >&2
    exit 3
}

main "$@"
