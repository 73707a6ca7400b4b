#!/bin/sh
# What the header weighs: seconds of the compiler (user time, best of three) and bytes of text, of the
# whole implementation, of quickstart and of ten examples, version 1 (from git) beside the present.
#     sh tests/weight.sh          gcc and clang as they are installed
#     RESULT weight file=F version=1|2 compiler=C seconds=S text=BYTES lines=N
set -u
cd "$(dirname "$0")/.." || exit 1
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
mkdir -p "$out/1/examples" "$out/2/examples"
git archive ff13052 bnn.h examples | tar -x -C "$out/1" || exit 1
cp bnn.h "$out/2"
cp examples/*.c examples/*.h "$out/2/examples"

# weigh FILE VERSION COMPILER SOURCE FLAGS...
weigh() {
    file=$1 version=$2 cc=$3 source=$4
    shift 4
    best=""
    for _ in 1 2 3; do
        ( "$cc" -O2 "$@" -I"$out/$version" -c "$source" -o "$out/o.o" && times >"$out/time" ) \
            2>"$out/said" || { echo "FAIL $file version $version $cc"; head -n 4 "$out/said"; return; }
        # the second line is of the children: 0m1.234500s of user time, then the system's
        best=$(awk 'NR == 2 { split($1, t, "[ms]"); print 60 * t[1] + t[2] }' "$out/time" |
            cat - "$out/best" 2>/dev/null | sort -n | head -n 1)
        echo "$best" >"$out/best"
    done
    rm -f "$out/best"
    echo "RESULT weight file=$file version=$version compiler=$cc seconds=$best" \
        "text=$(size "$out/o.o" | awk 'NR == 2 { print $1 }') lines=$(wc -l <"$out/$version/bnn.h")"
}

printf '#define BNN_IMPLEMENTATION\n#include "bnn.h"\n' >"$out/whole.c"
for cc in gcc clang; do
    command -v $cc >/dev/null 2>&1 || continue
    for version in 1 2; do
        weigh whole $version $cc "$out/whole.c"
        for name in quickstart bbb chains digits hmc laplace mnist regression sgld structure vae; do
            weigh $name $version $cc "$out/$version/examples/$name.c" -DBNN_STATIC
        done
    done
done
