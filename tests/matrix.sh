#!/bin/sh
# The matrix: compilers x standards x optimization levels x macros. Every cell compiles the header
# (warnings are errors where the compiler has them) and most run the small program tests/smoke.c,
# whose printed digest of a training run must not depend on compiler, level, language, instruction set
# or threads: there is one digest for fused multiply-add and one for plain arithmetic.
#     sh tests/matrix.sh          gcc and clang as they are installed
#     sh tests/matrix.sh all      every version of both that is here, and the slow tools
# Compilers that are not installed are skipped and named. Ends with "N passed, M failed".
set -u
cd "$(dirname "$0")/.." || exit 1
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
passed=0
failed=0
skipped=""
fused=2041500d16b55f01
plain=f9eb46f8d1c78d15
grep -q 'avx2.* fma \| fma .*avx2' /proc/cpuinfo 2>/dev/null || case $(uname -m) in aarch64) ;; *) fused=$plain ;; esac
everything=${1:-}

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

# run NAME digest|plain|any PROGRAM: it ends with status 0; its digest is the one it must be
run() {
    if ! text=$("$3" 2>&1); then
        bad "$1: ended with an error"
        printf '%s\n' "$text" | head -n 8
        return
    fi
    digest=$(printf '%s\n' "$text" | sed -n 's/^digest //p')
    case $2 in
    digest) want=$fused ;;
    plain) want=$plain ;;
    *) want=$digest ;;
    esac
    if [ "$digest" = "$want" ]; then ok "$1 $digest"; else bad "$1: digest $digest, not $want"; fi
}

# build NAME digest|plain|any COMPILER FLAGS...
build() {
    name=$1
    kind=$2
    shift 2
    if ! have "$1"; then skipped="$skipped $1"; return; fi
    rm -f "$out/smoke"
    cell "build $name" "$@" -I. tests/smoke.c -o "$out/smoke" -lm
    [ -x "$out/smoke" ] && run "run $name" "$kind" "$out/smoke"
}

# The first standard of a compiler is optimized, the others are compiled at -O0, for the bits are the same. The
# macros are optimized by gcc alone.
for cc in gcc clang; do
    level=-O2
    for std in c99 c11 c17 gnu99; do
        # shellcheck disable=SC2086
        build "$cc -std=$std" digest $cc -std=$std $level -Werror $strict $strict_c
        level=-O0
    done
    for level in -O0 -O1 -O2 -O3 -Os "-O3 -march=native"; do
        # shellcheck disable=SC2086
        build "$cc $level" digest $cc -std=c99 $level
    done
    fast=digest # inside the implementation gcc's -ffast-math is off; clang's may fuse all the same
    [ $cc = gcc ] || fast=any
    build "$cc -ffast-math" $fast $cc -std=c99 -O2 -ffast-math
    build "$cc -fopenmp" digest $cc -std=c99 -O2 -fopenmp
    if echo 'int main(void) { return 0; }' | $cc -m32 -x c - -o "$out/t" 2>/dev/null; then
        # (Debian's cross compilers remove the package that links the kernel's headers for -m32)
        build "$cc -m32" plain $cc -std=c99 -O2 -m32 -msse2 -mfpmath=sse -idirafter \
            "/usr/include/$(gcc -dumpmachine)"
    else
        skipped="$skipped $cc-m32"
    fi
    [ $cc = gcc ] && level=-O2 || level=-O0
    build "$cc BNN_NO_SIMD" plain $cc -std=c99 $level -DBNN_NO_SIMD
    build "$cc BNN_NO_STDIO" digest $cc -std=c99 $level -DSMOKE_NO_STDIO
    build "$cc BNN_STATIC" digest $cc -std=c99 $level -Wall -Wextra -Werror -DBNN_STATIC
    build "$cc BNN_ASSERT" digest $cc -std=c99 $level -DSMOKE_ASSERT
    build "$cc BNNDEF" digest $cc -std=c99 $level "-DBNNDEF=extern"
    build "$cc math hooks" any $cc -std=c99 $level -DSMOKE_HOOKS
    build "$cc macros of windows.h, X11, Arduino, termios" digest $cc -std=c99 $level -Itests -include tests/macros.h
    build "$cc BNN_NO_STDIO BNN_STATIC BNN_NO_SIMD" plain $cc -std=c99 $level -DSMOKE_NO_STDIO -DBNN_STATIC \
        -DBNN_NO_SIMD
