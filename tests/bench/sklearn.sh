#!/bin/sh
# `bnn fit` with no option but the target beside scikit-learn:
#     sh tests/bench/sklearn.sh FOLDER [splits [set ...]]
# FOLDER has uci/ (the splits of Hernandez-Lobato and Adams), sklearn/ (iris, wine), posteriordb/ and
# tweets/. Needs python3-sklearn. METHODS=bnn in the environment runs the tool alone: the same splits.
cd "$(dirname "$0")/../.." || exit 1
[ $# -ge 1 ] || { echo "usage: sklearn.sh FOLDER [splits [set ...]]"; exit 2; }
mkdir -p build/bench
cc -std=c99 -O2 -I. examples/bnn.c -o build/bench/bnn -lm || exit 1
exec /usr/bin/python3 tests/bench/sklearn_beside.py "$@"
