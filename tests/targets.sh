#!/bin/sh
# The suite on other machines: cross compilers with qemu-user, mingw with wine, emscripten with node.
#     sh tests/targets.sh                      every target, every program
#     sh tests/targets.sh s390x wasm           some targets
#     TESTS="test_mat test_rng" KINDS=float LIMIT=60 sh tests/targets.sh
# A program that is not done after LIMIT seconds (default 3600) is named and counted neither as
# passed nor failed. On each target tests/smoke.c must print one of two digests, that of fused
# multiply-add or that of plain arithmetic, as is its due; and tests/exchange.c writes a checkpoint
# that all others read, with equal bytes. Prints "RESULT targets ..." and what to install if a
# cross compiler is not there.
cd "$(dirname "$0")/.." || exit 1
all="x86_64 aarch64 armhf riscv64 s390x powerpc mingw wasm"
[ $# -gt 0 ] || set -- $all
tests=${TESTS:-$(cd tests && echo test_*.c | sed 's/\.c//g')}
[ "$tests" != none ] || tests=""
kinds=${KINDS:-float double}
limit=${LIMIT:-3600}
fused=2041500d16b55f01
plain=f9eb46f8d1c78d15
out=build/targets
mkdir -p "$out/files"
passed=0
failed=0
skipped=""
written=""
export WINEDEBUG=-all WINEPREFIX="$PWD/$out/wine" NODE_PATH=/usr/share/nodejs
wine=$(command -v wine64 || command -v wine || echo /usr/lib/wine/wine64)
nowarn="-Wno-attributes"

# how TARGET: sets package, cc (with flags), ext, runner, digest, nets (flags of nets as C source)
how() {
    ext="" runner="" digest=$plain nets="" patch=""
    case $1 in
    x86_64)
        package=gcc cc="gcc -std=c99 -O2" digest=$fused
        grep -q ' fma .*avx2\|avx2.* fma ' /proc/cpuinfo 2>/dev/null || digest=$plain ;;
    aarch64)
        package="gcc-aarch64-linux-gnu libc6-dev-arm64-cross qemu-user" digest=$fused
        cc="aarch64-linux-gnu-gcc -std=c99 -O2 -static" runner=qemu-aarch64 ;;
    armhf)
        package="gcc-arm-linux-gnueabihf libc6-dev-armhf-cross qemu-user"
        cc="arm-linux-gnueabihf-gcc -std=c99 -O2 -static" runner=qemu-arm ;;
    riscv64)
        package="gcc-riscv64-linux-gnu libc6-dev-riscv64-cross qemu-user"
        cc="riscv64-linux-gnu-gcc -std=c99 -O2 -static" runner=qemu-riscv64 ;;
    s390x) # big-endian; with -std=c99 alone gcc computes float in double there
        package="gcc-s390x-linux-gnu libc6-dev-s390x-cross qemu-user"
        cc="s390x-linux-gnu-gcc -std=c99 -fexcess-precision=fast -O2 -static" runner=qemu-s390x ;;
    powerpc) # 32 bits, big-endian; its units fuse, the plain loops here do not
        package="gcc-powerpc-linux-gnu libc6-dev-powerpc-cross qemu-user perl" patch=mffs
        cc="powerpc-linux-gnu-gcc -std=c99 -O2 -static" runner=qemu-ppc ;;
    mingw) # its library's fmaf rounds twice; with -mfma there is no call of it
        package="gcc-mingw-w64-x86-64 wine64" ext=.exe runner=$wine digest=$fused nets=-mfma
        cc="x86_64-w64-mingw32-gcc -std=c99 -O2 -D__USE_MINGW_ANSI_STDIO=1 -static"
        grep -q ' fma .*avx2\|avx2.* fma ' /proc/cpuinfo 2>/dev/null || { digest=$plain nets=""; } ;;
    wasm)
        package="emscripten nodejs node-acorn" ext=.js
        cc="emcc -std=c99 -O2 -s NODERAWFS=1 -s ALLOW_MEMORY_GROWTH=1 -s TOTAL_STACK=5MB" runner="node"
        # node 18 and later have a fetch that this emscripten mistakes for a browser's
        node --no-experimental-fetch -e 0 2>/dev/null && runner="node --no-experimental-fetch" ;;
    *) echo "no such target: $1 (there are $all)"; failed=$((failed + 1)); return 1 ;;
    esac
}
build() { # build SOURCE PROGRAM FLAGS...
    source=$1 program=$2
    shift 2
    # shellcheck disable=SC2086
    $cc $nowarn "$@" -I. -Itests "$source" -o "$program" -lm >"$program.log" 2>&1 || return 1
    # glibc's sin sets the rounding mode by words that processors before POWER9 take for mffs, which only
    # reads it; qemu's refuse them. The mode is the nearest all the time: they become mffs.
    [ -z "$patch" ] || perl -0777 -pi -e '$_ = pack("N*", map { ($_ & 0xfc00ffff) == 0xfc00048e &&
        ($_ >> 16 & 31) >= 0x16 ? $_ & 0xffe0ffff : $_ } unpack("N*", $_)) . substr($_, length() & ~3)' "$program"
}
run() { # run SECONDS PROGRAM ARGUMENTS...
    seconds=$1
    shift
    # shellcheck disable=SC2086
    timeout "$seconds" $runner "$@"
}
ok() { passed=$((passed + 1)); n=$((n + 1)); good=$((good + 1)); }
bad() { failed=$((failed + 1)); n=$((n + 1)); echo "FAIL $target: $*"; }