done
for cc in g++ clang++; do
    level=-O2
    for std in c++11 c++14 c++17 c++20; do
        # shellcheck disable=SC2086
        build "$cc -std=$std" digest $cc -x c++ -std=$std $level -Werror $strict
        level=-O0
    done
    build "$cc macros" digest $cc -x c++ -std=c++11 $level -Itests -include tests/macros.h
done
build tcc plain tcc
build "tcc macros" plain tcc -Itests -include tests/macros.h
build musl-gcc digest musl-gcc -std=c99 -O2 -static
if echo 'int main(void){return 0;}' | gcc -x c - -lopenblas -o "$out/t" 2>/dev/null; then
    build "gcc BNN_CBLAS" any gcc -std=c99 -O2 -DSMOKE_CBLAS -Wl,--no-as-needed -lopenblas
    cell "test_kernels.c by BLAS" sh -c "gcc -std=c99 -O2 -DBNN_CBLAS -include cblas.h -I. tests/test_kernels.c \
        -o $out/kernels -lopenblas -lm && OPENBLAS_NUM_THREADS=1 $out/kernels >$out/kernels.log ||
        { tail -n 4 $out/kernels.log; exit 1; }"
else
    skipped="$skipped openblas"
fi

if have x86_64-w64-mingw32-gcc; then
    printf '#include <windows.h>\n#define small char\n#define BNN_IMPLEMENTATION\n#include "bnn.h"\n' >"$out/w.c"
    cell "behind windows.h itself" x86_64-w64-mingw32-gcc -std=c99 -Wall -Wextra -I. -c "$out/w.c" -o "$out/w.o"
else
    skipped="$skipped mingw-w64"
fi

# data of another type must not compile: by BNN_MAT anywhere, in plain braces by gcc and clang
refused() { # refused NAME COMMAND...: the command fails
    name=$1
    shift
    if "$@" >/dev/null 2>&1; then bad "$name compiles"; else ok "$name"; fi
}
for type in double int char 'long double'; do
    printf '#include "bnn.h"\nint f(void);\nint f(void) { static %s x[6]; bnn_mat m = BNN_MAT(3, 2, x); return (int)m.rows; }\n' \
        "$type" >"$out/wrong.c"
    sed 's/BNN_MAT(3, 2, x)/{ 3, 2, x }/' "$out/wrong.c" >"$out/plain.c"
    for compiler in 'gcc -std=c99' 'gcc -std=c11' 'clang -std=c99' 'g++ -x c++ -std=c++11' 'clang++ -x c++ -std=c++11' tcc; do
        # shellcheck disable=SC2086
        have ${compiler%% *} && refused "$compiler BNN_MAT of $type" $compiler -I. -c "$out/wrong.c" -o "$out/wrong.o"
        # shellcheck disable=SC2086
        [ "$compiler" = tcc ] || refused "$compiler bnn_mat of $type" $compiler -I. -c "$out/plain.c" -o "$out/wrong.o"
    done
done

# every macro alone and every pair of them
openblas=$(echo 'int main(void){return 0;}' | gcc -x c - -lopenblas -o "$out/t" 2>/dev/null && echo CBLAS)
for one in STATIC NO_STDIO NO_SIMD ASSERT HOOKS DEF $openblas; do
    for two in STATIC NO_STDIO NO_SIMD ASSERT HOOKS DEF $openblas; do
        [ "$one" \< "$two" ] || [ "$one" = "$two" ] || continue
        flags=""
        kind=digest
        for m in "$one" "$two"; do
            case $m in
            STATIC) flags="$flags -DBNN_STATIC" ;;
            NO_SIMD) flags="$flags -DBNN_NO_SIMD" ;;
            DEF) flags="$flags -DBNNDEF=static" ;;
            CBLAS) flags="$flags -DSMOKE_CBLAS -Wl,--no-as-needed -lopenblas" ;;
            *) flags="$flags -DSMOKE_$m" ;;
            esac
        done
        case $one$two in *HOOKS* | *CBLAS*) kind=any ;; *NO_SIMD*) kind=plain ;; esac
        # shellcheck disable=SC2086
        build "macros $one $two" $kind gcc -std=c99 -O0 -Wno-unused-function $flags
    done
