#!/bin/sh
# plots.sh -- runs the examples that write data and draws docs/img/*.png from build/*.dat.
# Needs cc and gnuplot with pngcairo. From anywhere: sh docs/plots.sh
set -e
cd "$(dirname "$0")/.."
mkdir -p build docs/img
for name in quickstart toy2d cubic kl_directions prior_from_teacher; do
    ${CC:-cc} -O2 -I${BNN:-.} "examples/$name.c" -o "build/$name" -lm
    "./build/$name" > "build/$name.txt"
    gnuplot -e "dat='build/$name.dat'; out='docs/img/$name.png'" "docs/plots/$name.gp"
    echo "docs/img/$name.png"
done
