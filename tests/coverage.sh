#!/bin/sh
# Lines and branches of bnn.h that the suite reaches (gcov): float and double builds, and every instruction
# set that this machine has. Ends with what none reached; docs/portability.md says why.
#     sh tests/coverage.sh            then build/coverage/missed.txt and missed_branches.txt
#     TESTS="test_mat test_rng" KINDS=float LIMIT=60 sh tests/coverage.sh      some programs
cd "$(dirname "$0")/.." || exit 1
command -v gcov >/dev/null || { echo "apt-get install gcc"; exit 1; }
root=$PWD
out=build/coverage
rm -rf $out
mkdir -p $out
failed=0
for name in ${TESTS:-$(cd tests && echo test_*.c | sed 's/\.c//g')}; do
    source=tests/$name.c
    for kind in ${KINDS:-float double}; do
        flag=-DCOVERAGE
        [ "$kind" = float ] || flag=-DBNN_TEST_DOUBLE
        mkdir -p "$out/$kind"
        (
            cd "$out/$kind" || exit 1
            cp "$root/$source" . && # the object is named after its source
            gcc -std=c99 -O0 --coverage $flag -DBNN_STATIC -I"$root" -I"$root/tests" "$root/$source" -o "$name" -lm 2>"$name.log" &&
            timeout "${LIMIT:-900}" "./$name" >"$name.log" 2>&1
        ) || { echo "$kind $name failed"; failed=1; }
        (cd "$out/$kind" && gcov -b -c "$name.gcda" >/dev/null 2>&1; [ -f bnn.h.gcov ] && mv bnn.h.gcov "$name.gcov"; rm -f ./*.c.gcov ./*.h.gcov "$name")
    done
done
# a line or a branch counts as reached if any build reached it; branch i of a line is gcov's
awk -F: '
/^branch/ {
    split($0, word, / +/)
    b = line SUBSEP word[2]
    if (line == 0 || word[3] == "never" || word[4] == 0) known_b[b] = line
    else hit_b[b] = known_b[b] = line
    next
}
/^(function|call|unconditional|---)/ { next }
NF < 3 { next }
{
    count = $1; line = $2 + 0; gsub(/[ *]/, "", count)
    if (line == 0) next
    text[line] = substr($0, index($0, $3))
    rest = substr($0, length($1 ":" $2) + 2)
    if (match(rest, />>[a-z]+/) &&
        rest ~ /^( [*]|[/][*]) >>[a-z]+([ :]|$)/) start[line] = substr(rest, RSTART + 2, RLENGTH - 2)
    if (count == "-") next
    known[line] = 1
    if (count !~ /[#=]/) hit[line] = 1
} END {
    for (b in known_b) {
        l = known_b[b]
        branches[l]++
        if (b in hit_b) taken[l]++
    }
    section = "head"
    for (l = 1; l <= 1000000; l++) {
        if (l in start) { section = start[l]; order[++n] = section }
        if (branches[l]) {
            many[section] += branches[l]; some[section] += taken[l]
            all += branches[l]; of_all += taken[l]
            if (known[l] && hit[l] && taken[l] < branches[l])
                print section " " l " " taken[l] + 0 "/" branches[l] ":" text[l] > "'$out/missed_branches.txt'"
        }
        if (!known[l]) continue
        lines++
        if (hit[l]) reached++
        else print l ":" text[l] > "'$out/missed.txt'"
    }
    for (i = 1; i <= n; i++) {
        s = order[i]
        if (many[s] && !(s in told))
            printf "RESULT coverage section=%s branches=%d reached=%d percent=%.2f\n", s, many[s], some[s], 100 * some[s] / many[s]
        told[s] = 1
    }
    printf "RESULT coverage branches=%d reached=%d percent=%.2f\n", all, of_all, all ? 100 * of_all / all : 0
    printf "RESULT coverage lines=%d reached=%d percent=%.2f\n", lines, reached, 100 * reached / lines
}' $out/*/*.gcov
[ ! -f $out/missed.txt ] || echo "$(wc -l <$out/missed.txt) lines never reached: $out/missed.txt"
[ ! -f $out/missed_branches.txt ] ||
    echo "$(wc -l <$out/missed_branches.txt) lines, reached, with a branch that never was: $out/missed_branches.txt"
[ $failed -eq 0 ]
