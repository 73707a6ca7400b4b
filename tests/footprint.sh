#!/bin/sh
# The library on a Cortex-M4 without operating system, heap and stdio: it links, its bytes are
# reported, and where qemu-system-arm is there it runs. Ends with "N passed, M failed".
cd "$(dirname "$0")/.." || exit 1
need="gcc-arm-none-eabi libnewlib-arm-none-eabi qemu-system-arm"
if ! command -v arm-none-eabi-gcc >/dev/null; then
    echo "skipped cortex-m4: apt-get install $need"
    echo "0 passed, 0 failed"
    exit 0
fi
out=build/cortex
mkdir -p $out
passed=0
failed=0
check() { if [ "$1" -eq 0 ]; then passed=$((passed + 1)); else failed=$((failed + 1)); echo "FAIL $2"; fi; }
arm-none-eabi-gcc -std=c99 -Os -mcpu=cortex-m4 -mthumb -mfloat-abi=hard -mfpu=fpv4-sp-d16 -ffunction-sections \
    -fdata-sections -Wall -Wextra -Werror -fstack-usage -I. tests/cortex/main.c tests/cortex/start.c -nostartfiles \
    -Wl,--gc-sections -T tests/cortex/link.ld -o $out/bnn.elf -lm -Wl,-Map=$out/bnn.map 2>$out/log
check $? "links without start files and system calls"
head -n 5 $out/log
# no system call, no heap, no stdio: newlib's own names must not be there
! arm-none-eabi-nm $out/bnn.elf | grep -wE '_sbrk|_write|_read|_open|malloc|_malloc_r|calloc|printf|puts|fopen|exit'
check $? "no heap, no stdio, no system calls"
# shellcheck disable=SC2046
set -- $(arm-none-eabi-size $out/bnn.elf | tail -n 1)
stack=8192
echo "RESULT footprint target=cortex-m4 flash=$(($1 + $2)) ram=$(($2 + $3)) net=2-8-1"
echo "of the RAM: 6144 space, 10240 time, $stack stack, the rest data of the program; largest frames:"
sort -t "	" -k 2 -n -r $out/*.su 2>/dev/null | head -n 3 | sed 's/.*:\(bnn[^	]*\|main\)	\([0-9]*\).*/    \1 \2/'
if command -v qemu-system-arm >/dev/null; then
    timeout 120 qemu-system-arm -M mps2-an386 -nographic -monitor none -serial none -semihosting-config \
        enable=on,target=native -kernel $out/bnn.elf </dev/null >$out/run 2>&1
    check $? "runs in qemu: learns, samples and predicts"
else
    echo "not run: apt-get install qemu-system-arm"
fi
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
