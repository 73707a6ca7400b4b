#!/bin/sh
# The matrix: compilers x standards x optimization levels x macros. Every cell compiles the header
# (warnings are errors where the compiler has them) and most run the small program tests/smoke.c,
# whose printed digest of a training run must not depend on compiler, level, language or threads.
# Compilers that are not installed are skipped and named. Ends with "N passed, M failed".
set -u
cd "$(dirname "$0")/.." || exit 1
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
passed=0
failed=0
skipped=""
reference=""

strict="-pedantic -Wall -Wextra -Wshadow -Wundef -Wconversion -Wdouble-promotion -Wcast-qual"
strict_c="-Wvla -Wc++-compat -Wstrict-prototypes -Wmissing-prototypes"

have() { command -v "$1" >/dev/null 2>&1; }
ok() { passed=$((passed + 1)); [ -z "${VERBOSE:-}" ] || echo "ok   $*"; }
bad() { failed=$((failed + 1)); echo "FAIL $*"; }

# cell NAME COMMAND...: the command succeeds and says nothing
cell() {
    name=$1
    shift
    if message=$("$@" 2>&1) && [ -z "$message" ]; then ok "$name"; else
        bad "$name"
        printf '%s\n' "$message" | head -n 8
    fi
}

# run NAME digest|any PROGRAM: it ends with status 0; its digest is that of the others
run() {
    if ! text=$("$3" 2>&1); then
        bad "$1: ended with an error"
        printf '%s\n' "$text" | head -n 8
        return
    fi
    digest=$(printf '%s\n' "$text" | sed -n 's/^digest //p')
    if [ "$2" = digest ]; then
        [ -n "$reference" ] || reference=$digest
        if [ "$digest" = "$reference" ]; then ok "$1 $digest"; else bad "$1: digest $digest, not $reference"; fi
    else
        ok "$1 $digest"
    fi
}

# build NAME digest|any COMPILER FLAGS...
build() {
    name=$1
    kind=$2
    shift 2
    if ! have "$1"; then skipped="$skipped $1"; return; fi
    rm -f "$out/smoke"
    cell "build $name" "$@" -I. tests/smoke.c -o "$out/smoke" -lm
    [ -x "$out/smoke" ] && run "run $name" "$kind" "$out/smoke"
}

for cc in gcc clang; do
    for std in c99 c11 c17 gnu99; do
        # shellcheck disable=SC2086
        build "$cc -std=$std" digest $cc -std=$std -O2 -Werror $strict $strict_c
    done
    for level in -O0 -O1 -O2 -O3 -Os "-O3 -march=native"; do
        # shellcheck disable=SC2086
        build "$cc $level" digest $cc -std=c99 $level
    done
    build "$cc -ffast-math" any $cc -std=c99 -O2 -ffast-math
    build "$cc -fopenmp" digest $cc -std=c99 -O2 -fopenmp
    if echo 'int main(void) { return 0; }' | $cc -m32 -x c - -o "$out/t" 2>/dev/null; then
        # (Debian's cross compilers remove the package that links the kernel's headers for -m32)
        build "$cc -m32" any $cc -std=c99 -O2 -m32 -msse2 -mfpmath=sse -idirafter \
            "/usr/include/$(gcc -dumpmachine)"
    else
        skipped="$skipped $cc-m32"
    fi
    build "$cc BNN_NO_SIMD" any $cc -std=c99 -O2 -DBNN_NO_SIMD
    build "$cc BNN_NO_STDIO" digest $cc -std=c99 -O2 -DSMOKE_NO_STDIO
    build "$cc BNN_STATIC" digest $cc -std=c99 -O2 -Wall -Wextra -Werror -DBNN_STATIC
    build "$cc BNN_ASSERT" digest $cc -std=c99 -O2 -DSMOKE_ASSERT
    build "$cc BNNDEF" digest $cc -std=c99 -O2 "-DBNNDEF=extern"
    build "$cc math hooks" any $cc -std=c99 -O2 -DSMOKE_HOOKS
    build "$cc BNN_NO_STDIO BNN_STATIC BNN_NO_SIMD" any $cc -std=c99 -O2 -DSMOKE_NO_STDIO -DBNN_STATIC \
        -DBNN_NO_SIMD
done
for cc in g++ clang++; do
    for std in c++11 c++14 c++17 c++20; do
        # shellcheck disable=SC2086
        build "$cc -std=$std" digest $cc -x c++ -std=$std -O2 -Werror $strict
    done
done
build tcc any tcc
build musl-gcc digest musl-gcc -std=c99 -O2 -static
if echo 'int main(void){return 0;}' | gcc -x c - -lopenblas -o "$out/t" 2>/dev/null; then
    build "gcc BNN_CBLAS" any gcc -std=c99 -O2 -DSMOKE_CBLAS -Wl,--no-as-needed -lopenblas
else
    skipped="$skipped openblas"
fi

# declarations alone, twice, in two units, beside an implementation; prefixed symbols; no globals
printf '#include "bnn.h"\n#include "bnn.h"\nint user(void);\nint user(void) { return bnn_rng_seed(1).left; }\n' >"$out/a.c"
printf '#include "bnn.h"\n#define BNN_IMPLEMENTATION\n#include "bnn.h"\n#include "bnn.h"\nint user(void);\nint main(void) { return user(); }\n' >"$out/b.c"
for cc in gcc clang; do
    have $cc || continue
    cell "$cc two units, included twice" $cc -std=c99 -O1 -Wall -Wextra -I. "$out/a.c" "$out/b.c" -o "$out/two" -lm
    cell "$cc two units run" "$out/two"
    # without PIE, constant tables of functions are in .rodata and not among the writable data
    $cc -std=c99 -O1 -fno-pie -I. -c "$out/b.c" -o "$out/b.o"
    if nm "$out/b.o" | awk '$2 ~ /[TDBRCVW]/ && $3 !~ /^(_?bnn_|main)/ { print $3; n = 1 } END { exit n }'; then
        ok "$cc symbols are prefixed"
    else
        bad "$cc symbols are prefixed"
    fi
    globals=$(nm "$out/b.o" | awk '$2 ~ /[bBdDC]/ { print $3 }' | grep -v '^bnn__cpu' || true)
    if [ -z "$globals" ]; then ok "$cc no mutable globals"; else bad "$cc mutable globals: $globals"; fi
done

# what the header promises of its text
if LC_ALL=C grep -nP '[^\x00-\x7F]' bnn.h; then bad "ASCII only"; else ok "ASCII only"; fi
if awk 'length > 100 { print FILENAME ":" FNR; n = 1 } END { exit n }' bnn.h; then ok "100 columns"; else bad "100 columns"; fi
if grep -nE '[[:blank:]]+$' bnn.h; then bad "trailing blanks"; else ok "trailing blanks"; fi

[ -z "$skipped" ] || echo "not installed, skipped:$skipped"
echo "RESULT matrix cells=$((passed + failed)) passed=$passed"
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
