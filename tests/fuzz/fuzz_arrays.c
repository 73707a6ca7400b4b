/* fuzz_arrays.c -- any bytes as .npy, .npz or .safetensors, and their tensors into a net.
 *     clang -g -O1 -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=all -I../.. fuzz_arrays.c -lm
 *     ./a.out -max_len=4096 corpus/arrays       (or afl-clang-fast -DFUZZ_MAIN, or cc -DFUZZ_MAIN)
 * The checksums of a zip's members are put right first, so that the fuzzer gets past them. What is read
 * must have the promised shapes and read back, as it is, from what is written of it. */
#define BNN_IMPLEMENTATION
#include "bnn.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MUST(cond) do { if (!(cond)) abort(); } while (0)

static void checksums(unsigned char *p, size_t size) {
    size_t i;
    for (i = 0; i + 46 <= size; i++) {
        size_t at, n, k;
        uint32_t crc;
        if (memcmp(p + i, "PK\1\2", 4) != 0) continue;
        at = (size_t)bnn__little(p + i + 42, 4);
        n = (size_t)bnn__little(p + i + 24, 4);
        if (at > size || size - at < 30) continue;
        at += 30 + (size_t)bnn__little(p + at + 26, 2) + (size_t)bnn__little(p + at + 28, 2);
        if (at > size || n > size - at) continue;
        crc = bnn__crc32(p + at, n);
        for (k = 0; k < 4; k++) p[i + 16 + k] = (unsigned char)(crc >> 8 * k & 0xff);
    }
}

static void back(bnn_arena *mem, const bnn_arrays *a) {
    bnn_arrays b;
    void *bytes;
    size_t n, i, k;
    memset(&b, 0, sizeof b);
    for (i = 0; i < a->count; i++) /* names of tensors may be paths; a zip's may not */
        if (strpbrk(a->at[i].name, "/\\") != NULL) return;
    if (a->count == 0) return;
    MUST(bnn_arrays_write(mem, a, &bytes, &n) == BNN_OK);
    if (a->count > 1 || a->at[0].name[0] != '\0')
        for (i = 0; i < a->count; i++) if (a->at[i].name[0] == '\0') return;
    MUST(bnn_arrays_parse(mem, &b, bytes, n) == BNN_OK && b.count == a->count);
    for (i = 0; i < b.count; i++) {
        k = b.at[i].values.rows * b.at[i].values.cols;
        MUST(strcmp(a->at[i].name, b.at[i].name) == 0 && k == a->at[i].values.rows * a->at[i].values.cols);
        while (k-- > 0) { /* a NaN may lose its payload */
            double x = (double)a->at[i].values.data[k], y = (double)b.at[i].values.data[k];
            MUST(memcmp(&x, &y, sizeof x) == 0 || (bnn__is_nan(x) && bnn__is_nan(y)));
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    unsigned char *bytes = (unsigned char *)malloc(size + 1); /* its own, so that ASan sees its end */
    bnn_arena mem;
    bnn_arrays a;
    bnn_mlp_desc desc;
    bnn_net net;
    size_t i, j;
    memcpy(bytes, data, size);
    if (size > 2 && bytes[0] == 'P') checksums(bytes, size);
    memset(&mem, 0, sizeof mem);
    memset(&a, 0, sizeof a);
    if (bnn_arrays_parse(&mem, &a, bytes, size) != BNN_OK)
        MUST(a.at == NULL && mem.err == BNN_OK && mem.used == 0 && mem.msg[0] != '\0');
    else {
        for (i = 0; i < a.count; i++) {
            size_t n = 1;
            for (j = 0; j < a.at[i].dims; j++) n *= a.at[i].shape[j];
            MUST(a.at[i].dims <= BNN_MAX_DIMS && a.at[i].values.rows * a.at[i].values.cols == n);
            MUST(n <= size);
        }
        back(&mem, &a);
        memset(&desc, 0, sizeof desc);
        desc.sizes[0] = 3, desc.sizes[1] = 5, desc.sizes[2] = 2;
        desc.noise_std = 1;
        net = bnn_mlp(bnn_params_new(&mem), desc);
        (void)bnn_params_import(net.params, 0, &a, "0, 2", 1 + (int)(size & 1));
        for (i = 0; i < net.params->n; i++) MUST(bnn__finite(net.params->theta[i]));
    }
    bnn_arena_free(&mem);
    free(bytes);
    return 0;
}
#include "fuzz.h"
