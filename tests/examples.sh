#!/bin/sh
# Every example that runs without arguments: it compiles without a warning, ends with status 0 and
# says something. The long ones must refuse politely without their data folder (status 2). The
# implementation is compiled once, but for examples that set one of its macros.
cd "$(dirname "$0")/.." || exit 1
out=build/strict
rm -rf "$out"
mkdir -p "$out"
cc="${CC:-cc} -std=c99 -O2 -Wall -Wextra -Werror"
printf '#undef BNN_IMPLEMENTATION\n#include "../../bnn.h"\n' >"$out/bnn.h"
printf '#define BNN_IMPLEMENTATION\n#include "../../bnn.h"\n' >"$out/whole.c"
$cc -c "$out/whole.c" -o "$out/whole.o" || exit 1
passed=0
failed=0
for source in examples/*.c; do
    name=$(basename "$source" .c)
    program=$out/$name
    if grep -q 'BNN_NO_STDIO\|BNN_STATIC\|BNN_ASSERT' "$source"; then set -- -I.; else set -- "-I$out" "$out/whole.o"; fi
    if ! message=$($cc "$source" "$@" -o "$program" -lm -pthread 2>&1); then
        echo "$name does not compile: $message"
        failed=$((failed + 1))
        continue
    fi
    case $name in mnist | uci | vgg | weight_noise_mnist) want=2 ;; *) want=0 ;; esac
    text=$("./$program" 2>&1)
    code=$?
    if [ "$code" -eq "$want" ] && [ -n "$text" ]; then
        passed=$((passed + 1))
        echo "ok   $name"
    else
        failed=$((failed + 1))
        printf 'FAIL %s: status %s\n%s\n' "$name" "$code" "$text"
    fi
done
# The same fit in C++ and, by ctypes, in Python: equal tables, and structs of equal sizes
check() { # what, status
    if [ "$2" -eq 0 ]; then passed=$((passed + 1)); echo "ok   $1"; else failed=$((failed + 1)); echo "FAIL $1"; fi
}
${CXX:-c++} -std=c++11 -O2 -Wall -Wextra -Werror -I. examples/fit.cpp -o "$out/fit-cpp" -lm &&
    "$out/fit-cpp" >"$out/fit-cpp.txt" && [ -s "$out/fit-cpp.txt" ]
check "fit.cpp" $?
if command -v python3 >/dev/null 2>&1; then
    ${CC:-cc} -O2 -shared -fPIC -DBNN_IMPLEMENTATION -x c bnn.h -o "$out/libbnn.so" -lm &&
        python3 examples/python/fit.py "$out/libbnn.so" >"$out/fit-py.txt" && cmp "$out/fit-cpp.txt" "$out/fit-py.txt"
    check "python/fit.py prints what fit.cpp prints" $?
    python3 examples/python/fit.py --sizes >"$out/sizes-py.txt"
    { printf '#include <stdio.h>\n#include "bnn.h"\nint main(void) {\n'
      sed 's/ .*//; s/.*/printf("& %zu\\n", sizeof(&));/' "$out/sizes-py.txt"; printf 'return 0; }\n'; } >"$out/sizes.c"
    $cc -I. "$out/sizes.c" -o "$out/sizes" && "$out/sizes" | cmp - "$out/sizes-py.txt"
    check "python's structs have C's sizes" $?
else
    echo "not installed: python3, for examples/python"
fi
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
