#!/bin/sh
# docs/play in a real browser: every tab, every control, the numbers of the page beside those of the
# same program run natively, pictures in build/play. Ends with "N passed, M failed".
# Debian: chromium chromium-driver nodejs
cd "$(dirname "$0")/.." || exit 1
for tool in node chromium chromedriver; do
    if ! command -v $tool >/dev/null 2>&1; then
        echo "skipped: SKIP play, there is no $tool"
        echo "0 passed, 0 failed"
        exit 0
    fi
done
sh docs/play/build.sh native || { echo "0 passed, 1 failed"; exit 1; }
timeout 900 node tests/play.js build/play