done

# threads and instruction sets: the same bits
if have gcc && gcc -std=c99 -O2 -fopenmp -I. tests/smoke.c -o "$out/smoke" -lm; then
    for n in 1 2 3 8; do
        export OMP_NUM_THREADS=$n
        run "OpenMP, $n threads" digest "$out/smoke"
    done
    unset OMP_NUM_THREADS
fi
case $(uname -m) in x86_64)
    lanes="1 4"
    [ $fused = $plain ] || lanes="$lanes 8"
    ! grep -q avx512dq /proc/cpuinfo || lanes="$lanes 16"
    for n in $lanes; do
        kind=digest
        [ "$n" -gt 4 ] || kind=plain
        build "x86-64 with $n lanes" $kind gcc -std=c99 -O1 -DSMOKE_LANES="$n"
    done ;;
esac

# declarations alone, twice, in two units, beside an implementation, before and after other headers;
# C and C++ together; two private implementations in one program; prefixed symbols; no globals
printf '#include "bnn.h"\n#include "bnn.h"\nint user(void);\nint user(void) { return bnn_rng_seed(1).left; }\n' >"$out/a.c"
printf '#include "bnn.h"\n#define BNN_IMPLEMENTATION\n#include "bnn.h"\n#include "bnn.h"\nint user(void);\nint main(void) { return user(); }\n' >"$out/b.c"
printf '#include <math.h>\n#include <stdio.h>\n#define BNN_IMPLEMENTATION\n#include "bnn.h"\n#undef BNN_IMPLEMENTATION\n#include <string.h>\n#include "bnn.h"\nint user(void);\nint main(void) { return user(); }\n' >"$out/c.c"
printf '#include "bnn.h"\nextern "C" int user(void);\nint user(void) { return bnn_rng_seed(1).left; }\n' >"$out/d.cc"
printf '#define BNN_STATIC\n#define BNN_IMPLEMENTATION\n#include "bnn.h"\nint user(void);\nint user(void) { return bnn_rng_seed(1).left; }\n' >"$out/e.c"
sed 's/int user(void);/int user(void);\nint other(void);/; s/return user()/return user() + bnn_rng_seed(1).left/' "$out/b.c" |
    sed '1i #define BNN_STATIC' >"$out/f.c"
