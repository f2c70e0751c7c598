#!/usr/bin/env bash
# Tests the C package as an outside project uses it: see --help.
set -euo pipefail

usage() {
    cat <<'TEXT'
Usage: test_capi.sh [--no-sanitizers]

Installs ESHM for C under target/capi/prefix, then
  - checks the formatting of every C file, and the headers against the Rust side
  - checks that the libraries export exactly the functions of eshm.h
  - moves the package, builds the programs in capi/tests/programs against it as C99 and C++17, with all warnings as
    errors, with CMake (static, shared) and with pkg-config, and runs them
  - builds and runs capi/examples
  - runs the programs again under AddressSanitizer and UndefinedBehaviorSanitizer, and under valgrind if it is installed

Builds only what is out of date. Needs cargo, cc, c++, cmake and pkg-config.
TEXT
}

fail() {
    echo "test_capi.sh: $*" >&2
    exit 1
}

say() { echo "==> $*" >&2; }

need() {
    command -v "$1" >/dev/null || fail "$1 is missing; install it: apt-get install $2"
}

check_format() {
    if ! command -v clang-format >/dev/null; then
        say "clang-format is missing: formatting is not checked"
        return
    fi
    say "clang-format"
    find capi interop-tests/peers/{c,legacy} -name '*.[ch]' -print0 -o -name '*.cpp' -print0 |
        xargs --null clang-format --dry-run -Werror
}

# Both libraries export exactly the functions that the header declares.
check_exports() {
    local library declared shown
    declared=$(sed --quiet --regexp-extended 's/^ESHM_API .*\b(eshm_[a-z_]+)\(.*/\1/p' capi/include/eshm.h | sort)
    for library in libeshm.so libeshm.a; do
        say "symbols of $library"
        local dynamic=()
        [[ $library == *.a ]] || dynamic=(--dynamic)
        shown=$(nm "${dynamic[@]}" --defined-only --extern-only "$prefix/lib/$library" |
            awk 'NF == 3 && $2 != "A" { sub(/@.*/, "", $3); print $3 }' | sort)
        diff <(echo "$declared") <(echo "$shown") >&2 || fail "$library does not export exactly what eshm.h declares"
    done
    readelf --dynamic "$prefix/lib/libeshm.so" | grep --quiet 'SONAME.*\[libeshm\.so\.2\]' ||
        fail "libeshm.so does not have the soname libeshm.so.2"
}

# A second installation must not touch files that users' builds depend on.
check_repeat() {
    say "install, again"
    local before
    before=$(find "$prefix" -type f -printf '%p %T@\n' | sort)
    ./scripts/install.sh --only c --prefix "$prefix"
    diff <(echo "$before") <(find "$prefix" -type f -printf '%p %T@\n' | sort) >&2 ||
        fail "files that did not change were installed again"
}

# test_cmake BUILD PREFIX OPTION...: configures, builds and runs the programs in BUILD.
test_cmake() {
    local build=$1 from=$2
    shift 2
    say "CMake: $build"
    cmake -S capi/tests/programs -B "$build" -DCMAKE_BUILD_TYPE=Debug -DCMAKE_PREFIX_PATH="$from" "$@" >/dev/null
    cmake --build "$build" --parallel "$(nproc)"
    ctest --test-dir "$build" --output-on-failure --no-tests=error
}

# Compiles each header alone, in each language and version that a program may use.
test_headers() {
    local header standard
    for header in eshm eshm_config eshm_data; do
        for standard in c99 c11 c17; do
            printf '#include <%s.h>\nextern int unit;\n' "$header" |
                cc -std=$standard -Wall -Wextra -Werror -pedantic -I "$moved/include" -fsyntax-only -x c -
        done
        for standard in c++11 c++17 c++20; do
            printf '#include <%s.h>\nextern int unit;\n' "$header" |
                c++ -std=$standard -Wall -Wextra -Werror -pedantic -I "$moved/include" -fsyntax-only -x c++ -
        done
    done
    say "headers: each alone, C99 to C17 and C++11 to C++20"
}

test_pkg_config() {
    say "pkg-config"
    local flags static
    local strict=(-Wall -Wextra -Werror -pedantic)
    export PKG_CONFIG_PATH=$moved/lib/pkgconfig
    read -ra flags < <(pkg-config --cflags --libs eshm)
    read -ra static < <(pkg-config --static --cflags --libs eshm)
    cc -std=c99 "${strict[@]}" capi/tests/programs/old_program.c "${flags[@]}" -o "$work/old-program-c"
    c++ -std=c++17 "${strict[@]}" capi/tests/programs/old_program.cpp "${flags[@]}" -pthread -o "$work/old-program-cpp"
    LD_LIBRARY_PATH=$moved/lib "$work/old-program-c"
    LD_LIBRARY_PATH=$moved/lib "$work/old-program-cpp"
    cc -std=c99 "${strict[@]}" capi/tests/programs/old_program.c -static-libgcc -Wl,-Bstatic "${static[@]}" \
        -Wl,-Bdynamic -o "$work/old-program-static"
    "$work/old-program-static" >/dev/null
    cc -O2 "${strict[@]}" capi/examples/measure.c "${static[@]}" -o "$work/measure"
    LD_LIBRARY_PATH=$moved/lib "$work/measure" 0.05
    cc -std=c99 "${strict[@]}" capi/examples/segments.c "${flags[@]}" -o "$work/segments"
    LD_LIBRARY_PATH=$moved/lib "$work/segments" >/dev/null
    cc -std=gnu99 "${strict[@]}" capi/examples/event_loop.c "${flags[@]}" -o "$work/event-loop"
    LD_LIBRARY_PATH=$moved/lib "$work/event-loop"
    # The kit runs it with the demos of the other languages.
    cc -std=c99 "${strict[@]}" capi/examples/hello.c "${flags[@]}" -o "$work/hello"
    ! ldd "$work/old-program-static" | grep libeshm || fail "the static program uses libeshm.so"
}

test_valgrind() {
    if ! command -v valgrind >/dev/null; then
        say "valgrind is missing: skipped"
        return
    fi
    say "valgrind"
    valgrind --quiet --error-exitcode=9 "$work/static/bad_input"
    valgrind --quiet --error-exitcode=9 "$work/static/messages"
}

main() {
    local sanitizers=true
    while (($#)); do
        case $1 in
        --no-sanitizers) sanitizers=false ;;
        --help | -h)
            usage
            exit
            ;;
        *) fail "unknown argument '$1'; see --help" ;;
        esac
        shift
    done
    cd "$(dirname "${BASH_SOURCE[0]}")/.."
    work=$(realpath -m "${CARGO_TARGET_DIR:-target}")/capi
    prefix=$work/prefix
    moved=$work/moved-prefix

    need cargo cargo
    need cc gcc
    need c++ g++
    need cmake cmake
    need pkg-config pkg-config
    check_format
    say "layout of the headers"
    cargo test --quiet --package eshm-capi
    ./scripts/install.sh --only c --prefix "$prefix"
    check_repeat
    check_exports
    # The package must work from any place.
    mkdir -p "$moved"
    cp --archive --update "$prefix/." "$moved"
    test_headers
    test_pkg_config
    test_cmake "$work/static" "$moved"
    test_cmake "$work/shared" "$moved" -DSHARED_LIBRARY=ON
    if $sanitizers; then
        local options="-fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer"
        test_cmake "$work/sanitized" "$moved" -DCMAKE_C_FLAGS="$options" -DCMAKE_CXX_FLAGS="$options"
        test_valgrind
    fi
    say "C: all passed"
}

main "$@"
