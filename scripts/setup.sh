#!/usr/bin/env bash
# Makes sure that the tools which the build and the tests need are there: see --help.
set -euo pipefail

usage() {
    cat <<'TEXT'
Usage: setup.sh

Looks for the tools that building and testing all languages needs, and installs what is missing with apt-get where that
is at hand and allowed; otherwise it names what is missing and how to install it, and fails.

Rust (cargo 1.88 or newer, with rustfmt and clippy), Python (3.9 or newer, with venv), a C++17 compiler, CMake,
GoogleTest, clang-format, binutils, pkg-config, curl, Go (1.24 or newer).
TEXT
}

case ${1:-} in
--help | -h)
    usage
    exit
    ;;
'') ;;
*)
    echo "setup.sh: unknown argument '$1'; see --help" >&2
    exit 2
    ;;
esac

missing=()
need() { # need COMMAND PACKAGE
    command -v "$1" >/dev/null || missing+=("$2")
}
need c++ g++
need cmake cmake
need clang-format clang-format
need objcopy binutils
need pkg-config pkg-config
need curl curl
need python3 python3
[[ -e /usr/include/gtest/gtest.h ]] || missing+=(libgtest-dev)
python3 -c 'import ensurepip, venv' 2>/dev/null || missing+=(python3-venv)

if ((${#missing[@]})); then
    echo "==> missing: ${missing[*]}" >&2
    if command -v apt-get >/dev/null && [[ $(id -u) == 0 ]]; then
        echo "==> apt-get install ${missing[*]}" >&2
        apt-get update -qq
        DEBIAN_FRONTEND=noninteractive apt-get install -y -qq "${missing[@]}" >/dev/null
    else
        echo "setup.sh: install them first: sudo apt-get install ${missing[*]}" >&2
        exit 1
    fi
fi

if ! command -v cargo >/dev/null; then
    echo "setup.sh: cargo is missing: install Rust 1.88 or newer (rustup, with its default components)" >&2
    exit 1
fi
if ! command -v go >/dev/null; then
    echo "setup.sh: go is missing: install Go 1.24 or newer (go.dev/dl, or a recent golang package)" >&2
    exit 1
fi
if ! cargo fmt --version >/dev/null 2>&1 || ! cargo clippy --version >/dev/null 2>&1; then
    echo "setup.sh: rustfmt or clippy is missing: rustup component add rustfmt clippy" >&2
    exit 1
fi
