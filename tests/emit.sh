#!/bin/sh
# Emitted nets, compiled by every compiler that is here and run beside bnn_predict, and the digits
# student of examples/emit.c on all test digits and on a Cortex-M4 (qemu-system-arm): flash, RAM,
# instructions per answer. Ends with "N passed, M failed".
cd "$(dirname "$0")/.." || exit 1
set -- emit
. tests/passed.sh
warn="-Wall -Wextra -Wconversion -Wshadow -pedantic -Werror"
cp tests/emit.h $out/compare.h
gcc -std=c99 -O1 -w -I. -Itests tests/test_emit.c -o $out/test_emit -lm && $out/test_emit $out >$out/log
check $? "test_emit writes its nets"
# all nets, by whatever is here; tcc has no FMA builtin and fewer warnings
while read -r name compiler; do
    [ -n "$name" ] || continue
    command -v "${compiler%% *}" >/dev/null || { echo "skipped $name: ${compiler%% *} is not installed"; continue; }
    bad=0
    for main in "$out"/net_*.main.c; do
        # shellcheck disable=SC2086
        if ! $compiler "$main" -o $out/run -lm 2>$out/err; then
            bad=$((bad + 1)) && echo "$name: $main: $(head -n 1 $out/err)"
        elif ! $out/run; then bad=$((bad + 1)); fi
    done
    check $bad "nets of all kinds under $name: $bad bad"
done <<L
gcc gcc -std=c99 -O2 $warn
gcc-O0 gcc -std=c99 -O0 $warn
gcc-gnu gcc -O3 -march=native $warn
clang clang -std=c99 -O2 $warn
g++ g++ -x c++ -std=c++11 -O2 $warn
clang++ clang++ -x c++ -std=c++11 -O2 $warn
tcc tcc -Wall
sanitized gcc -std=c99 -O1 -fsanitize=address,undefined -fno-sanitize-recover=all $warn
L
# the digits: every test row against the net itself
gcc -std=c99 -O2 -I. examples/emit.c -o $out/emit -lm && $out/emit $out examples/data
check $? "examples/emit.c"
cat >$out/digits.c <<'C'
#define BNN_STATIC
#define BNN_IMPLEMENTATION
#include "bnn.h"
#include <stdio.h>
#include <time.h>
#define F(kind) int digits_##kind(const float *, float *, float *, float *);
F(float) F(half) F(int8) F(moments) F(lenet) F(lenet8)
int main(void) {
    static const struct { const char *kind; int (*f)(const float *, float *, float *, float *); double tol, lost; }
        rows[] = { { "float", digits_float, 1e-6, 0 }, { "half", digits_half, 1e-2, .1 }, { "int8", digits_int8, .1, .3 },
                   { "moments", digits_moments, 4e-6, 0 }, { "lenet", digits_lenet, 2e-6, 0 },
                   { "lenet8", digits_lenet8, .2, .3 } };
    bnn_arena mem = { 0 };
    bnn_tape tape = { 0 };
    bnn_mat x, y;
    bnn_net student = { 0 }, noisy = { 0 }, lenet = { 0 };
    bnn_idx_load(&mem, "examples/data/digits-test-images.idx", &x);
    bnn_idx_load(&mem, "examples/data/digits-test-labels.idx", &y);
    bnn_mat_scale(x, x, 1 / 16.0f);
    lenet = bnn_layers(bnn_params_new(&mem), (bnn_layers_desc){ .input = { 8, 8, 1 }, .likelihood = BNN_CATEGORICAL,
        .layers = { { BNN_CONV, 8, .kernel = 3, .same = 1 }, { BNN_MAX_POOL, .kernel = 2 }, /* as in examples/emit.c */
                    { BNN_CONV, 16, .kernel = 3, .same = 1 }, { BNN_MAX_POOL, .kernel = 2 }, { BNN_DENSE, 32 }, { BNN_DENSE, 10 } } });
    bnn_checkpoint c = { .nets = { &student, &noisy, &lenet } };
    if (bnn_checkpoint_load(&mem, "build/emit/digits.bnn", &c)) return puts(mem.msg), 1;
    bnn_meanfield q = bnn_meanfield_new(noisy.params, (bnn_meanfield_desc){ 0 });
    c.meanfields[0] = &q;
    if (bnn_checkpoint_load(&mem, "build/emit/digits.bnn", &c)) return puts(mem.msg), 1;
    int bad = 0;
    for (int k = 0; k < 6; k++) {
        bnn_predictive p = k == 3 ? bnn_predict_moments(&mem, &tape, &noisy, &q, x)
                                  : bnn_predict(&mem, &tape, k > 3 ? &lenet : &student, NULL, x);
        bnn_mat m = bnn_mat_copy(&mem, p.mean);
        double worst = 0, start = (double)clock(), seconds;
        float h, mi;
        for (int again = 0; again < 20; again++)
            for (size_t i = 0; i < x.rows; i++) bad += rows[k].f(x.data + i * 64, m.data + i * 10, &h, &mi);
        seconds = ((double)clock() - start) / CLOCKS_PER_SEC / 20;
        for (size_t i = 0; i < x.rows * 10; i++) worst = fmax(worst, fabs((double)m.data[i] - (double)p.mean.data[i]));
        double lost = 100 * (bnn_metric_error(m, y) - bnn_metric_error(p.mean, y));
        printf("RESULT emit net=digits kind=%s target=host per_answer=%.2fus max_error=%.2g error=%.2f lost=%.2f\n",
               rows[k].kind, 1e6 * seconds / (double)x.rows, worst, 100 * bnn_metric_error(m, y), lost);
        if (!(worst <= rows[k].tol) || lost > rows[k].lost) bad++, printf("%s: too far\n", rows[k].kind);
    }
    return bad != 0 || tape.err || mem.err;
}
C
# shellcheck disable=SC2086
gcc -std=c99 -O2 -w -I. $out/digits.c $out/digits_float.c $out/digits_half.c $out/digits_int8.c $out/digits_moments.c $out/digits_lenet.c $out/digits_lenet8.c \
    -o $out/digits -lm && $out/digits
