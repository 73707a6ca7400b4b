#!/bin/sh
# Fuzzes the parsers with libFuzzer under the sanitizers, the given seconds each (default 60).
#     sh tests/fuzz/run.sh 1200
cd "$(dirname "$0")/../.." || exit 1
seconds=${1:-60}
mkdir -p build/fuzz
passed=0
failed=0
for name in csv idx checkpoint table arrays fit; do
    program=build/fuzz/fuzz_$name
    if ! clang -O1 -g -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=undefined -I. \
        "tests/fuzz/fuzz_$name.c" -o "$program" -lm >"$program.log" 2>&1; then
        echo "fuzz_$name does not build (clang and its runtime are needed: libclang-rt-dev)"
        head -n 5 "$program.log"
        failed=$((failed + 1))
        continue
    fi
    mkdir -p "build/fuzz/corpus_$name"
    if "$program" -max_total_time="$seconds" -print_final_stats=1 -artifact_prefix=build/fuzz/ \
        "build/fuzz/corpus_$name" "tests/fuzz/corpus/$name" >"$program.log" 2>&1; then
        crashes=0 passed=$((passed + 1))
    else
        crashes=1 failed=$((failed + 1))
        tail -n 20 "$program.log"
    fi
    execs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$program.log")
    echo "RESULT fuzz target=$name execs=$execs crashes=$crashes"
done
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
