#!/bin/sh
# Every example that runs without arguments: it compiles without a warning, ends with status 0 and
# says something. The long ones must refuse politely without their data folder (status 2).
cd "$(dirname "$0")/.." || exit 1
rm -rf build/strict
make -s -k BUILD=build/strict CFLAGS="-std=c99 -O2 -Wall -Wextra -Werror" examples
passed=0
failed=0
for source in examples/*.c; do
    name=$(basename "$source" .c)
    program=build/strict/$name
    if [ ! -x "$program" ]; then
        echo "$name does not compile"
        failed=$((failed + 1))
        continue
    fi
    case $name in mnist | uci | weight_noise_mnist) want=2 ;; *) want=0 ;; esac
    text=$("./$program" 2>&1)
    code=$?
    if [ "$code" -eq "$want" ] && [ -n "$text" ]; then
        passed=$((passed + 1))
        echo "ok   $name"
    else
        failed=$((failed + 1))
        printf 'FAIL %s: status %s\n%s\n' "$name" "$code" "$text"
    fi
done
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