for cc in gcc clang; do
    have $cc || continue
    warn="-Wall -Wextra -Werror"
    # shellcheck disable=SC2086
    {
        cell "$cc two units, included twice" $cc -std=c99 -O0 $warn -I. "$out/a.c" "$out/b.c" -o "$out/two" -lm
        cell "$cc two units run" "$out/two"
        cell "$cc other headers before and after" $cc -std=c99 -O0 $warn -I. "$out/a.c" "$out/c.c" -o "$out/two" -lm
        cell "$cc other headers run" "$out/two"
        cell "$cc two private implementations" $cc -std=c99 -O0 $warn -I. "$out/e.c" "$out/f.c" -o "$out/two" -lm
        cell "$cc two private implementations run" "$out/two"
        $cc -std=c99 -O0 -I. -c "$out/b.c" -o "$out/b.o"
        cxx=g++
        [ $cc = gcc ] || cxx=clang++
        cell "$cc a C++ unit beside it" $cxx -x c++ -std=c++11 -O0 $warn -I. -c "$out/d.cc" -o "$out/d.o"
        cell "$cc C and C++ link" $cc "$out/b.o" "$out/d.o" -o "$out/two" -lm
        cell "$cc C and C++ run" "$out/two"
    }
    $cc -std=c99 -O1 -fPIE -I. -c "$out/b.c" -o "$out/b.o"
    if nm "$out/b.o" | awk '$2 ~ /[TDBRCVW]/ && $3 !~ /^(_?bnn_|main)/ { print $3; n = 1 } END { exit n }'; then
        ok "$cc symbols are prefixed"
    else
        bad "$cc symbols are prefixed"
    fi
    if nm -u "$out/b.o" | awk '$2 ~ /^(rand|srand|time|clock|exit|abort|getenv|setlocale)$/ { print $2; n = 1 } END { exit n }'; then
        ok "$cc no rand, time, exit"
    else
        bad "$cc no rand, time, exit"
    fi
    globals=$(nm "$out/b.o" | awk '$2 ~ /[bBdDC]/ { print $3 }' | grep -v '^bnn__cpu' || true)
    if [ -z "$globals" ]; then ok "$cc no mutable globals"; else bad "$cc mutable globals: $globals"; fi
    # the same in C++; with PIE, so that a table with pointers, which the loader writes, counts, too
    printf '#define BNN_IMPLEMENTATION\n#include "bnn.h"\n' >"$out/g.cc"
    $cxx -x c++ -std=c++11 -O1 -fPIE -I. -c "$out/g.cc" -o "$out/g.o"
    globals=$(nm "$out/g.o" | awk '$2 ~ /^[bBdDC]$/ { print $3 }' | grep -v 'bnn__cpu' || true)
    if [ -z "$globals" ]; then ok "$cxx no mutable globals"; else bad "$cxx mutable globals: $globals"; fi
done

# clang's every warning but these:
#   padded                      the layout of a struct is the machine's
#   used-but-marked-unused      a helper may be unused in some builds, and is marked so
#   comma                       rows of assignments in the kernels
#   float-equal                 zero is the default of a desc, and exact comparisons are meant
#   declaration-after-statement C99
#   unsafe-buffer-usage, unknown-warning-option    of later versions: C has pointers
#   nrvo, shadow-header         of later versions: about speed and about system headers
#   C++: old-style-cast, zero-as-null-pointer-constant, reserved-identifier, reserved-macro-identifier
#   (bnn__ is private), c++98-compat-pedantic: C99 and C++11 in one text
quiet="-Wno-padded -Wno-used-but-marked-unused -Wno-comma -Wno-float-equal -Wno-declaration-after-statement
    -Wno-unknown-warning-option -Wno-unsafe-buffer-usage -Wno-nrvo -Wno-shadow-header -Wno-pre-c11-compat"
quiet_cc="-Wno-old-style-cast -Wno-zero-as-null-pointer-constant -Wno-reserved-identifier
    -Wno-reserved-macro-identifier -Wno-c++98-compat-pedantic"
printf '#define BNN_IMPLEMENTATION\n#include "bnn.h"\n' >"$out/impl.c"
cp "$out/impl.c" "$out/impl.cc"
everything_of() { # everything_of CLANG
    if ! have "$1"; then skipped="$skipped $1"; return; fi
    # shellcheck disable=SC2086
    cell "$1 -Weverything" "$1" -std=c99 -Weverything -Werror $quiet -I. -fsyntax-only "$out/impl.c"
    # shellcheck disable=SC2086
    cell "$1 -Weverything, C++" "$1" -x c++ -std=c++11 -Weverything -Werror $quiet $quiet_cc -I. -fsyntax-only "$out/impl.cc"
}
everything_of clang
if have cppcheck; then
    # nullPointerRedundantCheck: bnn__io_array without a destination only reads; objectIndex: it takes the
    # n of a loop over one number, by its address, for anything
    cell cppcheck cppcheck --quiet --std=c99 --language=c --enable=warning,performance,portability -I. \
        -DBNN_IMPLEMENTATION -U_WIN32 -D__x86_64__ -D__GNUC__=12 -D__unix__ --max-configs=1 \
        --suppress=nullPointerRedundantCheck --suppress=objectIndex --error-exitcode=3 bnn.h
