#!/usr/bin/env bash
# Tests the C++ package as an outside project uses it: see --help.
set -euo pipefail

usage() {
    cat <<'TEXT'
Usage: test_cpp.sh [--no-sanitizers | --only-format]

Installs ESHM for C++ under target/cpp/prefix, then
  - checks the formatting of every C and C++ file
  - checks that the libraries export only the API
  - compiles the examples in README.md and in the headers
  - runs cpp/tests against the package: C++17 and C++20, static and shared, found by CMake and by pkg-config
  - installs with CMake into directories of its own, and builds a project against that
  - runs them again under AddressSanitizer and UndefinedBehaviorSanitizer

  --no-sanitizers  without the last part
  --only-format    only the formatting

Installs missing tools with apt-get as root. Builds only what is out of date.
TEXT
}

fail() {
    echo "test_cpp.sh: $*" >&2
    exit 1
}

say() { echo "==> $*" >&2; }

# need PACKAGE COMMAND...: installs PACKAGE unless COMMAND succeeds.
need() {
    local package=$1
    shift
    if "$@" &>/dev/null; then
        return
    fi
    if [[ $EUID -eq 0 ]] && command -v apt-get >/dev/null; then
        say "apt-get install $package"
        if DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends "$package" >/dev/null; then
            return
        fi
    fi
    fail "$package is missing; install it: apt-get install $package"
}

check_format() {
    say "clang-format"
    comm --zero-terminated -23 \
        <(git ls-files --cached --others --exclude-standard -z '*.cc' '*.cpp' '*.hpp' '*.h' '*.c' | sort --zero-terminated) \
        <(git ls-files --deleted -z | sort --zero-terminated) |
        xargs --null --no-run-if-empty clang-format --dry-run -Werror
}

# The libraries may export only names of the namespace eshm, and the standard library's weak variables.
check_exports() {
    local library foreign
    local expected='^((typeinfo( name)? for |vtable for )?eshm|std)::[A-Za-z_:]+|^ESHM_CPP_2$'
    for library in libeshm_cpp.so libeshm_cpp.a; do
        say "symbols of $library"
        local dynamic=()
        [[ $library == *.a ]] || dynamic=(--dynamic)
        foreign=$(nm "${dynamic[@]}" --defined-only --extern-only "$prefix/lib/$library" |
            awk 'NF == 3 { print $3 }' | c++filt | grep --invert-match --extended-regexp "$expected" || true)
        [[ -z $foreign ]] || fail "$library exports more than the API:"$'\n'"$foreign"
    done
}

# A second installation must not touch files that users' builds depend on.
check_repeat() {
    say "install, again"
    local before
    before=$(find "$prefix" -type f -printf '%p %T@\n' | sort)
    ./scripts/install.sh --only c++ --prefix "$prefix"
    diff <(echo "$before") <(find "$prefix" -type f -printf '%p %T@\n' | sort) ||
        fail "files that did not change were installed again"
}

# run_tests BUILD PREFIX OPTION...: configures, builds and runs cpp/tests in BUILD.
run_tests() {
    local build=$1 from=$2
    shift 2
    say "tests in $build"
    cmake -S cpp/tests -B "$build" -DCMAKE_BUILD_TYPE=Debug -Deshm_ROOT="$from" "$@" >/dev/null
    cmake --build "$build" --parallel "$(nproc)"
    ctest --test-dir "$build" --output-on-failure --progress --parallel "$(nproc)" --no-tests=error
}

