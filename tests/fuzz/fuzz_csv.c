/* fuzz_csv.c -- any bytes as CSV.
 *     clang -g -O1 -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=all -I../.. fuzz_csv.c -lm
 *     ./a.out -max_len=4096 corpus/csv          (or afl-clang-fast -DFUZZ_MAIN, or cc -DFUZZ_MAIN)
 * The first byte chooses the desc. What is parsed must have the promised shape, agree with itself when
 * parsed again from a copy, and leave nothing behind when refused. */
#define BNN_IMPLEMENTATION
#include "bnn.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MUST(cond) do { if (!(cond)) abort(); } while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const char separators[] = { 0, ',', ';', '\t', ' ', '|', 'e', '"' };
    bnn_arena mem;
    bnn_csv a, b;
    bnn_csv_desc desc;
    size_t i, missing = 0;
    int err, control = size > 0 ? data[0] : 0;
    if (size > 0) data++, size--;
    memset(&mem, 0, sizeof mem);
    memset(&a, 0, sizeof a);
    memset(&b, 0, sizeof b);
    memset(&desc, 0, sizeof desc);
    desc.decimal = control >> 6 & 1 ? ',' : '\0';
    desc.thousands = control >> 7 ? '.' : '\0';
    desc.separator = separators[control & 7];
    desc.header = (control >> 3 & 3) - 1;
    desc.reject_missing = control >> 5 & 1;
    err = bnn_csv_parse(&mem, &a, (const char *)data, size, desc);
    MUST(mem.err == BNN_OK);
    if (err != BNN_OK) {
        MUST(mem.msg[0] != '\0' && a.values.data == NULL && mem.used == 0);
        bnn_arena_free(&mem);
        return 0;
    }
    MUST(a.values.rows > 0 && a.values.cols > 0 && a.values.rows * a.values.cols <= size + 1);
    for (i = 0; i < a.values.rows * a.values.cols; i++) missing += !bnn__finite(a.values.data[i]);
    MUST(missing == a.missing && (!desc.reject_missing || missing == 0));
    for (i = 0; a.names != NULL && i < a.values.cols; i++) MUST(strlen(a.names[i]) <= size);
    err = bnn_csv_parse(&mem, &b, (const char *)data, size, desc);
    MUST(err == BNN_OK && b.values.rows == a.values.rows && b.values.cols == a.values.cols);
    MUST(memcmp(a.values.data, b.values.data, a.values.rows * a.values.cols * sizeof(float)) == 0);
    bnn_arena_free(&mem);
    return 0;
}
#include "fuzz.h"
