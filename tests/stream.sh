#!/bin/sh
# examples/stream.c: a file ten times the memory that the program may have (ulimit -v), window by
# window; the bits are those of the same file in memory without that limit, and of mapped windows.
#     sh tests/stream.sh         seconds, 160 MB under build/; ends with "N passed, M failed"
cd "$(dirname "$0")/.." || exit 1
out=build/rows_from_file
rm -rf $out
mkdir -p $out || exit 1
limit=16384 # KB of addresses: program, libraries and stack among them
rows=2621440 # of 64 bytes
passed=0
failed=0
check() { if [ "$1" -eq 0 ]; then passed=$((passed + 1)); else failed=$((failed + 1)); echo "FAIL $2"; fi; }
bits() { sed -n 's/.*\(bits=[0-9a-f]*\) .*/\1/p' "$1"; }
for flag in "" -DWITH_MMAP; do
    # shellcheck disable=SC2086
    ${CC:-cc} -std=c99 -O2 -Wall -Wextra -Werror $flag -I. examples/stream.c -o $out/stream$flag -lm
    check $? "it does not compile $flag"
done
$out/stream write $out/rows $rows && [ "$(wc -c <$out/rows)" -eq $((limit * 1024 * 10)) ]
check $? "the file is not ten times the limit"
for flag in "" -DWITH_MMAP; do
    (ulimit -v $limit && timeout 100 $out/stream$flag train $out/rows) >$out/log$flag 2>$out/err
    check $? "under ulimit -v $limit $flag: $(cat $out/err)"
    cat $out/log$flag
done
(ulimit -v $limit && $out/stream memory $out/rows) >$out/log 2>$out/err && s=1 || s=0
[ $s -eq 0 ] && grep -q 'it does not fit into memory; train reads windows' $out/err
check $? "under the limit the whole file fit into memory: $(cat $out/log $out/err)"
$out/stream memory $out/rows >$out/whole
check $? "in memory, without the limit"
cat $out/whole
[ -n "$(bits $out/whole)" ] && (ulimit -v $limit && $out/stream train $out/rows) >$out/log &&
    [ "$(bits $out/log)" = "$(bits $out/whole)" ] && [ "$(bits $out/log-DWITH_MMAP)" = "$(bits $out/whole)" ]
check $? "file and memory give other bits"
sed 's/.*rmse=\([0-9.]*\) .*/\1/' $out/whole | awk '{ exit !($1 > 0.19 && $1 < 0.22) }' # 0.2: the noise
check $? "RMSE: $(cat $out/whole)"

wrong() { # wrong SENTENCE ARGUMENTS
    sentence=$1
    shift
    $out/stream "$@" >$out/log 2>$out/err && s=0 || s=1
    [ $s -eq 1 ] && [ "$(wc -l <$out/err)" -eq 1 ] && grep -q "^stream: $sentence" $out/err
    check $? "$*: $(cat $out/err)"
}
head -c 100000 $out/rows >$out/short
(head -c 65536 /dev/zero | tr '\0' '\377') >$out/nan
wrong "$out/short: no whole number of windows of 65536 bytes" train $out/short
wrong "/dev/null: no whole number of windows" train /dev/null
wrong "$out/nowhere: " train $out/nowhere
wrong "$out: " train $out
wrong "$out/no/where: " write $out/no/where 1024
wrong "1000: rows are a multiple of 1024" write $out/short 1000
wrong "learn: there are write FILE ROWS" learn $out/rows
wrong "$out/nan: bnn_minibatch: x is nan in row" train $out/nan
rm -f $out/rows
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
