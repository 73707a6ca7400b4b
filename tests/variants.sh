#!/bin/sh
# The whole suite, float and double, built in other ways than `make test` does: without SIMD, without
# optimization, with all of it, with -ffast-math, by other compilers, for other C libraries.
#     sh tests/variants.sh                 all of them
#     sh tests/variants.sh tcc O0          some
#     TESTS="test_mat test_rng" KINDS=float sh tests/variants.sh m32     some programs
# One line each, "RESULT variant name= tests= passed=", then the names of what failed. A compiler that
# is not installed is named with the package that has it, and is counted neither as passed nor failed.
cd "$(dirname "$0")/.." || exit 1
all="nosimd O0 O3native fastmath clang tcc m32 musl openmp"
[ $# -gt 0 ] || set -- $all
tests=${TESTS:-$(cd tests && echo test_*.c | sed 's/\.c//g')}
passed=0
failed=0
skipped=""

# compile COMPILER FLAGS... SOURCE: to $program. -ffast-math is for the compiler alone: given to the linker
# it would make the processor flush denormals in the whole program, which no library can undo.
compile() {
    if [ "$name" != fastmath ]; then "$@" -o "$program" -lm; return; fi
    "$@" -c -o "$program.o" && gcc "$program.o" -o "$program" -lm
}

# variant NAME PACKAGE COMPILER FLAGS...
variant() {
    name=$1 package=$2
    shift 2
    folder=build/variants/$name
    mkdir -p "$folder/float" "$folder/double"
    if ! echo 'int main(void) { return 0; }' >"$folder/t.c" || ! "$@" "$folder/t.c" -o "$folder/t" 2>/dev/null; then
        echo "skipped $name: apt-get install $package"
        skipped="$skipped $name"
        return
    fi
    n=0 ok=0
    for test in $tests; do
        for kind in ${KINDS:-float double}; do
            flag=
            [ $kind = float ] || flag=-DBNN_TEST_DOUBLE
            program=$folder/$kind/$test
            rm -f "$program"
            # shellcheck disable=SC2086
            if ! compile "$@" $flag -I. -Itests "tests/$test.c" >"$program.log" 2>&1; then
                echo "$name $kind $test: does not compile"
                head -n 5 "$program.log"
                n=$((n + 1))
                continue
            fi
            timeout 600 "$program" >"$program.log" 2>&1
            code=$?
            last=$(tail -n 1 "$program.log" | sed -n 's/^\([0-9]*\) passed, \([0-9]*\) failed$/\1 \2/p')
            if [ -z "$last" ]; then
                echo "$name $kind $test: ended with status $code"
                tail -n 3 "$program.log"
                n=$((n + 1))
                continue
            fi
            n=$((n + ${last% *} + ${last#* }))
            ok=$((ok + ${last% *}))
            [ "${last#* }" -eq 0 ] || { echo "$name $kind $test:"; sed '$d' "$program.log"; }
            rm -f "$program"
        done
    done
    echo "RESULT variant name=$name tests=$n passed=$ok"
    passed=$((passed + ok))
    failed=$((failed + n - ok))
}

for v in "$@"; do
    case $v in
    nosimd) variant nosimd gcc gcc -std=c99 -O1 -DBNN_NO_SIMD ;;
    O0) variant O0 gcc gcc -std=c99 -O0 ;;
    O3native) variant O3native gcc gcc -std=c99 -O3 -march=native ;;
    fastmath) variant fastmath gcc gcc -std=c99 -O2 -ffast-math ;;
    clang) variant clang clang clang -std=c99 -O2 ;;
    tcc) variant tcc tcc tcc ;;
    m32) variant m32 "libc6-dev-i386 lib32gcc-12-dev" gcc -std=c99 -O1 -m32 -msse2 -mfpmath=sse \
        -idirafter "/usr/include/$(gcc -dumpmachine)" ;;
    musl) variant musl musl-tools musl-gcc -std=c99 -O1 -static ;;
    openmp) variant openmp gcc gcc -std=c99 -O1 -fopenmp ;;
    *) echo "no such variant: $v (there are $all)"; failed=$((failed + 1)) ;;
    esac
done
[ -z "$skipped" ] || echo "not installed, skipped:$skipped"
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
