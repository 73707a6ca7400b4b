#!/bin/sh
# Stan beside NUTS: sh tests/bench/stan.sh FOLDER [model ...], the folder of examples/posteriordb.c.
# Both: 4 chains of 1000 warm-up and 1000 draws, diagonal mass; the least bulk ESS of all parameters,
# per gradient after warm-up and per processor second of warm-up and sampling, summed over SEEDS runs
# of seeds 1, 2, ... (default 5: one run's ESS varies by a tenth). Needs on Debian
#     r-base-core r-base-dev r-cran-rstan r-cran-bh r-cran-rcppeigen r-cran-rcppparallel
#     r-cran-stanheaders libboost-dev libeigen3-dev libtbb-dev
# Compiling the Stan model takes a minute and is not counted.
cd "$(dirname "$0")/../.." || exit 1
[ $# -ge 1 ] || { echo "usage: stan.sh FOLDER [model ...]"; exit 2; }
command -v Rscript >/dev/null || { echo "stan.sh: no Rscript: see the packages in its head"; exit 2; }
mkdir -p build/bench
cc -std=c99 -O2 -I. examples/posteriordb.c -o build/bench/posteriordb -lm || exit 1
folder=$1
shift
[ $# -ge 1 ] || set -- kidiq-kidscore_momiq arK-arK nes1972-nes sblri-blr \
    earnings-logearn_interaction diamonds-diamonds
SEEDS=${SEEDS:-5}
export SEEDS
seed=0
: >build/bench/stan.txt
while [ $((seed += 1)) -le "$SEEDS" ]; do
    build/bench/posteriordb --diagonal --seed $seed "$folder" "$@" | grep RESULT | tee -a build/bench/stan.txt
done
CPLUS_INCLUDE_PATH=/usr/lib/R/site-library/RcppEigen/include:/usr/include/eigen3 \
    Rscript tests/bench/stan.R "$folder" "$@" | grep RESULT | tee -a build/bench/stan.txt
awk '{ which = $2 == "posteriordb" ? 1 : 2
       for (i = 4; i <= NF; i++) { split($i, a, "="); v[a[1]] = a[2] }
       ess[$3, which] += v["ess"]; seconds[$3, which] += v["seconds"]
       gradients[$3, which] += v["ess"] / v["ess_per_grad"]; n[$3, which]++; seen[$3] = 1 }
     END { for (m in seen) if (n[m, 1] && n[m, 1] == n[m, 2])
         printf "RESULT stan_ratio %s seeds=%d per_gradient=%.2f per_second=%.1f\n", m, n[m, 1],
             ess[m, 1] / gradients[m, 1] / (ess[m, 2] / gradients[m, 2]),
             ess[m, 1] / seconds[m, 1] / (ess[m, 2] / seconds[m, 2]) }' \
    build/bench/stan.txt
