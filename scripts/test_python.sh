#!/usr/bin/env bash
# Builds the wheel, installs it into a virtual environment of its own, and runs everything that tests it:
# ruff, mypy, stubtest, pytest. Arguments go to pytest.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
target=${CARGO_TARGET_DIR:-$root/target}
venv=$target/venv-py
python=$venv/bin/python

step() { printf '==> %s\n' "$*"; }

if [[ ! -x $python ]]; then
    step "making a virtual environment in $venv"
    python3 -m venv "$venv"
fi
step "pip install ./py (builds the wheel; the first time takes about a minute)"
"$python" -m pip install --quiet --disable-pip-version-check --force-reinstall --no-deps "$root/py"
"$python" -m pip install --quiet --disable-pip-version-check "$root/py[test]"

cd "$root/py"
examples=("$root/examples/simple_master.py" "$root/examples/simple_slave.py")
step "ruff"
"$venv/bin/ruff" check --quiet . "${examples[@]}"
"$venv/bin/ruff" format --quiet --check . "${examples[@]}"
step "mypy --strict"
"$venv/bin/mypy" python tests "${examples[@]}"
step "stubtest: the stubs say what the module has"
# Python says since 3.12 only which objects are buffers; type checkers want to know before.
"$python" -m mypy.stubtest --ignore-unused-allowlist \
    --allowlist <(echo 'eshm\._eshm\.(Borrowed|Loan)\.__buffer__') eshm._eshm
step "pytest"
"$python" -m pytest "$@"
