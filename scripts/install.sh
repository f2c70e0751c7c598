#!/usr/bin/env bash
# Builds the C++ and C libraries and installs them under a prefix: see --help.
set -euo pipefail

# shellcheck source=scripts/install_capi.sh
source "$(dirname "${BASH_SOURCE[0]}")/install_capi.sh"

usage() {
    cat <<'TEXT'
Usage: install.sh --prefix DIR [--only c|c++] [--debug] [--libdir DIR] [--includedir DIR] [--bindir DIR]

Builds ESHM for C++ and C and installs it under DIR:

  DIR/include/eshm/             headers; include <eshm/eshm.hpp>
  DIR/lib/libeshm_cpp.a         static library
  DIR/lib/libeshm_cpp.so        shared library
  DIR/lib/cmake/eshm/           find_package(eshm), target eshm::eshm
  DIR/lib/pkgconfig/eshm-cpp.pc
  DIR/bin/eshm_demo             try it: eshm_demo --help

  DIR/include/eshm.h            C: the header of ESHM 1.x, extended; also eshm_config.h, eshm_data.h
  DIR/lib/libeshm.a             static library
  DIR/lib/libeshm.so            shared library
  DIR/lib/cmake/ESHM/           find_package(ESHM), target ESHM::eshm
  DIR/lib/pkgconfig/eshm.pc

DIR may be moved afterwards. The script builds and copies only what is out of date.

  --prefix DIR  where to install
  --only LANG   install for C alone or for C++ alone: c, c++
  --debug       build without optimisation, with debug information
  --libdir, --includedir, --bindir DIR
                where libraries, headers and programs go, relative to the prefix: lib, include and bin by
                default. cpp/CMakeLists.txt passes those of GNUInstallDirs
  --help        this text

Needs cargo, a C++17 compiler (CXX, c++ by default; uses CXXFLAGS and LDFLAGS), a C compiler (CC, cc by default) and
binutils.
TEXT
}

fail() {
    echo "install.sh: $*" >&2
    exit 1
}

say() { echo "==> $*" >&2; }

parse() {
    prefix=
    only=
    profile=release
    libdir=lib
    includedir=include
    bindir=bin
    while (($#)); do
        case $1 in
        --prefix)
            (($# > 1)) || fail "--prefix needs a directory; see --help"
            prefix=$2
            shift
            ;;
        --prefix=*) prefix=${1#--prefix=} ;;
        --only)
            [[ ${2-} =~ ^(c|c\+\+)$ ]] || fail "--only needs c or c++; see --help"
            only=$2
            shift
            ;;
        --debug) profile=debug ;;
        --libdir | --includedir | --bindir)
            [[ ${2-} =~ ^[^/] && $2 != *..* ]] || fail "$1 needs a directory relative to the prefix; see --help"
            declare -g "${1#--}=$2"
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
    [[ -n $prefix ]] || fail "--prefix DIR is missing; see --help"
    prefix=$(realpath -m -- "$prefix")
}

need() {
    command -v "$1" >/dev/null || fail "$1 is missing; install it: $2"
}

# stale OUTPUT INPUT...: true if OUTPUT is missing or older than one of the inputs.
stale() {
    local output=$1 input
    shift
    for input in "$@"; do
        [[ $output -nt $input ]] || return 0
    done
    return 1
}

# fill_in SOURCE DESTINATION FOLDER VERSION: fills in a file that goes into FOLDER, which is relative to the prefix.
fill_in() {
    local up
    up=$(realpath --canonicalize-missing --no-symlinks --relative-to="/$3" /)
    sed -e "s|@PREFIX@|$up|g" -e "s|@LIBDIR@|$libdir|g" -e "s|@INCLUDEDIR@|$includedir|g" \
        -e "s|@VERSION@|$4|g" -e "s|@MAJOR@|${4%%.*}|g" "$1" >"$2"
}

# put MODE SOURCE DESTINATION: copies the file if it differs, so that users' builds do not see unchanged files as new.
put() {
    cmp --silent -- "$2" "$3" || install -D -m "$1" -- "$2" "$3"
}

