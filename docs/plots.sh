#!/bin/sh
# plots.sh -- runs the examples that write data and draws docs/img/*.png from build/*.dat.
# Needs cc and gnuplot with pngcairo. From anywhere: sh docs/plots.sh
set -e
cd "$(dirname "$0")/.."
mkdir -p build docs/img
for name in quickstart toy2d cubic; do
    ${CC:-cc} -O2 -I${BNN:-.} "examples/$name.c" -o "build/$name" -lm
    "./build/$name" > "build/$name.txt"
    gnuplot -e "dat='build/$name.dat'; out='docs/img/$name.png'" "docs/plots/$name.gp"
    echo "docs/img/$name.png"
done

${CC:-cc} -O2 -I${BNN:-.} examples/simplex.c -o build/simplex -lm
./build/simplex build > build/simplex.txt
gnuplot -e "dir='build'; out='docs/img/simplex.png'" docs/plots/simplex.gp
echo "docs/img/simplex.png"
