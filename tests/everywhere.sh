#!/bin/sh
# Every claim of docs/portability.md, one after the other; hours on two cores.
#     sh tests/install.sh all && sh tests/everywhere.sh
cd "$(dirname "$0")/.." || exit 1
failed=0
step() { echo "== $*"; "$@" || failed=1; }
step sh tests/matrix.sh all
step sh tests/variants.sh
step sh tests/targets.sh
step sh tests/footprint.sh
step sh tests/memory.sh
step sh tests/load.sh
step sh tests/coverage.sh
step sh tests/sentences.sh provoked
step sh tests/fuzz/run.sh 3600
exit $failed