else
    skipped="$skipped cppcheck"
fi

# clang-tidy on the header as a file of its own (an include is only looked at from outside): bugprone and
# cert, but these:
#   easily-swappable-parameters, macro-parentheses, narrowing-conversions   taste, or -Wconversion's
#   reserved-identifier, dcl37, dcl51   bnn__ is private
#   flp30                     the recurrences of >>special walk x by exactly 1
#   implicit-widening         enum constants in products that fit an int
#   sizeof-expression         arrays of pointers
#   not-null-terminated       lengths are carried along
#   branch-clone              switches that one macro makes for all activations
#   suspicious-memory-comparison, exp42, flp37   a prior is the default if all of its bytes are zero
#   integer-division          leap years
tidy="-*,bugprone-*,cert-*,-bugprone-easily-swappable-parameters"
tidy="$tidy,-bugprone-macro-parentheses,-bugprone-narrowing-conversions,-bugprone-reserved-identifier"
tidy="$tidy,-cert-dcl37-c,-cert-dcl51-cpp,-cert-flp30-c,-bugprone-sizeof-expression"
tidy="$tidy,-bugprone-implicit-widening-of-multiplication-result,-bugprone-not-null-terminated-result"
tidy="$tidy,-bugprone-branch-clone,-bugprone-suspicious-memory-comparison,-cert-exp42-c,-cert-flp37-c"
tidy="$tidy,-bugprone-integer-division"
if have clang-tidy; then
    cell clang-tidy sh -c "clang-tidy --quiet -checks='$tidy' bnn.h -- -x c -std=c99 -DBNN_IMPLEMENTATION \
        2>/dev/null"
else
    skipped="$skipped clang-tidy"
fi
# gcc's analyzer, of version 12; it does not see that a new chunk has room for its own head
case $(gcc -dumpversion 2>/dev/null) in
12*) cell "gcc -fanalyzer" sh -c "LC_ALL=C gcc -std=c99 -O1 -fanalyzer -fdiagnostics-plain-output -I. -c '$out/impl.c' \
    -o '$out/impl.o' >'$out/said' 2>&1 || cat '$out/said'
    grep Wanalyzer '$out/said' | grep -v ': dereference of NULL .c. '; :" ;;
*) skipped="$skipped gcc-12-fanalyzer" ;;
esac

if [ "$everything" = all ]; then
    cell "clang's analyzer" sh -c "sh tests/analyzer.sh >'$out/said' || cat '$out/said'"
    for version in 11 12 13 14; do
        # shellcheck disable=SC2086
        build "gcc-$version" digest gcc-$version -std=c99 -O2 -Werror $strict $strict_c
        # shellcheck disable=SC2086
        build "g++-$version" digest g++-$version -x c++ -std=c++17 -O2 -Werror $strict
        build "gcc-$version -O3 -march=native" digest gcc-$version -std=gnu17 -O3 -march=native
        build "gcc-$version -Ofast" digest gcc-$version -std=c99 -Ofast
    done
    for version in 13 14 15 16 19 22; do
        # shellcheck disable=SC2086
        build "clang-$version" digest clang-$version -std=c99 -O2 -Werror $strict $strict_c
        build "clang-$version -O3 -march=native" digest clang-$version -std=gnu17 -O3 -march=native
        everything_of clang-$version
    done
fi

# what the header promises of its text
if LC_ALL=C grep -nP '[^\x00-\x7F]' bnn.h; then bad "ASCII only"; else ok "ASCII only"; fi
if awk 'length > 100 { print FILENAME ":" FNR; n = 1 } END { exit n }' bnn.h examples/*.[ch]; then ok "100 columns"; else bad "100 columns"; fi
if grep -nE '[[:blank:]]+$' bnn.h examples/*.[ch] tests/*.[ch] tests/*.sh docs/course/*.[ch]; then bad "trailing blanks"; else ok "trailing blanks"; fi

[ -z "$skipped" ] || echo "not installed, skipped:$skipped"
echo "RESULT matrix cells=$((passed + failed)) passed=$passed"
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
