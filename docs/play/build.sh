#!/bin/sh
# build.sh -- docs/play/play.js from play.c and bnn.h, by emscripten (Debian: emscripten nodejs
# node-acorn). `sh docs/play/build.sh native` makes build/play/play instead, which prints the numbers
# of a situation: without fused multiply-adds, as in a browser.
set -e
cd "$(dirname "$0")/../.."
out=build/play
mkdir -p $out
# The first digits of each file, 4 bits a pixel: 16 becomes 15. Headers: 16 bytes of images, 8 of labels.
digits() { # name, how many digits
    echo "static const unsigned char $1_pixels[] = {"
    tail -c +17 "examples/data/digits-$1-images.idx" | head -c $(($2 * 64)) | od -An -v -tu1 |
        awk '{ for (i = 1; i < NF; i += 2) { a = $i > 15 ? 15 : $i; b = $(i + 1) > 15 ? 15 : $(i + 1)
               printf "%d,", a + 16 * b } print "" }'
    echo "};"
    echo "static const unsigned char $1_labels[] = {"
    tail -c +9 "examples/data/digits-$1-labels.idx" | head -c "$2" | od -An -v -tu1 |
        awk '{ for (i = 1; i <= NF; i++) printf "%d,", $i; print "" }'
    echo "};"
}
(digits train 1000; digits test 300) >$out/digits.h
if [ "${1:-}" = native ]; then
    ${CC:-cc} -std=c99 -O2 -ffp-contract=off -DBNN_NO_SIMD -I. -I$out docs/play/play.c -o $out/play -lm
else
    # 128-bit vectors: browsers of 2021 and later (Safari 16.4)
    NODE_PATH=${NODE_PATH:-/usr/share/nodejs} ${EMCC:-emcc} -std=c99 -Oz -msimd128 -ffp-contract=off \
        -I. -I$out docs/play/play.c -o docs/play/play.js --no-entry -s SINGLE_FILE=1 -s FILESYSTEM=0 \
        -s MODULARIZE=1 -s EXPORT_NAME=bnn_play -s ENVIRONMENT=web -s MALLOC=emmalloc \
        -s ALLOW_MEMORY_GROWTH=1 -s EXPORTED_RUNTIME_METHODS=UTF8ToString
fi
