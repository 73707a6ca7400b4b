#!/bin/sh
# Fuzzes the parsers and programs of public calls with libFuzzer under the sanitizers, the given
# seconds each (default 60).
#     sh tests/fuzz/run.sh 1200
#     sh tests/fuzz/run.sh 120 api csv      some targets
#     SEED=7 sh tests/fuzz/run.sh 3600 api  other inputs: the seed is 1, so that two runs see the same; 0 = any
# In a line of results seconds is the processor's, less than those asked for on a busy machine.
cd "$(dirname "$0")/../.." || exit 1
seconds=${1:-60}
[ $# -eq 0 ] || shift
[ $# -gt 0 ] || set -- csv idx checkpoint table arrays fit api
mkdir -p build/fuzz
passed=0
failed=0
for name in "$@"; do
    program=build/fuzz/fuzz_$name
    flags="" options=""
    # NULL + 0 is not looked for; programs may be long from the start
    [ "$name" != api ] || { flags=-fno-sanitize=pointer-overflow options="-len_control=0 -max_len=600"; }
    # shellcheck disable=SC2086
    if ! clang -O1 -g -fsanitize=fuzzer,address,undefined $flags -fno-sanitize-recover=undefined -DBNN_STATIC -I. \
        "tests/fuzz/fuzz_$name.c" -o "$program" -lm >"$program.log" 2>&1; then
        echo "fuzz_$name does not build (clang and its runtime are needed: libclang-rt-dev)"
        head -n 5 "$program.log"
        failed=$((failed + 1))
        continue
    fi
    mkdir -p "build/fuzz/corpus_$name"
    # shellcheck disable=SC2086
    if (
        "$program" $options -seed="${SEED:-1}" -max_total_time="$seconds" -print_final_stats=1 -artifact_prefix=build/fuzz/ \
            "build/fuzz/corpus_$name" "tests/fuzz/corpus/$name" >"$program.log" 2>&1
        code=$?
        times >"$program.time"
        exit $code
    ); then
        crashes=0 passed=$((passed + 1))
    else
        crashes=1 failed=$((failed + 1))
        tail -n 20 "$program.log"
    fi
    execs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$program.log")
    cpu=$(tail -n 1 "$program.time" | tr 'ms' '  ' | awk '{ printf "%.0f", 60 * ($1 + $3) + $2 + $4 }')
    echo "RESULT fuzz target=$name seconds=$cpu execs=$execs crashes=$crashes"
done
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
