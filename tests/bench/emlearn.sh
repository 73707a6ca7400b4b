#!/bin/sh
# A net of 64-64-10 as emlearn writes it, on a Cortex-M4, beside the lines of tests/emit.sh:
#     sh tests/bench/emlearn.sh CLONE       a clone of github.com/emlearn/emlearn
# Needs python3 with numpy and jinja2, arm-none-eabi-gcc and qemu-system-arm. Weights are random: flash and
# instructions do not depend on them. flash is what the net adds to a program without it.
cd "$(dirname "$0")/../.." || exit 1
[ $# -eq 1 ] || { echo "usage: emlearn.sh CLONE"; exit 2; }
out=build/bench/emlearn
mkdir -p $out/emlearn && cp -r "$1"/emlearn/* $out/emlearn || exit 1
: >$out/emlearn/__init__.py # no bindings
echo 'class CompiledClassifier: pass' >$out/emlearn/common.py
# 578d89d declares the activation, a name, as a number
sed -i 's/return "{:d}".format(int(val))/return val if isinstance(val, str) else "{:d}".format(int(val))/' \
    $out/emlearn/cgen.py
cat >$out/write.py <<'P'
import numpy as np
from emlearn import net
r = np.random.RandomState(1)
w = [r.randn(64, 64) * .15, r.randn(64, 10) * .15]
b = [r.randn(64) * .1, r.randn(10) * .1]
open("net.c", "w").write(net.c_generate_net_inline(["relu", "softmax"], w, b, "net"))
P
(cd $out && python3 write.py) || exit 1
cat >$out/main.c <<'C'
#include <stdint.h>
int32_t net_predict(const float *, int32_t);
static void say(const char *s) {
    register uint32_t r0 __asm__("r0") = 4;
    register const char *r1 __asm__("r1") = s;
    __asm__ volatile("bkpt 0xab" : "+r"(r0) : "r"(r1) : "memory");
}
int main(void) {
    float x[64];
    char text[12];
    uint32_t n, i;
    int bad = 0;
    volatile uint32_t *tick = (volatile uint32_t *)0xe000e010u;
    for (i = 0; i < 64; i++) x[i] = (float)(i % 17) / 16.0f;
    tick[1] = 0xffffff, tick[2] = 0, tick[0] = 5;
    n = tick[2];
    for (i = 0; i < 10; i++) bad |= CALL;
    n = ((n - tick[2]) & 0xffffff) * 4; /* 40 a tick, 10 answers */
    for (text[11] = 0, i = 11; i > 0; n /= 10) text[--i] = (char)('0' + n % 10);
    say(text);
    return bad;
}
C
arm="arm-none-eabi-gcc -std=c99 -Os -w -mcpu=cortex-m4 -mthumb -mfloat-abi=hard -mfpu=fpv4-sp-d16 -fstack-usage
    -ffunction-sections -fdata-sections -I$out/emlearn -nostartfiles -Wl,--gc-sections -T tests/cortex/link.ld"
# shellcheck disable=SC2086
{
    $arm -c $out/net.c -o $out/net.o
    $arm '-DCALL=net_predict(x, 64) < 0' $out/main.c $out/net.o tests/cortex/start.c -o $out/with.elf -lm
    $arm -DCALL=0 $out/main.c tests/cortex/start.c -o $out/without.elf
} || exit 1
of() { arm-none-eabi-size "$1" | awk -v k="$2" 'NR == 2 { print k == "flash" ? $1 + $2 : $k }'; }
stack=$(awk '/net.c:.*:net_(predict|infer)\t/ || /:eml_net_forward\t/ { s += $2 } END { print s }' $out/net.su)
answer=$(timeout 60 qemu-system-arm -M mps2-an386 -nographic -monitor none -serial none -icount shift=0 \
    -semihosting-config enable=on,target=native -kernel $out/with.elf </dev/null 2>&1 | sed 's/^0*//')
echo "RESULT emit net=64-64-10 kind=emlearn target=cortex-m4 flash=$(($(of $out/with.elf flash) - $(of $out/without.elf flash)))" \
    "object=$(of $out/net.o flash) ram=$(($(of $out/net.o 3) + stack)) per_answer=$answer"
