#!/usr/bin/env bash
# Builds and tests the Python wheel: see --help.
set -euo pipefail

usage() {
    cat <<'TEXT'
Usage: test_python.sh [ARGUMENT...]

Builds the wheel, installs it into target/venv-py, and runs everything that tests it: abi3audit, ruff, mypy, stubtest,
pytest. Arguments go to pytest, such as -k test_text.
TEXT
}

case ${1:-} in
--help | -h)
    usage
    exit
    ;;
esac

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
target=${CARGO_TARGET_DIR:-$root/target}
venv=$target/venv-py
wheels=$target/wheels
python=$venv/bin/python

step() { printf '==> %s\n' "$*"; }

if [[ ! -x $python ]]; then
    step "making a virtual environment in $venv"
    python3 -m venv "$venv"
fi
pip() { "$python" -m pip --quiet --disable-pip-version-check "$@"; }
step "pip wheel ./py (the first time takes about a minute)"
rm -rf "$wheels"
pip wheel --no-deps --wheel-dir "$wheels" "$root/py"
wheel=("$wheels"/eshm-*.whl)
pip install --force-reinstall --no-deps "${wheel[0]}"
pip install "${wheel[0]}[test]"

step "abi3audit: the wheel uses only the part of Python's interface that its tag names"
"$venv/bin/abi3audit" --strict "${wheel[0]}"

cd "$root/py"
examples=("$root"/examples/{simple_master,simple_slave,event_loop}.py)
step "ruff"
"$venv/bin/ruff" check --quiet . "${examples[@]}"
"$venv/bin/ruff" format --quiet --check . "${examples[@]}"
step "mypy --strict"
"$venv/bin/mypy" python tests "${examples[@]}"
step "stubtest: the stubs equal the module"
# Only Python 3.12 and later state which objects are buffers; type checkers need it before.
"$python" -m mypy.stubtest --ignore-unused-allowlist \
    --allowlist <(echo 'eshm\._eshm\.(Borrowed|Loan)\.__buffer__') eshm._eshm
step "pytest"
"$python" -m pytest "$@"
