#!/bin/sh
# make bench: our workloads beside their peers, in turn, one core pinned; then two cores with OpenMP.
# The lines are kept in build/bench/results.txt, from which docs/plots.sh draws the ratios.
# Peers that are not installed are left out; the lines then say peer=none.
#     sh tests/bench/bench.sh [--avx2] [name ...]     --avx2: a second table, AVX2 for both sides
cd "$(dirname "$0")/../.." || exit 1
mkdir -p build/bench
if [ "$1" != --inner ]; then
    sh tests/bench/bench.sh --inner "$@" | tee build/bench/results.txt
    exit
fi
shift
# a peer chooses its kernels and its blocks itself
unset OPENBLAS_CORETYPE OPENBLAS_L2_SIZE OPENBLAS_VERBOSE ATEN_CPU_CAPABILITY DNNL_MAX_CPU_ISA \
    ONEDNN_MAX_CPU_ISA NPY_DISABLE_CPU_FEATURES
avx2=""
if [ "$1" = --avx2 ]; then avx2=$1; shift; fi
flags="-std=c99 -O2 -I."
cc $flags tests/bench/bench.c -o build/bench/bench -lm || exit 1
cc $flags -shared -fPIC tests/bench/bench.c -o build/bench/libbench1.so -lm || exit 1
cc $flags -fopenmp -shared -fPIC tests/bench/bench.c -o build/bench/libbench2.so -lm
pin() { if command -v taskset >/dev/null; then taskset -c "$@"; else shift; "$@"; fi; }
python=""
for p in python3 /usr/bin/python3; do
    if [ -z "$python" ] && $p -c 'import numpy' 2>/dev/null; then python=$p; fi
done
if [ -n "$python" ]; then
    export OPENBLAS_NUM_THREADS=1
    OMP_NUM_THREADS=1 pin 0 "$python" tests/bench/bench.py build/bench/libbench1.so "$@" || exit 1
    if [ -n "$avx2" ]; then
        OMP_NUM_THREADS=1 pin 0 "$python" tests/bench/bench.py --avx2 build/bench/libbench1.so "$@" ||
            exit 1
    fi
    if [ $# -gt 0 ]; then exit; fi
    OMP_NUM_THREADS=2 pin 0,1 "$python" tests/bench/bench.py build/bench/libbench1.so \
        build/bench/libbench2.so
else
    pin 0 build/bench/bench "$@"
fi
start=$(date +%s%N)
printf '#define BNN_IMPLEMENTATION\n#include "bnn.h"\n' >build/bench/one.c
for i in 1 2 3; do cc -O2 -I. -c build/bench/one.c -o build/bench/one.o; done
echo "RESULT compile seconds=$(awk -v a="$start" -v b="$(date +%s%N)" 'BEGIN { printf "%.2f", (b - a) / 3e9 }') compiler=$(cc -dumpversion)"
echo "RESULT object text=$(size build/bench/one.o | awk 'NR == 2 { print $1 }')"
build/bench/bench state