# Compiles the examples that have an #include; wraps an example without main in a function.
check_examples() {
    local file examples=$target/cpp/examples
    say "examples in README.md and the headers"
    rm -rf "$examples"
    mkdir -p "$examples"
    for file in README.md cpp/include/eshm/*.hpp; do
        sed -E 's|^ */// ?||' "$file" | awk -v prefix="$examples/${file##*/}" '
            /^```cpp$/ { open = 1; head = body = ""; next }
            /^```$/ && open {
                open = 0
                if (head !~ /<eshm\//) next
                if (body !~ /int main/) body = "void example() {\n" body "}\n"
                printf "%s%s", head, body > (prefix "-" ++count ".cpp")
            }
            open && /^(#|using namespace)/ { head = head $0 "\n"; next }
            open { body = body $0 "\n" }'
    done
    [[ -f $examples/README.md-1.cpp ]] || fail "README.md has no example in C++"
    for file in "$examples"/*.cpp; do
        "${CXX:-c++}" -std=c++17 -fsyntax-only -Wall -Wextra -I "$prefix/include" "$file"
    done
}

test_pkg_config() {
    say "pkg-config"
    local flags
    read -ra flags < <(PKG_CONFIG_PATH=$moved/lib/pkgconfig pkg-config --cflags --libs eshm-cpp)
    "${CXX:-c++}" -std=c++17 cpp/tests/consumer/main.cpp "${flags[@]}" -o "$target/cpp/with-pkg-config"
    LD_LIBRARY_PATH=$moved/lib "$target/cpp/with-pkg-config" >/dev/null
}

# A package that CMake installs into directories other than the defaults, and a project that finds it.
test_cmake_install() {
    local build=$target/cpp/cmake-install libdir=lib64/nested kind
    local package=$build/prefix/$libdir
    say "cmake --install, with directories of its own"
    rm -rf "$build"
    cmake -S cpp -B "$build" -DCMAKE_BUILD_TYPE=Release -DCMAKE_INSTALL_LIBDIR="$libdir" \
        -DCMAKE_INSTALL_INCLUDEDIR=include/nested -DCMAKE_INSTALL_BINDIR=libexec >/dev/null
    cmake --build "$build"
    cmake --install "$build" --prefix "$build/prefix" >/dev/null
    [[ $(ls "$build/prefix") == $'include\nlib64\nlibexec' ]] || fail "the package has other directories"
    for kind in static shared; do
        cmake -S cpp/tests/consumer -B "$build/$kind" -Deshm_DIR="$package/cmake/eshm" -DKIND="$kind" >/dev/null
        cmake --build "$build/$kind"
        "$build/$kind/consumer" >/dev/null
    done
    [[ $(PKG_CONFIG_PATH=$package/pkgconfig pkg-config --variable=includedir eshm-cpp) -ef $build/prefix/include/nested ]] ||
        fail "pkg-config names another directory of headers"
}

test_sanitized() {
    local options="-fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer"
    local own=$target/cpp/sanitized
    say "install, with sanitizers"
    CARGO_TARGET_DIR=$own CXXFLAGS=$options LDFLAGS=$options ./scripts/install.sh --only c++ --debug --prefix "$own/prefix"
    CXXFLAGS=$options LDFLAGS=$options run_tests "$own/tests" "$own/prefix" -DONE_SUITE=ON
}

main() {
    local sanitizers=true only_format=false
    while (($#)); do
        case $1 in
        --no-sanitizers) sanitizers=false ;;
        --only-format) only_format=true ;;
        --help | -h)
            usage
            exit
            ;;
        *) fail "unknown argument '$1'; see --help" ;;
        esac
        shift
    done
    cd "$(dirname "${BASH_SOURCE[0]}")/.."
    target=$(realpath -m "${CARGO_TARGET_DIR:-target}")
    prefix=$target/cpp/prefix
    moved=$target/cpp/moved-prefix

    need clang-format command -v clang-format
    if $only_format; then
        check_format
        return
    fi
    need cmake command -v cmake
    need ninja-build command -v ninja
    need pkg-config command -v pkg-config
    need libgtest-dev "${CXX:-c++}" -fsyntax-only -include gtest/gtest.h -x c++ /dev/null
    need libasio-dev "${CXX:-c++}" -fsyntax-only -include asio/version.hpp -x c++ /dev/null
    need libboost-dev "${CXX:-c++}" -fsyntax-only -include boost/asio/version.hpp -x c++ /dev/null
    export CMAKE_GENERATOR=Ninja CLICOLOR_FORCE=0

    check_format
    ./scripts/install.sh --only c++ --prefix "$prefix"
    check_repeat
    check_exports
    check_examples
    # The package must work from any place.
    mkdir -p "$moved"
    cp --archive --update "$prefix/." "$moved"
    run_tests "$target/cpp/tests" "$prefix" -DMOVED_PREFIX="$moved"
    test_pkg_config
    test_cmake_install
    if $sanitizers; then
        test_sanitized
    fi
    say "C++: all passed"
}

main "$@"
