#!/bin/sh
# docs.sh -- compiles every ```c block of the documents and the program on the first screen of bnn.h,
# runs those that are programs.
#     sh tests/docs.sh [document ...]        default: docs/guide.md docs/coming_from.md README.md; from anywhere
# A block with `int main` is a program: it compiles without a warning, ends with status 0 and, if
# the next block is ```text, prints exactly that (compared where there is FMA, elsewhere the last
# bits differ). Any other block is a fragment: it compiles, inside a function if it is made of
# statements, behind the names of the prelude below. The implementation is compiled once.
cd "$(dirname "$0")/.." || exit 1
top=$(pwd)
[ $# -gt 0 ] || set -- docs/guide.md docs/coming_from.md README.md
header=$(cd "${BNN:-.}" && pwd)/bnn.h
dir=${DOCS_BUILD:-build/docs}
flags="-std=c99 -Wall -Wextra -Werror -O2"
loose="-Wno-unused-variable -Wno-unused-function -Wno-unused-but-set-variable"
mkdir -p "$dir" && cd "$dir" || exit 1
rm -f ./*-[0-9][0-9][0-9][0-9] ./*-[0-9][0-9][0-9][0-9].*

printf '#undef BNN_IMPLEMENTATION\n#undef BNN_STATIC\n#include "%s"\n' "$header" > bnn.h
if [ ! bnn.o -nt "$header" ]; then
    printf '#define BNN_IMPLEMENTATION\n#include "%s"\n' "$header" > whole.c
    ${CC:-cc} $flags -c whole.c -o bnn.o || { echo "0 passed, 1 failed"; exit 1; }
fi
cat > prelude.h <<'C'
#include "bnn.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
enum { N = 100, G = 50, BATCH = 10, STEPS = 1000, BURN_IN = 100, THIN = 10, KEEP = 90 };
static float x[N], y[N], gx[G];
static bnn_arena mem;
static bnn_tape tape;
static bnn_data train, test;
static bnn_mat grid;
static bnn_params *w;
static bnn_net net, student;
static bnn_stepper sgld;
static bnn_ensemble post;
static bnn_meanfield q;
C

# name-LINE.c for a block that begins behind that line; name-LINE.txt for what it should print
for document in "$@"; do
    awk -v name="$(basename "$document" .md)" -v document="$document" '
        /^```/ && inside { inside = 0; close(out); next }
        /^```c$/ { inside = 1; last = out = sprintf("%s-%04d.c", name, NR)
                   printf "#line %d \"%s\"\n", NR + 1, document > out; next }
        /^```text$/ && last { inside = 1; out = last; sub(/c$/, "txt", out); last = ""
                              printf "" > out; next }
        /^```/ { inside = 1; out = "/dev/null"; last = ""; next }
        inside { print > out }' "$top/$document"
done

# the first screen: from its first #define to the end of main
awk '/^ \*     #define BNN_STATIC/ { inside = 1 }
     inside { sub(/^ \*     ?/, ""); print }
     inside && /^}/ { exit }' "$header" > bnn-0001.c

fma=0
case $(uname -m) in aarch64|arm64) fma=1 ;; esac
grep -qw fma /proc/cpuinfo 2>/dev/null && fma=1
. "$top/tests/links.sh"
for block in ./*-[0-9]*.c; do
    [ -e "$block" ] || continue
    base=${block%.c}
    wrong=
    if grep -q 'int main' "$block"; then
        if ! ${CC:-cc} $flags -I. "$block" bnn.o -o "$base" -lm; then wrong="does not compile"
        elif ! "$base" > "$base.out" 2>&1; then wrong="fails: $(tail -n 1 "$base.out")"
        elif [ $fma = 1 ] && [ -e "$base.txt" ] && ! cmp -s "$base.txt" "$base.out"; then
            wrong="prints something else than the document says:"
            diff "$base.txt" "$base.out"
        fi
    else
        if sed -n '2,$p' "$block" | grep -q '^\(static\|#\|typedef\)'; then
            printf '#include "prelude.h"\n' > fragment.c
            cat "$block" >> fragment.c
        else
            { printf '#include "prelude.h"\nvoid fragment(void);\nvoid fragment(void) {\n'
              cat "$block"; printf '}\n'; } > fragment.c
        fi
        ${CC:-cc} $flags $loose -I. -c fragment.c -o fragment.o || wrong="does not compile"
    fi
    result "$base" "$wrong"
done
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
