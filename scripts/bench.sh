#!/usr/bin/env bash
# Measures ESHM beside the physical limit and its rivals: see --help.
set -euo pipefail

usage() {
    cat <<'TEXT'
Usage: bench.sh [--quick] [--only GROUP]...

Builds the benchmark and its C++, Python and Go programs, and runs them. First what a user meets, in Rust, Python and Go
beside a Unix socket, iceoryx2 and shmipc: bursts after a rest, one CPU, many pairs on two CPUs, a call every 5 ms,
nothing pinned. Then the limit, two processes on two processors: ESHM in each language, the raw limits of the machine,
iceoryx2, shmipc, Unix socket, TCP loopback and pipe. Prints the tables, and writes report.md, report.json, plots (SVG)
and summary.md, the table of the README, to bench/report/.

  --quick       fewer rounds and shorter timings: some eight minutes instead of some 20
  --only GROUP  only the groups whose names begin with GROUP (may be repeated):
                what a user meets: bursts (bursts-apart: pinned apart), one-cpu, crowded, paced, unpinned
                the limit: languages, streams, waiting, parked, copies, size-64, window-64, guide ...
                waiting has waiting-epoll (beside an eventfd) and waiting-loops (tokio and asyncio beside a Unix socket)
  --help        this text

The report names what cannot be built or fails, with the reason, and on a machine with one processor the groups that
need two. Run it on an idle machine: the benchmark repeats disturbed measurements, but only a limited number of times.
Logs of the builds are in target/bench/logs.
TEXT
}

fail() {
    echo "bench.sh: $*" >&2
    exit 1
}

say() { echo "==> $*" >&2; }

# build NAME COMMAND...: runs a build with its output in a log; if it fails, the report lists NAME as absent.
build() {
    local name=$1 log=$logs/$1.log
    shift
    if "$@" >"$log" 2>&1; then
        return 0
    fi
    say "$name cannot be built; see $log"
    tail -n 5 "$log" >&2
    absent+=(--absent "$name=cannot be built: $(grep --max-count=1 --ignore-case error "$log" || tail -n 1 "$log")")
    return 1
}

build_bench() {
    cargo build --release --manifest-path bench/Cargo.toml --features "$1"
}

# Builds all rivals at once; if that fails, each one alone, to find out which one fails.
build_rivals() {
    local rivals=(iceoryx2 shmipc) built=() rival
    say "building the benchmark with ${rivals[*]} (the first time takes about a minute)"
    if build_bench "${rivals[*]}" >"$logs/rivals.log" 2>&1; then
        return
    fi
    say "building without rivals"
    build_bench "" || fail "the benchmark itself cannot be built"
    for rival in "${rivals[@]}"; do
        say "building with $rival"
        if build "$rival" build_bench "$rival"; then
            built+=("$rival")
        fi
    done
    build_bench "${built[*]}" >"$logs/built.log" 2>&1 || fail "the rivals build one by one, but not together: see $logs/built.log"
}

build_cpp() {
    scripts/install.sh --prefix "$work/prefix"
    cmake -S bench/cpp -B "$work/cpp" -DCMAKE_BUILD_TYPE=Release -Deshm_ROOT="$work/prefix"
    cmake --build "$work/cpp" --parallel
}

build_python() {
    [[ -x $python ]] || python3 -m venv "$work/venv"
    "$python" -m pip install --quiet --disable-pip-version-check --force-reinstall --no-deps ./py
}

build_go() {
    go build -C bench/go -o "$work/contestant_go" .
}

main() {
    local options=()
    while (($#)); do
        case $1 in
        --quick) options+=(--quick) ;;
        --only)
            (($# > 1)) || fail "--only needs a group; see --help"
            options+=(--only "$2")
            shift
            ;;
        --help | -h)
            usage
            exit
            ;;
        *) fail "unknown argument '$1'; see --help" ;;
        esac
        shift
    done
    cd "$(dirname "${BASH_SOURCE[0]}")/.."
    work=$PWD/target/bench
    logs=$work/logs
    python=$work/venv/bin/python
    absent=()
    mkdir -p "$logs"

    build_rivals
    say "building the C++ programs"
    if build cpp build_cpp; then
        options+=(--language "cpp=$work/cpp/contestant")
        options+=(--guide "cpp-master=$work/cpp/benchmark_master" --guide "cpp-slave=$work/cpp/benchmark_slave")
    fi
    say "building the Python wheel"
    if build python build_python; then
        options+=(--language "python=$python bench/python/contestant.py" --interpreter "$python")
        options+=(--guide "python-master=$python bench/guide/benchmark_master.py")
        options+=(--guide "python-slave=$python bench/guide/benchmark_slave.py")
    fi
    say "building the Go program"
    if build go build_go; then
        options+=(--language "go=$work/contestant_go")
    fi
    bench/target/release/bench run --report bench/report ${absent[@]+"${absent[@]}"} "${options[@]}"
}

main "$@"
