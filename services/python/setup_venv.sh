#!/usr/bin/env bash
# Creates the virtual environment of the Python service and its tests: see --help.
set -euo pipefail

usage() {
    cat <<'TEXT'
Usage: setup_venv.sh

Creates or updates services/target/venv: the wheel eshm of this tree (the first time takes about a minute), the package
users_service (editable, with message classes generated from services/proto), and the test tools. Prints the path of its
Python; progress goes to stderr.
TEXT
}

case ${1:-} in
--help | -h)
    usage
    exit
    ;;
'') ;;
*)
    echo "setup_venv.sh: unknown argument '$1'; see --help" >&2
    exit 2
    ;;
esac

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
venv=$root/services/target/venv
python=$venv/bin/python

step() { printf '==> %s\n' "$*" >&2; }
install() { "$python" -m pip install --quiet --disable-pip-version-check "$@" >&2; }

if [[ ! -x $python ]]; then
    if ! python3 -c 'import sys, venv; sys.exit(sys.version_info < (3, 11))'; then
        echo "setup_venv.sh: Python 3.11 or newer with venv is needed: $(python3 --version)" >&2
        exit 1
    fi
    step "making a virtual environment in $venv"
    python3 -m venv "$venv"
fi
# Builds the wheel only if its sources have changed since.
sources=$(cat "$root/Cargo.lock" "$root"/core/Cargo.toml "$root"/py/Cargo.toml "$root"/py/pyproject.toml \
    "$root"/core/src/*.rs "$root"/core/src/*/*.rs "$root"/py/src/*.rs "$root"/py/python/eshm/* 2>/dev/null | sha256sum)
if [[ $sources != "$(cat "$venv/eshm.sources" 2>/dev/null)" ]]; then
    step "pip install ./py (builds the wheel)"
    install --force-reinstall --no-deps "$root/py"
    echo "$sources" >"$venv/eshm.sources"
fi
step "pip install ./services/python"
install --editable "$root/services/python[test]"
echo "$python"
