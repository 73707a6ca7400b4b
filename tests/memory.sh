#!/bin/sh
# Memory that was never written, and what valgrind sees: the parsers, the faults and the edges under
# clang's MemorySanitizer and under valgrind. Both with plain loops: in the vector kernels lanes beyond the
# edge of a matrix hold anything and are never stored, which the sanitizer cannot see through assembly.
#     sh tests/memory.sh                   these
#     sh tests/memory.sh test_net ...      others
#     TOOLS=msan sh tests/memory.sh all    the whole suite, under one of the two
# Ends with "N passed, M failed", counted in tests.
cd "$(dirname "$0")/.." || exit 1
[ $# -gt 0 ] || set -- test_files test_faults test_edge
# shellcheck disable=SC2046
[ "$1" != all ] || set -- $(cd tests && echo test_*.c | sed 's/\.c//g')
wants() { case " ${TOOLS:-msan valgrind} " in *" $1 "*) ;; *) return 1 ;; esac; }
out=build/memory
mkdir -p $out
passed=0
failed=0
take() { # take NAME: the last line of the log
    p=$(sed -n 's/^\([0-9]*\) passed, [0-9]* failed$/\1/p' $out/log)
    f=$(sed -n 's/^[0-9]* passed, \([0-9]*\) failed$/\1/p' $out/log)
    [ "$2" -eq 0 ] || [ "${f:-0}" -gt 0 ] || p=""
    [ -n "$p" ] || { p=0 f=1; }
    [ "$f" -eq 0 ] || { echo "FAIL $1"; tail -n 15 $out/log; }
    echo "RESULT memory tool=$1 passed=$p failed=$f"
    passed=$((passed + p)) failed=$((failed + f))
}
for test in "$@"; do
    if ! wants msan; then :
    elif ! command -v clang >/dev/null; then
        echo "skipped MemorySanitizer: apt-get install clang libclang-rt-14-dev"
    elif clang -std=c99 -O1 -g -DBNN_NO_SIMD -fsanitize=memory -I. -Itests "tests/$test.c" -o "$out/$test" \
        -lm >$out/log 2>&1; then
        "$out/$test" >$out/log 2>&1
        take "msan/$test" $?
    else
        failed=$((failed + 1))
        echo "FAIL msan/$test does not build"
        head -n 5 $out/log
    fi
    if ! wants valgrind; then :
    elif ! command -v valgrind >/dev/null; then
        echo "skipped valgrind: apt-get install valgrind"
    elif gcc -std=c99 -O1 -g -DBNN_NO_SIMD -I. -Itests "tests/$test.c" -o "$out/$test" -lm >$out/log 2>&1; then
        valgrind -q --error-exitcode=9 --leak-check=full --errors-for-leak-kinds=definite "$out/$test" >$out/log 2>&1
        take "valgrind/$test" $?
    else
        failed=$((failed + 1))
        echo "FAIL valgrind/$test does not build"
        head -n 5 $out/log
    fi
done
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
