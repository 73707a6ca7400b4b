/* stream.c -- data larger than memory: SGLD on windows of a file, the bits of a run in memory.
 *     cc -O2 -I.. stream.c -lm && ./a.out
 *     ./a.out write FILE ROWS; ./a.out train FILE; ./a.out memory FILE
 * Windows of 1024 rows come from anywhere in the file, each once per pass; a window is a bnn_data
 * like any other, and tape.n_data says what N is. Without words 65,536 rows go to a temporary file
 * and through both ways. You should see an RMSE near the noise, 0.2, and equal hashes of all draws.
 * With -DWITH_MMAP (POSIX) windows are mapped instead of read: the same bits, no faster. */
#ifdef WITH_MMAP
#define _POSIX_C_SOURCE 200112L
#endif
#define BNN_STATIC /* one file: what it does not call is not compiled */
#define BNN_IMPLEMENTATION
#include "bnn.h"
#include <errno.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* A window in the file: its x, row by row, then its y: 64 KB, so that maps can begin at any */
enum { D = 15, ROWS = 1024, FLOATS = ROWS * (D + 1), BATCH = 64, PER_WINDOW = ROWS / BATCH,
       STEPS = 16000, BURN_IN = 8000, THIN = 40, KEEP = (STEPS - BURN_IN) / THIN };

static int fail(const char *path, const char *what) {
    fprintf(stderr, "stream: %s: %s\n", path, what);
    return 1;
}

/* Window i, from the seed: y = sin 2x0 + x1 x2 + noise; the other columns are nothing */
static void make(float *to, size_t i) {
    bnn_rng rng = bnn_rng_stream(1, i);
    float *y = to + ROWS * D;
    bnn_rng_fill_uniform(&rng, ROWS * D, to);
    bnn_rng_fill_normal(&rng, ROWS, y);
    for (size_t k = 0; k < ROWS * D; k++) to[k] = 2 * to[k] - 1;
    for (size_t r = 0; r < ROWS; r++)
        y[r] = sinf(2 * to[r * D]) + to[r * D + 1] * to[r * D + 2] + 0.2f * y[r];
}

static int write_rows(FILE *f, const char *path, size_t windows) {
    static float window[FLOATS];
    for (size_t i = 0; i < windows; i++) {
        make(window, i);
        if (fwrite(window, sizeof window, 1, f) != 1) return fail(path, strerror(errno));
    }
    return fflush(f) ? fail(path, strerror(errno)) : 0;
}

/* ---- where a window comes from ---- */
typedef struct {
    FILE *file;
    const char *path;
    size_t windows;
    float *all; /* of the whole file, or NULL: then one window at a time, */
    float *one; /* here */
} source;

#ifdef WITH_MMAP
#include <sys/mman.h>
static float *window(source *s, size_t i) { /* NULL: it cannot be had */
    if (s->all) return s->all + i * FLOATS;
    if (s->one) munmap(s->one, FLOATS * sizeof(float));
    void *p = mmap(NULL, FLOATS * sizeof(float), PROT_READ, MAP_PRIVATE, fileno(s->file),
                   (off_t)(i * FLOATS * sizeof(float)));
    return s->one = p == MAP_FAILED ? NULL : p;
}
#else
static float *window(source *s, size_t i) {
    if (s->all) return s->all + i * FLOATS;
    if (fseek(s->file, (long)(i * FLOATS * sizeof(float)), SEEK_SET)) return NULL;
    return fread(s->one, FLOATS * sizeof(float), 1, s->file) == 1 ? s->one : NULL;
}
#endif

static bnn_data rows_of(float *window) {
    return (bnn_data){ { ROWS, D, window }, { ROWS, 1, window + ROWS * D } };
}