check $? "the digits as the net says"
# a Cortex-M4: one SysTick of qemu is 40 ns, and with -icount shift=0 an instruction is 1 ns
arm="arm-none-eabi-gcc -std=c99 -Os -mcpu=cortex-m4 -mthumb -mfloat-abi=hard -mfpu=fpv4-sp-d16 -fstack-usage"
if ! command -v arm-none-eabi-gcc >/dev/null; then
    echo "skipped cortex-m4: apt-get install gcc-arm-none-eabi libnewlib-arm-none-eabi qemu-system-arm"
else
    for kind in float half int8 moments lenet lenet8; do
        # shellcheck disable=SC2086
        $arm $warn -c $out/digits_$kind.c -o $out/arm_$kind.o
        check $? "arm-none-eabi-gcc: $kind"
        # shellcheck disable=SC2046
        set -- $(arm-none-eabi-size $out/arm_$kind.o | tail -n 1)
        ram=$(sed -n "s/.*:digits_$kind	\([0-9]*\)	.*/\1/p" $out/arm_$kind.su)
        most=$(($1 + $2))
        [ "$kind" != float ] || { [ $most -le 25600 ]; check $? "float in 25 KB: $most"; }
        [ "$kind" != int8 ] || { [ $most -le 8192 ]; check $? "int8 in 8 KB: $most"; }
        case $kind in lenet*) ;; *) [ "$ram" -le 1024 ]; check $? "$kind: RAM of 1 KB: $ram" ;; esac
        [ "$3" -eq 0 ] && [ "${ram:-0}" -gt 0 ]
        check $? "no data, no bss: $kind"
        cat >$out/arm.c <<C
#include <stdint.h>
int digits_$kind(const float *, float *, float *, float *);
static void say(const char *s) {
    register uint32_t r0 __asm__("r0") = 4;
    register const char *r1 __asm__("r1") = s;
    __asm__ volatile("bkpt 0xab" : "+r"(r0) : "r"(r1) : "memory");
}
int main(void);
int main(void) {
    float x[64], mean[10], h, mi, sum = 0;
    char text[12];
    uint32_t n, i;
    volatile uint32_t *tick = (volatile uint32_t *)0xe000e010u;
    for (i = 0; i < 64; i++) x[i] = (float)(i % 17) / 16.0f;
    tick[1] = 0xffffff, tick[2] = 0, tick[0] = 5;
    n = tick[2];
    for (i = 0; i < 10; i++) if (digits_$kind(x, mean, &h, &mi)) return 1;
    n = ((n - tick[2]) & 0xffffff) * 4; /* 40 a tick, 10 answers */
    for (i = 0; i < 10; i++) sum += mean[i];
    for (text[11] = 0, i = 11; i > 0; n /= 10) text[--i] = (char)('0' + n % 10);
    say(text);
    return !(sum > 0.99f && sum < 1.01f);
}
C
        # shellcheck disable=SC2086
        $arm $out/arm.c $out/arm_$kind.o tests/cortex/start.c -nostartfiles -Wl,--gc-sections -T tests/cortex/link.ld \
            -o $out/arm.elf -lm 2>$out/err
        check $? "links: $kind"
        n=
        if command -v qemu-system-arm >/dev/null; then
            n=$(timeout 60 qemu-system-arm -M mps2-an386 -nographic -monitor none -serial none -icount shift=0 \
                -semihosting-config enable=on,target=native -kernel $out/arm.elf </dev/null 2>&1)
            check $? "runs on a Cortex-M4: $kind"
        fi
        echo "RESULT emit net=digits kind=$kind target=cortex-m4 flash=$most ram=$ram per_answer=$(echo "$n" | sed 's/^0*//')"
    done
fi
finish
