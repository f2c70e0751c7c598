# shellcheck shell=bash
# The C part of install.sh, which sources this file: builds libeshm.a and libeshm.so, and installs them.
# It uses install.sh's functions and variables.
# shellcheck disable=SC2154 # install.sh assigns them

build_capi() {
    say "cargo build eshm-capi ($profile)"
    local flags=() archive=$target/$profile/libeshm_capi.a
    [[ $profile == debug ]] || flags=(--release)
    cargo build --package eshm-capi "${flags[@]}"
    capi_version=$(cargo pkgid --package eshm-capi)
    capi_version=${capi_version##*[@#]}
    capi_stage=$target/capi/$profile
    mkdir -p "$capi_stage"
    capi_object "$archive"
    capi_libraries
}

# As for C++: links one object from the whole archive, which exports only what the header declares with ESHM_API.
capi_object() {
    local archive=$1 api=$capi_stage/api.txt whole=$capi_stage/whole.o roots=() strip=()
    capi_object_file=$capi_stage/eshm.o
    stale "$capi_object_file" "$archive" capi/include/eshm.h scripts/install_capi.sh || return 0
    say "linking the object of both libraries of C"
    sed --quiet --regexp-extended 's/^ESHM_API .*\b(eshm_[a-z_]+)\(.*/\1/p' capi/include/eshm.h | sort -u >"$api"
    mapfile -t roots < <(sed 's/^/--undefined=/' "$api")
    ld -r --gc-sections --force-group-allocation "${roots[@]}" -o "$whole" "$archive"
    symbols "$whole" 'section == "UND" && bind == "LOCAL"' >"$capi_stage/unused.txt"
    [[ $profile == debug ]] || strip=(--strip-debug)
    objcopy "${strip[@]}" --remove-section=.llvmbc --remove-section=.llvmcmd \
        --strip-symbols="$capi_stage/unused.txt" --keep-global-symbols="$api" "$whole" "$capi_object_file"
    rm "$whole"
}

capi_libraries() {
    capi_static=$capi_stage/libeshm.a
    capi_shared=$capi_stage/libeshm.so.$capi_version
    if stale "$capi_static" "$capi_object_file"; then
        say "libeshm.a"
        rm -f "$capi_static"
        ar rcsD "$capi_static" "$capi_object_file"
    fi
    if stale "$capi_shared" "$capi_object_file"; then
        say "libeshm.so"
        {
            echo "ESHM_${capi_version%%.*} {"
            echo "global:"
            sed 's/$/;/' "$capi_stage/api.txt"
            echo "local: *;"
            echo "};"
        } >"$capi_stage/exports.map"
        # nodelete: the background thread must not lose its code to a dlclose.
        # shellcheck disable=SC2086 # the flags are words
        "${CC:-cc}" -shared -o "$capi_shared" "$capi_object_file" -Wl,-soname,"libeshm.so.${capi_version%%.*}" \
            -Wl,--version-script,"$capi_stage/exports.map" -Wl,-z,defs -Wl,-z,nodelete -Wl,--as-needed \
            ${LDFLAGS:-} -pthread -ldl -lm -lrt
    fi
}

install_capi() {
    local file header major=${capi_version%%.*} package=$libdir/cmake/ESHM
    for header in capi/include/*.h; do
        put 644 "$header" "$prefix/$includedir/${header##*/}"
    done
    put 644 "$capi_static" "$prefix/$libdir/libeshm.a"
    put 755 "$capi_shared" "$prefix/$libdir/${capi_shared##*/}"
    ln -sfn "${capi_shared##*/}" "$prefix/$libdir/libeshm.so.$major"
    ln -sfn "libeshm.so.$major" "$prefix/$libdir/libeshm.so"
    for file in ESHMConfig.cmake ESHMConfigVersion.cmake; do
        fill_in "capi/cmake/$file" "$capi_stage/$file" "$package" "$capi_version"
        put 644 "$capi_stage/$file" "$prefix/$package/$file"
    done
    fill_in capi/cmake/eshm.pc "$capi_stage/eshm.pc" "$libdir/pkgconfig" "$capi_version"
    put 644 "$capi_stage/eshm.pc" "$prefix/$libdir/pkgconfig/eshm.pc"
    say "installed eshm $capi_version for C in $prefix"
}
