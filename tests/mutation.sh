#!/bin/sh
# Does the suite notice a slip in the mathematics? Flips one operator, constant or index of bnn.h at a
# time, in places drawn by a seed, and runs the test programs that reach the line until one fails.
# A survivor is a missing check, or stands in tests/mutation_equivalent.txt with the reason why no test
# can see it. Prints the survivors and
#     RESULT mutation places=<n> killed=<n> equivalent=<n> survived=<n>
#
#     sh tests/mutation.sh [places=200] [seed=1] [seconds=0: no end] [again]
#
# Where: the sections of mathematics (SECTIONS in tests/mutation.py), each place as likely as any other.
# Not: statements that fail, note, print or get memory, with the conditions that guard them, lengths of
# arrays, and what is not compiled here (the text after the preprocessor is the same).
# What: an operator for its opposite or neighbor (+ -, * /, < <=, == !=, && ||, << >>; a sign dropped);
# an integer one up, a fraction's first digit one up; an index [i] one up.
# Who: programs in which gcov sees the line run (a line of a macro: one that uses the macro), in the
# order of seconds times lines reached: cheap and specific first. Above 20 s a program is left out when
# ten others passed. tcc builds them, without SIMD, in float. A program that takes 3 times its time plus
# 2 s of the processor has no end, and so its mutant is killed; what does not compile is drawn again.
# All places get a second of programs, then what is open gets the rest.
# build/mutation/log.txt has one line for each: verdict, line, column, section, place, killer with its
# first failed test, programs tried, seconds. It goes on where it stopped while bnn.h is the same;
# `again` tries its survivors once more, against new tests. Needs tcc, gcc, gcov, python3; hours.
cd "$(dirname "$0")/.." || exit 1
for tool in tcc gcc gcov python3; do
    command -v $tool >/dev/null || { echo "apt-get install $tool"; exit 1; }
done
out=build/mutation/cover
root=$PWD
mkdir -p $out
stamp=$(cksum <bnn.h)
[ "$(cat $out/stamp 2>/dev/null)" = "$stamp" ] || rm -f $out/*.gcov
echo "$stamp" >$out/stamp
for source in tests/test_*.c; do # which lines a program reaches: once, as long as bnn.h is the same
    name=$(basename "$source" .c)
    [ ! -f "$out/$name.gcov" ] || continue
    (cd $out && gcc -std=c99 -O0 --coverage -DBNN_NO_SIMD -I"$root" -I"$root/tests" "$root/$source" -o "$name" -lm) &&
        timeout 900 "$out/$name" >/dev/null 2>&1
    (cd $out && gcov "$name.gcda" >/dev/null 2>&1; mv -f bnn.h.gcov "$name.gcov"; rm -f "$name" "$name".gcda "$name".gcno ./*.h.gcov ./*.c.gcov)
done
exec nice -n 10 python3 tests/mutation.py "${1:-200}" "${2:-1}" "${3:-0}" "${4:-}"
