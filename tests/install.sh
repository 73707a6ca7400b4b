#!/bin/sh
# What the checks need, on a bare Debian machine (12 or later). Names what cannot be had.
#     sh tests/install.sh            what continuous integration uses
#     sh tests/install.sh all        every compiler version and tool
sudo=""
[ "$(id -u)" -eq 0 ] || sudo=sudo
export DEBIAN_FRONTEND=noninteractive
$sudo apt-get update -qq >/dev/null 2>&1
packages="gcc g++ make clang tcc libc6-dev libc6-dev-i386 lib32gcc-12-dev musl-tools valgrind libopenblas-dev libstb-dev
    libclang-rt-14-dev clang-tidy cppcheck qemu-user gcc-aarch64-linux-gnu libc6-dev-arm64-cross gcc-arm-linux-gnueabihf
    libc6-dev-armhf-cross gcc-riscv64-linux-gnu libc6-dev-riscv64-cross gcc-s390x-linux-gnu libc6-dev-s390x-cross
    gcc-powerpc-linux-gnu libc6-dev-powerpc-cross
    gcc-mingw-w64-x86-64 wine64 emscripten nodejs node-acorn gcc-arm-none-eabi libnewlib-arm-none-eabi
    qemu-system-arm openmpi-bin libopenmpi-dev pandoc chromium chromium-driver"
[ "${1:-}" != all ] || packages="$packages gcc-11 g++-11 gcc-12 g++-12 gcc-13 g++-13 gcc-14 g++-14
    clang-13 clang-14 clang-15 clang-16 clang-19 clang-22"
for package in $packages; do
    # one at a time: a package that this release does not have, or that another one excludes, costs only itself
    $sudo apt-get install -y -qq --no-install-recommends "$package" >/dev/null 2>&1 || echo "not installable: $package"
done