/* SGLD, a pass of the windows after the other; prints its line. hash: of all draws */
static int train(source *s, const char *how, uint64_t *hash) {
    bnn_arena mem = { 0 };
    bnn_tape tape = { .rng = bnn_rng_seed(1) };
    tape.n_data = (double)s->windows * ROWS; /* the N of U/N: no window knows it */
    bnn_params *w = bnn_params_new(&mem);
    bnn_net net = bnn_mlp(w, (bnn_mlp_desc){ .sizes = { D, 24, 1 }, .activation = BNN_TANH,
                                             .noise_std = 0.2f });
    bnn_stepper sgld = bnn_sgld(w, (bnn_sgld_desc){ .lr = 1e-3f });
    bnn_ensemble post = bnn_ensemble_new(w, KEEP);
    size_t *order = bnn_arena_alloc(&mem, s->windows, sizeof *order), count = 0;
    bnn_data rows = { 0 };
    clock_t start = clock();
    for (size_t k = 0; k < STEPS && !tape.err && !mem.err; k++) {
        if (k % PER_WINDOW == 0) {
            if (count == 0) bnn_rng_permutation(&tape.rng, count = s->windows, order);
            float *p = window(s, order[--count]);
            if (p == NULL) bnn_tape_fail(&tape, BNN_EIO, "train", "a window cannot be read");
            else rows = rows_of(p);
        }
        bnn_tape_reset(&tape);
        sgld.lr = k < BURN_IN ? 5e-3f : 1e-3f;
        bnn_backward(bnn_net_loss(&net, bnn_minibatch(&tape, rows, BATCH)));
        bnn_step(&sgld, &tape);
        if (k >= BURN_IN && k % THIN == 0) bnn_ensemble_push(&post);
    }
    double time = (double)(clock() - start) / CLOCKS_PER_SEC, rmse = 0;
    static float fresh[FLOATS]; /* rows that no file has */
    make(fresh, SIZE_MAX);
    bnn_predictive p = bnn_predict(&mem, &tape, &net, &post, rows_of(fresh).x);
    for (size_t i = 0; i < ROWS && p.mean.data; i++)
        rmse += pow((double)(p.mean.data[i] - fresh[ROWS * D + i]), 2) / ROWS;
    *hash = 14695981039346656037u; /* FNV-1a */
    for (size_t i = 0; i < post.count * w->n * sizeof(float); i++)
        *hash = (*hash ^ ((unsigned char *)post.samples.data)[i]) * 1099511628211u;
    int err = tape.err ? tape.err : mem.err;
    if (err) fail(s->path, tape.err ? tape.msg : mem.msg);
    else
        printf("RESULT stream from=%s bits=%016llx rmse=%.4f rows=%.0f file_mb=%.1f arena_kb=%d "
               "us_per_step=%.2f\n", how, (unsigned long long)*hash, sqrt(rmse), tape.n_data,
               tape.n_data * (D + 1) * sizeof(float) / 1048576, (int)((bnn_arena_size(&mem)
               + bnn_arena_size(&tape.mem)) / 1024), time / STEPS * 1e6);
    bnn_tape_free(&tape);
    bnn_arena_free(&mem);
    return err;
}

/* How many windows the file has; 0: it is not one of ours, or too large for fseek */
static size_t windows_of(FILE *f, const char *path) {
    long size = fseek(f, 0, SEEK_END) ? -1 : ftell(f);
    if (size < 0) return fail(path, "its size cannot be had, or is beyond a long"), (size_t)0;
    if (size == 0 || (size_t)size % (FLOATS * sizeof(float)))
        return fail(path, "no whole number of windows of 65536 bytes"), (size_t)0;
    return (size_t)size / (FLOATS * sizeof(float));
}

/* The file once; in memory where `whole`, else window by window */
static int run(FILE *f, const char *path, int whole, uint64_t *hash) {
    source s = { .file = f, .path = path, .windows = windows_of(f, path) };
    int err = s.windows == 0;
    if (whole && !err) {
        rewind(f);
        s.all = malloc(s.windows * FLOATS * sizeof(float));
        if (s.all == NULL) err = fail(path, "it does not fit into memory; train reads windows");
        else if (fread(s.all, FLOATS * sizeof(float), s.windows, f) != s.windows)
            err = fail(path, "a window cannot be read");
    }
#ifndef WITH_MMAP
    static float room[FLOATS];
    s.one = room;
#endif
    if (!err) err = train(&s, whole ? "memory" : "file", hash);
#ifdef WITH_MMAP
    if (s.one) munmap(s.one, FLOATS * sizeof(float));
#endif
    free(s.all);
    return err;
}

int main(int argc, char **argv) {
    uint64_t a = 0, b = 1;
    int err, writes = argc == 4 && strcmp(argv[1], "write") == 0;
    int whole = argc == 3 && strcmp(argv[1], "memory") == 0;
    char *end = NULL;
    double rows = writes ? strtod(argv[3], &end) : 0;
    if (argc == 1) {
        FILE *f = tmpfile();
        if (f == NULL) return fail("a temporary file", strerror(errno));
        err = write_rows(f, "a temporary file", 64) || run(f, "a temporary file", 0, &a) ||
              run(f, "a temporary file", 1, &b);
        if (!err) printf("read window by window, or all in memory: %s\n",
                         a == b ? "the same, bit for bit" : "different");
        fclose(f);
        return err || a != b;
    }
    if (!writes && !whole && !(argc == 3 && strcmp(argv[1], "train") == 0))
        return fail(argv[1], "there are write FILE ROWS, train FILE, memory FILE");
    if (writes && !(*end == '\0' && rows >= ROWS && rows <= 1e12 &&
                    rows == ROWS * floor(rows / ROWS)))
        return fail(argv[3], "rows are a multiple of 1024");
    FILE *f = fopen(argv[2], writes ? "wb" : "rb");
    if (f == NULL) return fail(argv[2], strerror(errno));
    err = writes ? write_rows(f, argv[2], (size_t)rows / ROWS) : run(f, argv[2], whole, &a);
    if (fclose(f) && !err) err = fail(argv[2], strerror(errno));
    return err != 0;
}