build_archive() {
    say "cargo build ($profile)"
    local flags=()
    [[ $profile == debug ]] || flags=(--release)
    cargo build --package eshm-cpp "${flags[@]}"
    archive=$target/$profile/libeshm_cpp.a
    version=$(cargo pkgid --package eshm-cpp)
    version=${version##*[@#]}
}

# symbols FILE AWK-CONDITION: prints the names of FILE's symbols whose `bind`, `visibility` and `section` meet the condition.
symbols() {
    readelf --symbols --wide "$1" 2>/dev/null |
        awk "{ bind = \$5; visibility = \$6; section = \$7; name = \$8 } NF == 8 && ($2) { print name }" | sort -u
}

# The archive contains Rust's whole runtime, and hundreds of symbols that could clash with those of another library with
# Rust inside. This links one object from it that keeps what the API needs, and exports only the API.
build_object() {
    object=$stage/eshm_cpp.o
    api=$stage/api.txt
    stale "$object" "$archive" scripts/install.sh || return 0
    say "linking the object of both libraries"
    # The symbols that the headers mark for export. Rust mangles similarly to C++, but ends its names with a hash.
    symbols "$archive" 'section != "UND" && visibility == "DEFAULT" && (bind == "GLOBAL" || bind == "WEAK") &&
        name ~ /^_Z(N|NK|TIN|TSN|TVN)4eshm/ && name !~ /17h[0-9a-f]+E$/' >"$api"
    [[ -s $api ]] || fail "no symbol of the API in $archive: is it whole?"
    local whole=$stage/whole.o roots=() strip=()
    mapfile -t roots < <(sed 's/^/--undefined=/' "$api")
    ld -r --gc-sections --force-group-allocation "${roots[@]}" -o "$whole" "$archive"
    # Symbols left over from what --gc-sections removed; objcopy would make them required.
    symbols "$whole" 'section == "UND" && bind == "LOCAL"' >"$stage/unused.txt"
    # Variables of the C++ standard library, one per program by design: weak instead of hidden.
    symbols "$whole" 'section != "UND" && bind == "UNIQUE"' >"$stage/unique.txt"
    [[ $profile == debug ]] || strip=(--strip-debug)
    # .llvmbc is bitcode in Rust's standard library, which nothing reads here.
    objcopy "${strip[@]}" --remove-section=.llvmbc --remove-section=.llvmcmd --strip-symbols="$stage/unused.txt" \
        --weaken-symbols="$stage/unique.txt" --keep-global-symbols="$api" "$whole" "$object"
    rm "$whole"
}

build_libraries() {
    local soname=libeshm_cpp.so.${version%%.*}
    static=$stage/libeshm_cpp.a
    shared=$stage/libeshm_cpp.so.$version
    if stale "$static" "$object"; then
        say "static library"
        rm -f "$static"
        ar rcsD "$static" "$object"
    fi
    if stale "$shared" "$object"; then
        say "shared library"
        {
            echo "ESHM_CPP_${version%%.*} {"
            echo "global:"
            sed 's/$/;/' "$api"
            echo "local: *;"
            echo "};"
        } >"$stage/exports.map"
        # nodelete: the background thread must not lose its code to a dlclose.
        # shellcheck disable=SC2086 # the flags are words
        "$cxx" -shared -o "$shared" "$object" -Wl,-soname,"$soname" -Wl,--version-script,"$stage/exports.map" \
            -Wl,-z,defs -Wl,-z,nodelete ${LDFLAGS:-} -pthread -ldl -lm -lrt
    fi
}

build_demo() {
    demo=$stage/eshm_demo
    local source=cpp/examples/eshm_demo.cpp optimise=-O2
    stale "$demo" "$static" "$source" cpp/include/eshm/*.hpp || return 0
    [[ $profile == release ]] || optimise=-g
    say "eshm_demo"
    # shellcheck disable=SC2086 # the flags are words
    "$cxx" -std=c++17 $optimise -Wall -Wextra ${CXXFLAGS:-} -I cpp/include "$source" "$static" -o "$demo" \
        ${LDFLAGS:-} -pthread -ldl -lm -lrt
}

install_all() {
    local header file package=$libdir/cmake/eshm
    for header in cpp/include/eshm/*.hpp cpp/include/eshm/asio/*.hpp; do
        put 644 "$header" "$prefix/$includedir/${header#cpp/include/}"
    done
    put 644 "$static" "$prefix/$libdir/libeshm_cpp.a"
    put 755 "$shared" "$prefix/$libdir/${shared##*/}"
    ln -sfn "${shared##*/}" "$prefix/$libdir/libeshm_cpp.so.${version%%.*}"
    ln -sfn "libeshm_cpp.so.${version%%.*}" "$prefix/$libdir/libeshm_cpp.so"
    put 755 "$demo" "$prefix/$bindir/eshm_demo"
    for file in eshmConfig.cmake eshmConfigVersion.cmake; do
        fill_in "cpp/cmake/$file" "$stage/$file" "$package" "$version"
        put 644 "$stage/$file" "$prefix/$package/$file"
    done
    fill_in cpp/cmake/eshm-cpp.pc "$stage/eshm-cpp.pc" "$libdir/pkgconfig" "$version"
    put 644 "$stage/eshm-cpp.pc" "$prefix/$libdir/pkgconfig/eshm-cpp.pc"
    say "installed eshm-cpp $version in $prefix"
}

main() {
    parse "$@"
    cd "$(dirname "${BASH_SOURCE[0]}")/.."
    cxx=${CXX:-c++}
    need cargo "see rustup.rs, or your distribution's package 'cargo'"
    [[ $only == c ]] || need "$cxx" "the package 'g++' or 'clang', or set CXX"
    [[ $only == c++ ]] || need "${CC:-cc}" "the package 'gcc' or 'clang', or set CC"
    for tool in ld ar objcopy readelf; do
        need "$tool" "the package 'binutils'"
    done
    target=${CARGO_TARGET_DIR:-target}
    stage=$target/cpp/$profile
    mkdir -p "$stage"
    # Two runs at the same time would build the same files.
    exec 9>"$stage/lock"
    flock 9
    if [[ $only != c ]]; then
        build_archive
        build_object
        build_libraries
        build_demo
    fi
    if [[ $only != c++ ]]; then
        build_capi
        install_capi
    fi
    [[ $only == c ]] || install_all
}

main "$@"
