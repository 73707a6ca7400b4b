# shellcheck shell=sh
# For scripts that end with "N passed, M failed": sourced at the top of the tree with the name of a
# folder, build/NAME, which it empties. check CODE SENTENCE counts; finish is the last line.
out=build/$1
rm -rf "$out"
mkdir -p "$out"
passed=0
failed=0
check() { if [ "$1" -eq 0 ]; then passed=$((passed + 1)); else failed=$((failed + 1)); echo "FAIL $2"; fi; }
finish() { echo "$passed passed, $failed failed"; [ "$failed" -eq 0 ]; }
