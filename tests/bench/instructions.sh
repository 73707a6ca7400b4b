#!/bin/sh
# Instructions of one call on aarch64 (NEON), counted by qemu, where time means nothing. With a
# revision: those of its header and tests/bench/bench.c beside.
#     sh tests/bench/instructions.sh [REVISION [name ...]]
# Needs gcc-aarch64-linux-gnu, qemu-user and, for a revision, git.
cd "$(dirname "$0")/../.." || exit 1
revision=$1
[ $# -eq 0 ] || shift
[ $# -gt 0 ] || set -- gemm_nn_32x13x50 gemm_tn_13x32x50 gemm_nt_32x50x13 gemm_nn_32x50x1 gemm_nn_10x2x20 \
    bbb_13_50_1 sgld_1_50_1
out=build/bench/instructions
mkdir -p $out/before
cat >$out/one.c <<'END'
#define main bench_main
#include "bench.c"
#undef main
int main(int argc, char **argv) { /* name, times */
    for (int i = 0; i < WORKS && argc == 3; i++)
        if (strcmp(works[i].name, argv[1]) == 0) return *bench_run(i, atol(argv[2])) != '\0';
    return 2;
}
END
aarch64-linux-gnu-gcc -std=c99 -O2 -static -Itests/bench -I. $out/one.c -o $out/now -lm || exit 1
programs=now
if [ -n "$revision" ]; then
    git show "$revision:bnn.h" >$out/before/bnn.h || exit 1
    git show "$revision:tests/bench/bench.c" >$out/before/bench.c || exit 1
    aarch64-linux-gnu-gcc -std=c99 -O2 -static -I$out/before $out/one.c -o $out/old -lm || exit 1
    programs="now old"
fi
instructions() { # program, name, times
    rm -f $out/log
    mkfifo $out/log
    grep -c '^Trace' <$out/log >$out/count &
    qemu-aarch64 -singlestep -d exec,nochain -D $out/log "$1" "$2" "$3" || exit 1
    wait
    cat $out/count
}
for name in "$@"; do
    line="RESULT instructions target=aarch64 name=$name"
    for p in $programs; do
        a=$(instructions $out/$p "$name" 3) && b=$(instructions $out/$p "$name" 13) || exit 1
        line="$line $p=$(((b - a) / 10))"
    done
    echo "$line"
done