suite() {
    for test in $tests; do
        for kind in $kinds; do
            flag=-DTARGET_FLOAT
            [ "$kind" = float ] || flag=-DBNN_TEST_DOUBLE
            program=$here/$test-$kind$ext
            if ! build "tests/$test.c" "$program" $flag; then
                bad "$kind $test does not compile"
                grep -m 4 -i error "$program.log"
                continue
            fi
            run "$limit" "$program" >"$program.log" 2>&1 </dev/null
            code=$?
            last=$(tr -d '\r' <"$program.log" | sed -n 's/^\([0-9]*\) passed, \([0-9]*\) failed$/\1 \2/p' | tail -n 1)
            if [ $code -eq 124 ]; then
                late="$late $kind/$test"
            elif [ -z "$last" ]; then
                bad "$kind $test ended with status $code"
                tail -n 4 "$program.log"
            else
                n=$((n + ${last% *} + ${last#* })) good=$((good + ${last% *}))
                passed=$((passed + ${last% *})) failed=$((failed + ${last#* }))
                [ "${last#* }" -eq 0 ] || { echo "FAIL $target: $kind $test"; cat "$program.log"; }
            fi
            rm -f "$program" "${program%.js}.wasm"
        done
    done
}

mkdir -p "$out/emit" && cp tests/emit.h "$out/emit/compare.h"
gcc -std=c99 -O1 -w -I. -Itests tests/test_emit.c -o "$out/test_emit" -lm && "$out/test_emit" "$out/emit" >/dev/null
for target in "$@"; do
    how "$target" || continue
    here=$out/$target
    mkdir -p "$here"
    n=0 good=0 late=""
    if ! build tests/smoke.c "$here/smoke$ext" -DBNN_STATIC; then
        echo "skipped $target: apt-get install $package"
        head -n 3 "$here/smoke$ext.log"
        skipped="$skipped $target"
        continue
    fi
    text=$(run 600 "$here/smoke$ext" </dev/null 2>"$here/smoke.err" | tr -d '\r' | sed -n 's/^digest //p')
    if [ -z "$text" ]; then
        echo "skipped $target, which does not run: apt-get install $package"
        head -n 3 "$here/smoke.err"
        skipped="$skipped $target"
        continue
    fi
    if [ "$text" = "$digest" ]; then ok; else bad "digest $text, not $digest"; fi
    rm -f "$out/files/$target.bnn"
    if build tests/exchange.c "$here/exchange$ext" -DBNN_STATIC &&
        run 600 "$here/exchange$ext" write "$out/files/$target.bnn" >"$here/exchange.log" 2>&1 </dev/null; then
        ok
        written="$written $target"
    else
        bad "does not write a checkpoint"
        head -n 3 "$here/exchange.log"
    fi
    for main in "$out"/emit/net_*.main.c; do # nets as C source, which tests/test_emit.c wrote here
        [ -f "$main" ] || continue
        # shellcheck disable=SC2086
        if build "$main" "$here/net$ext" $nets && run 600 "$here/net$ext" >"$here/net.log" 2>&1 </dev/null; then ok
        else bad "emitted $main" && head -n 3 "$here/net$ext.log" "$here/net.log"; fi
    done
    suite
    echo "RESULT targets name=$target tests=$n passed=$good digest=$text"
    [ -z "$late" ] || echo "$target: not done after $limit s, not counted:$late"
done

for target in $written; do # files written on one are read on all others
    how "$target"
    n=0 good=0
    for from in $written; do
        run 600 "$out/$target/exchange$ext" read "$out/files/$from.bnn" >"$out/read.log" 2>&1 </dev/null
        if [ $? -eq 0 ] && cmp -s "$out/files/$from.bnn" "$out/files/${written##* }.bnn"; then ok; else
            bad "reading the file of $from"
            head -n 2 "$out/read.log"
        fi
    done
    echo "RESULT exchange reader=$target files=$n passed=$good"
done
[ -z "$skipped" ] || echo "not installed, skipped:$skipped"
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
