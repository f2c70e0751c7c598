#!/usr/bin/env bash
# The first exchange between two languages: see --help.
set -euo pipefail

usage() {
    cat <<'TEXT'
Usage: demo.sh

Builds the C++ demo and the Python wheel. Runs a C++ master with a Python slave on one segment for a moment, then a
Python master with a C++ slave, and shows what each of them printed.

Builds everything under target/demo, and installs nothing outside of it.
TEXT
}

case ${1:-} in
--help | -h)
    usage
    exit
    ;;
'') ;;
*)
    echo "demo.sh: unknown argument '$1'; see --help" >&2
    exit 2
    ;;
esac

cd "$(dirname "${BASH_SOURCE[0]}")/.."
scripts/setup.sh
mkdir -p target/demo
scripts/install.sh --prefix target/demo/prefix
if [[ ! -x target/demo/venv/bin/python ]]; then
    echo "==> making a virtual environment" >&2
    python3 -m venv target/demo/venv
fi
echo "==> pip install ./py" >&2
target/demo/venv/bin/pip install --quiet ./py

children=()
# Ends only what this script started.
end_children() {
    local pid
    for pid in ${children[@]+"${children[@]}"}; do kill "$pid" 2>/dev/null || true; done
}
trap end_children EXIT

# talk TITLE MASTER... -- SLAVE...: runs both commands, and shows their first lines side by side.
talk() {
    local title=$1 master=() slave=()
    shift
    while [[ $1 != -- ]]; do
        master+=("$1")
        shift
    done
    shift
    slave=("$@")
    "${master[@]}" >target/demo/master.txt 2>&1 &
    children+=("$!")
    "${slave[@]}" >target/demo/slave.txt 2>&1 &
    children+=("$!")
    wait "${children[@]}"
    children=()
    printf '\n%s\n' "$title"
    paste -d'|' <(head -8 target/demo/master.txt) <(head -8 target/demo/slave.txt) |
        awk -F'|' '{ printf "  %-55s %s\n", $1, $2 }'
}

python=target/demo/venv/bin/python
cpp=target/demo/prefix/bin/eshm_demo
name=demo-$$
talk "C++ master, Python slave" "$cpp" master "$name" --count 100 -- "$python" examples/simple_slave.py "$name" --count 100
talk "Python master, C++ slave" "$python" examples/simple_master.py "$name" --count 5 --interval 0.1 -- "$cpp" slave "$name" --count 5
