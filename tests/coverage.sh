#!/bin/sh
# Lines of bnn.h that the suite reaches (gcov): float and double builds, and every instruction set that
# this machine has. Ends with the lines that none reached; docs/portability.md says why.
#     sh tests/coverage.sh            then build/coverage/missed.txt
cd "$(dirname "$0")/.." || exit 1
command -v gcov >/dev/null || { echo "apt-get install gcc"; exit 1; }
root=$PWD
out=build/coverage
rm -rf $out
mkdir -p $out
failed=0
for source in tests/test_*.c; do
    name=$(basename "$source" .c)
    for kind in float double; do
        flag=-DCOVERAGE
        [ $kind = float ] || flag=-DBNN_TEST_DOUBLE
        mkdir -p "$out/$kind"
        (
            cd "$out/$kind" || exit 1
            cp "$root/$source" . && # the object is named after its source
            gcc -std=c99 -O0 --coverage $flag -DBNN_STATIC -I"$root" -I"$root/tests" "$root/$source" -o "$name" -lm 2>"$name.log" &&
            timeout 900 "./$name" >"$name.log" 2>&1
        ) || { echo "$kind $name failed"; failed=1; }
        (cd "$out/$kind" && gcov "$name.gcda" >/dev/null 2>&1; [ -f bnn.h.gcov ] && mv bnn.h.gcov "$name.gcov"; rm -f ./*.c.gcov "$name" check.h.gcov build.h.gcov)
    done
done
# a line of the implementation counts as reached if any build reached it
awk -F: '{
    count = $1; line = $2 + 0; gsub(/[ *]/, "", count)
    if (line == 0 || count == "-") next
    text[line] = substr($0, index($0, $3)); known[line] = 1
    if (count !~ /[#=]/) hit[line] = 1
} END {
    for (l = 1; l <= 1000000; l++) {
        if (!known[l]) continue
        lines++
        if (hit[l]) reached++
        else print l ":" text[l] > "'$out/missed.txt'"
    }
    printf "RESULT coverage lines=%d reached=%d percent=%.2f\n", lines, reached, 100 * reached / lines
}' $out/float/*.gcov $out/double/*.gcov
[ ! -f $out/missed.txt ] || echo "$(wc -l <$out/missed.txt) lines never reached: $out/missed.txt"
[ $failed -eq 0 ]
