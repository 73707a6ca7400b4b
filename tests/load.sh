#!/bin/sh
# Load: a million rows, ten thousand samples, ten million steps, 64 threads, more than INT_MAX numbers.
#     sh tests/load.sh            the full load, minutes
#     sh tests/load.sh 0.02       a fiftieth of it
# The threads run under ThreadSanitizer, too. Ends with "N passed, M failed".
cd "$(dirname "$0")/.." || exit 1
scale=${1:-1}
cc=${CC:-cc}
mkdir -p build/load
passed=0
failed=0
count() { # count LOG STATUS: adds its last line
    cat "$1"
    p=$(sed -n 's/^\([0-9]*\) passed, [0-9]* failed$/\1/p' "$1")
    f=$(sed -n 's/^[0-9]* passed, \([0-9]*\) failed$/\1/p' "$1")
    [ -n "$p" ] || { p=0; f=1; }
    [ "$2" -eq 0 ] || [ "$f" -gt 0 ] || f=1
    passed=$((passed + p)) failed=$((failed + f))
}
if ! $cc -std=c99 -O2 -Wall -Wextra -I. tests/load.c -o build/load/load -lm -pthread; then
    echo "0 passed, 1 failed"
    exit 1
fi
build/load/load "$scale" >build/load/log 2>&1
count build/load/log $?
if $cc -std=c99 -O1 -g -fsanitize=thread -I. tests/load.c -o build/load/tsan -lm -pthread 2>build/load/log; then
    build/load/tsan "$scale" threads >build/load/log 2>&1
    count build/load/log $?
else
    echo "skipped ThreadSanitizer: apt-get install libtsan2 (with gcc)"
fi
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
