#!/bin/sh
# examples/chains_mpi.c: one, two and eight processes give the same bits; one of four is killed, and
# the run goes on from its checkpoints to the bits of the undisturbed one; what is wrong is said once.
#     sh tests/mpi.sh            seconds; ends with "N passed, M failed"
#     sh tests/mpi.sh scale      the lines of docs/scale.md, minutes
# Open MPI or MPICH: of Debian, apt-get install openmpi-bin libopenmpi-dev.
cd "$(dirname "$0")/.." || exit 1
if ! command -v mpicc >/dev/null || ! command -v mpirun >/dev/null; then
    echo "skipped chains_mpi: mpicc and mpirun are missing: apt-get install openmpi-bin libopenmpi-dev"
    echo "0 passed, 0 failed"
    exit 0
fi
out=build/mpi
rm -rf $out
mkdir -p $out/whole $out/killed || exit 1
out=$PWD/$out
# Open MPI in a container: as root, more processes than cores, no ptrace, no binding
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 OMPI_MCA_rmaps_base_oversubscribe=1 \
    OMPI_MCA_btl_vader_single_copy_mechanism=none OMPI_MCA_hwloc_base_binding_policy=none
flags="-std=c99 -O2 -Wall -Wextra -I."
passed=0
failed=0
check() { if [ "$1" -eq 0 ]; then passed=$((passed + 1)); else failed=$((failed + 1)); echo "FAIL $2"; fi; }
ranks() { # ranks N ARGUMENTS
    n=$1
    shift
    timeout 120 mpirun -n "$n" "$out/chains_mpi" "$@" 2>"$out/err"
}
bits() { sed -n 's/ ranks=.*//p; /^f(/p'; } # what must not depend on the number of processes

# shellcheck disable=SC2086
mpicc $flags -DWITH_MPI examples/chains_mpi.c -o $out/chains_mpi -lm 2>$out/err
check $? "it does not compile with mpicc: $(head -n 3 $out/err)"
if [ "$1" = scale ]; then
    for n in 1 2 4 8; do ranks $n --chains 8 --draws 2000 | grep RESULT; done
    for c in 1 2 4 8 16; do ranks 2 --chains $c --draws 2000 | grep RESULT; done
    for n in 10 100 10000 1000000; do ranks 1 --chains 1 --rows $n | grep RESULT; done
    for h in 8 16 32 64 128 256; do
        ranks 1 --chains 1 --rows 100 --draws 100 --hidden $h | grep RESULT
    done
    exit
fi
# shellcheck disable=SC2086
${CC:-cc} $flags -Werror examples/chains_mpi.c -o $out/plain -lm && $out/plain >$out/log && bits <$out/log >$out/want
check $? "one process without MPI"
[ "$(wc -l <$out/want)" -eq 5 ] && grep -q '^one process; for many: mpicc' $out/log
check $? "it says how to build it for many"
for n in 1 2 8; do
    ranks $n >$out/log && bits <$out/log | cmp -s - $out/want
    check $? "$n processes: other bits: $(cat $out/log $out/err)"
done
bits <$out/log | sed -n 's/.*rhat=\([0-9.]*\).*/\1/p' | awk '{ exit !($1 < 1.05) }'
check $? "R-hat is not below 1.05"

many="--draws 1500"
# shellcheck disable=SC2086
ranks 4 $many --folder $out/whole >$out/log && bits <$out/log >$out/want
check $? "four processes with a folder: $(cat $out/err)"
# shellcheck disable=SC2086
timeout 120 mpirun -n 4 $out/chains_mpi $many --folder $out/killed >$out/log 2>$out/err &
pid=$!
last=$out/killed/chain-0003.bnn
for i in 1 2 3 4 5 6 7 8 9 10; do # its file grows once it has draws
    until [ -s "$last" ]; do sleep 0.05; kill -0 $pid 2>/dev/null || break 2; done
    [ "${size:=$(wc -c <"$last")}" -eq "$(wc -c <"$last")" ] || break
    sleep 0.05
done
for p in /proc/[0-9]*; do # the first process of this very program
    [ "$(readlink "$p/exe")" = "$out/chains_mpi" ] && victim=${p#/proc/} && break
done 2>/dev/null
[ -n "$victim" ] && kill -9 "$victim"
check $? "there was no process to kill"
wait $pid
[ $? -ne 0 ] && ! grep -q RESULT $out/log
check $? "the run with a killed process ended as if nothing had been"
! cmp -s $out/whole/chain-0007.bnn $out/killed/chain-0007.bnn
check $? "it was killed too late to show anything"
for n in 3 8; do # on what is left, and once more when all is done
    # shellcheck disable=SC2086
    ranks $n $many --folder $out/killed >$out/log && bits <$out/log | cmp -s - $out/want
    check $? "after the loss, $n processes: other bits: $(cat $out/log $out/err)"
done
for f in $out/whole/*.bnn; do
    cmp -s "$f" "$out/killed/$(basename "$f")"
    check $? "$(basename "$f") differs from the undisturbed one"
done

wrong() { # wrong SENTENCE ARGUMENTS: fails, and says it once
    sentence=$1
    shift
    ranks 2 "$@" >$out/log && s=0 || s=1
    [ $s -eq 1 ] && [ "$(grep -c '^chains_mpi: ' $out/err)" -eq 1 ] &&
        grep -q "^chains_mpi: $sentence" $out/err && ! grep -q RESULT $out/log
    check $? "$*: $(grep -v '^$' $out/err | head -n 3)"
}
wrong "--draws wants a number from 6 to 1000000" --draws 5
wrong "--chains wants a number from 1 to 10000" --chains
wrong "--rows wants a number from 1 to 100000000" --rows many
wrong "--speed: there are --folder DIR --chains 8" --speed 3
wrong "chain 0: .*nowhere/chain-0000.bnn" --folder $out/nowhere
wrong "chain 0: its checkpoint is of another run: chain 0, --seed 1 --rows 40 --hidden 8 --draws 1500" \
    --seed 2 --folder $out/killed
cp $out/whole/chain-0002.bnn $out/killed/chain-0005.bnn
# shellcheck disable=SC2086
wrong "chain 5: its checkpoint is of another run: chain 2, --seed 1" $many --folder $out/killed
head -c 5000 $out/whole/chain-0005.bnn >$out/killed/chain-0005.bnn
# shellcheck disable=SC2086
wrong "chain 5: " $many --folder $out/killed
if [ "$(id -u)" -ne 0 ]; then
    mkdir $out/closed && chmod 500 $out/closed
    wrong "chain 0: .*closed/chain-0000.bnn" --folder $out/closed
fi
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
