/* fuzz_idx.c -- any bytes as IDX.
 *     clang -g -O1 -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=all -I../.. fuzz_idx.c -lm
 *     ./a.out -max_len=512 corpus/idx           (or afl-clang-fast -DFUZZ_MAIN, or cc -DFUZZ_MAIN)
 * What is parsed must account for every byte; what is refused must have taken no memory. */
#define BNN_IMPLEMENTATION
#include "bnn.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MUST(cond) do { if (!(cond)) abort(); } while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const unsigned char sizes[] = { 1, 1, 0, 2, 4, 4, 8 };
    bnn_arena mem;
    bnn_mat m = { 0, 0, NULL };
    size_t i;
    memset(&mem, 0, sizeof mem);
    if (bnn_idx_parse(&mem, &m, data, size) != BNN_OK) {
        MUST(mem.err == BNN_OK && mem.msg[0] != '\0' && m.data == NULL && mem.used == 0);
    } else {
        MUST(m.rows * m.cols * sizes[data[2] - 8] + 4 + 4 * (size_t)data[3] == size);
        for (i = 0; i < m.rows * m.cols; i++)
            MUST(data[2] >= 0x0d || bnn__finite(m.data[i]));
    }
    bnn_arena_free(&mem);
    return 0;
}
#include "fuzz.h"
