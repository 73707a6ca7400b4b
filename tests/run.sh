#!/bin/sh
# Runs every test program below the given folder and adds up their last lines.
build=$1
passed=0
failed=0
for program in "$build"/float/test_* "$build"/double/test_*; do
    [ -x "$program" ] || continue
    out=$("$program" 2>&1)
    code=$?
    last=$(printf '%s\n' "$out" | tail -n 1)
    name=${program#"$build"/}
    p=$(printf '%s\n' "$last" | sed -n 's/^\([0-9]*\) passed, [0-9]* failed$/\1/p')
    f=$(printf '%s\n' "$last" | sed -n 's/^[0-9]* passed, \([0-9]*\) failed$/\1/p')
    if [ -z "$p" ]; then # died before its last line
        printf '%s\n%s: ended with status %s\n' "$out" "$name" "$code"
        f=1 p=0
    elif [ "$code" -ne 0 ]; then
        printf '%s\n' "$out" | sed '$d'
    fi
    printf '%-28s %s passed, %s failed\n' "$name" "$p" "$f"
    passed=$((passed + p))
    failed=$((failed + f))
done
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
