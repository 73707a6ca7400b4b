#!/bin/sh
# Every error and note of bnn.h, word for word: the documents have it, and a test provokes it.
#     sh tests/sentences.sh              docs/guide.md ("Errors and notes") and docs/errors.md list every
#                                        sentence of bnn.h, and none that it does not have
#     sh tests/sentences.sh provoked     also builds the tests (float, -O0) on a copy of bnn.h whose calls
#                                        note that they were made, runs them, and lists the calls that
#                                        none made; tests/sentences.txt has those that none can make
# JOBS=2 compiles two at a time, TESTS="test_net test_files" takes some only. BNN=dir has bnn.h.
# Ends with "N passed, M failed", one per sentence.
cd "$(dirname "$0")/.." || exit 1
command -v perl >/dev/null || { echo "apt-get install perl"; exit 1; }
header=${BNN:-.}/bnn.h
header=${header#./}
if [ "${1:-}" != provoked ]; then
    perl tests/sentences.pl check "$header" docs/guide.md docs/errors.md tests/sentences.txt
    exit
fi
top=$PWD
out=$top/build/sentences
rm -rf "$out"
mkdir -p "$out" || exit 1
perl tests/sentences.pl mark "$header" > "$out/bnn.h" || exit 1
cat > "$out/said.c" <<'C'
/* one line per call or sentence, at its first time; straight to the file, for processes that die */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
static void put(const char *line) {
    static int fd = -1;
    ssize_t n;
    if (fd < 0) fd = open(getenv("BNN_SAID"), O_WRONLY | O_CREAT | O_APPEND, 0600);
    n = write(fd, line, strlen(line));
    (void)n;
}
void bnn__said(int k) {
    static char seen[10000];
    char line[32];
    if (k >= (int)sizeof seen || seen[k]) return;
    seen[k] = 1;
    sprintf(line, "#%d\n", k);
    put(line);
}
void bnn__said_text(const char *text) {
    static char last[400];
    char line[400];
    if (strlen(text) + 2 > sizeof line || strcmp(text, last) == 0) return;
    strcpy(last, text);
    sprintf(line, "%s\n", text);
    put(line);
}
C
${CC:-gcc} -O1 -c "$out/said.c" -o "$out/said.o" || exit 1
: "${TESTS:=$(cd tests && for t in test_*.c; do echo "${t%.c}"; done)}"
one() { # a test program
    if ! ${CC:-gcc} -std=c99 -O0 -w -I"$out" -I. -Itests "tests/$1.c" "$out/said.o" -o "$out/$1" -lm; then
        echo "$1 does not compile"
    else
        BNN_SAID="$out/said" timeout 900 "$out/$1" >"$out/$1.log" 2>&1 || echo "$1: $(tail -n 1 "$out/$1.log")"
    fi
}
: "${JOBS:=$(nproc 2>/dev/null || echo 1)}"
: > "$out/said"
for lane in $(seq "$JOBS"); do
    k=0
    for t in $TESTS; do
        k=$((k % JOBS + 1))
        [ "$k" -ne "$lane" ] || one "$t"
    done &
done
wait
perl tests/sentences.pl provoked "$header" "$out/said" tests/sentences.txt
