#!/bin/sh
# plots.sh -- runs the examples that write data and draws docs/img/*.png from build/*.dat; examples/
# diagnostics.c writes docs/img/diagnostics_*.svg itself.
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
# the figures of docs/results.md, from the lines in docs/results/
${CC:-cc} -O2 -I. docs/plots/results.c -o build/results_figures -lm
./build/results_figures docs/img

# of the last `make bench`, if there was one: the fastest peer of each workload
if [ -f build/bench/results.txt ]; then
    awk '/^RESULT bench/ && /peer_us=/ { split($3, n, "="); split($NF, r, "=")
        if (!(n[2] in best)) order[++k] = n[2]
        if (!(n[2] in best) || r[2] + 0 < best[n[2]]) best[n[2]] = r[2] + 0 }
        END { for (i = 1; i <= k; i++) print order[i], best[order[i]] }' build/bench/results.txt >build/bench.dat
    gnuplot -e "dat='build/bench.dat'; out='docs/img/bench.png'" docs/plots/bench.gp
    echo docs/img/bench.png
fi

${CC:-cc} -O2 -I${BNN:-.} examples/simplex.c -o build/simplex -lm
./build/simplex build > build/simplex.txt
gnuplot -e "dir='build'; out='docs/img/simplex.png'" docs/plots/simplex.gp
echo "docs/img/simplex.png"

${CC:-cc} -O2 -I${BNN:-.} examples/diagnostics.c -o build/diagnostics -lm
./build/diagnostics docs/img > build/diagnostics.txt
for name in trace ranks energy; do echo "docs/img/diagnostics_${name}_good.svg and _bad.svg"; done

# Latent variables: curves, and the sheets of images that the examples write with stb_image_write
for name in autoencoder ppca gmm factorized sequence vae vae_uses estimators discrete_vae; do
    ${CC:-cc} -O2 -I${BNN:-.} "examples/$name.c" -o "build/$name" -lm
    "./build/$name" > "build/$name.txt"
done
./build/vae bars > build/vae_bars.txt
cp build/vae_digits_plane.dat build/vae.dat
for name in autoencoder ppca gmm vae estimators; do
    gnuplot -e "dat='build/$name.dat'; out='docs/img/${name}_curve.png'" "docs/plots/$name.gp"
    echo "docs/img/${name}_curve.png"
done
for name in autoencoder ppca gmm_samples factorized_digits factorized_gray sequence \
    vae_digits_reconstruction vae_digits_samples vae_digits_interpolation \
    vae_digits_plane vae_bars_plane vae_uses_digits_halves discrete_digits_categorical; do
    if [ -e "build/$name.png" ]; then
        cp "build/$name.png" "docs/img/$name.png"
        echo "docs/img/$name.png"
    fi
done
