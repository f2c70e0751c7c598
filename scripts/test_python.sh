#!/usr/bin/env bash
# Builds the wheel, installs it into a virtual environment of its own, and runs everything that tests it:
# abi3audit, ruff, mypy, stubtest, pytest. Arguments go to pytest.
set -euo pipefail

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

step "abi3audit: the wheel uses no more of Python's interface than its tag says"
"$venv/bin/abi3audit" --strict "${wheel[0]}"

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
