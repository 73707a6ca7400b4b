/* example.h -- what the examples share: numbers of the command line that are numbers, digits that
 * fit together, files in build/ that are whole or named. `who` is the program, which begins each
 * sentence. */
#ifndef EXAMPLE_H
#define EXAMPLE_H
#include "bnn.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

static int example_failed; /* 1: a file could not be written; main returns it */

/* A number from lo to hi, or the program says so and ends */
static inline double example_real(const char *who, const char *what, const char *text, double lo,
                                  double hi) {
    char *end;
    double v = strtod(text, &end);
    if (end != text && *end == '\0' && v >= lo && v <= hi) return v;
    fprintf(stderr, "%s: %s: \"%s\" is no number from %g to %g\n", who, what, text, lo, hi);
    exit(2);
}

static inline size_t example_whole(const char *who, const char *what, const char *text, double lo,
                                   double hi) {
    double v = example_real(who, what, text, lo, hi);
    if (v == (double)(size_t)v) return (size_t)v;
    fprintf(stderr, "%s: %s: \"%s\" is no whole number\n", who, what, text);
    exit(2);
}

static inline uint64_t example_seed(const char *who, const char *text) {
    return (uint64_t)example_whole(who, "seed", text, 0, sizeof(size_t) < 8 ? 4e9 : 9e15);
}

/* At most so many arguments */
static inline void example_most(const char *who, int argc, char **argv, int most) {
    if (argc - 1 <= most) return;
    fprintf(stderr, "%s: what is \"%s\"? The first lines of %s.c say what it takes\n", who,
            argv[most + 1], who);
    exit(2);
}

/* Where the digits that ship are: the program runs in examples/ or above */
static inline const char *example_folder(void) {
    FILE *here = fopen("data/digits-test-labels.idx", "rb");
    if (here) fclose(here);
    return here ? "data" : "examples/data";
}

/* An IDX file, a row per item of `cols` numbers (0: any), `white` made 1 */
static inline bnn_mat example_idx(bnn_arena *mem, const char *who, const char *folder,
                                  const char *name, size_t cols, float white) {
    char path[1024];
    bnn_mat m = { 0, 0, NULL };
    snprintf(path, sizeof path, "%s/%s", folder, name);
    if (bnn_idx_load(mem, path, &m) != BNN_OK) {
        fprintf(stderr, "%s: %s\n", who, mem->msg);
        exit(1);
    }
    if (cols != 0 && m.cols != cols) {
        fprintf(stderr, "%s: %s: items of %zu numbers, not %zu\n", who, path, m.cols, cols);
        exit(1);
    }
    bnn_mat_scale(m, m, 1 / white);
    return m;
}

/* Images and their labels, as many of these as of those */
static inline bnn_data example_data(bnn_arena *mem, const char *who, const char *folder,
                                    const char *images, const char *labels, size_t cols,
                                    float white) {
    bnn_data d = { example_idx(mem, who, folder, images, cols, white),
                   example_idx(mem, who, folder, labels, 1, 1) };
    if (d.x.rows == d.y.rows) return d;
    fprintf(stderr, "%s: %s: %zu images in %s, %zu labels in %s\n", who, folder, d.x.rows, images,
            d.y.rows, labels);
    exit(1);
}

/* data/friedman.csv: 300 rows of five inputs and a target */
static inline bnn_data example_friedman(bnn_arena *mem, const char *who) {
    char path[64];
    bnn_csv csv = { 0 };
    snprintf(path, sizeof path, "%s/friedman.csv", example_folder());
    if (bnn_csv_load(mem, path, &csv, (bnn_csv_desc){ 0 }) != BNN_OK) {
        fprintf(stderr, "%s: %s\n", who, mem->msg);
        exit(1);
    }
    if (csv.values.rows != 300 || csv.values.cols != 6) {
        fprintf(stderr, "%s: %s: %zu rows of %zu numbers, not 300 of 6\n", who, path,
                csv.values.rows, csv.values.cols);
        exit(1);
    }
    bnn_data d = { bnn_mat_new(mem, 300, 5), bnn_mat_new(mem, 300, 1) };
    for (size_t i = 0; i < 300 && !mem->err; i++)
        for (size_t j = 0; j < 6; j++)
            *(j < 5 ? bnn_mat_at(d.x, i, j) : bnn_mat_at(d.y, i, 0)) =
                *bnn_mat_at(csv.values, i, j);
    return d;
}

static inline void example_lost(const char *who, const char *path) {
    fprintf(stderr, "%s: %s: cannot be written\n", who, path);
    example_failed = 1;
}

/* To write a file in build/; NULL without a word where there is no such folder */
static inline FILE *example_open(const char *who, const char *path) {
    FILE *f = fopen(path, "wb");
    if (f == NULL && errno != ENOENT) example_lost(who, path);
    return f;
}

static inline void example_close(const char *who, const char *path, FILE *f) {
    if (f == NULL) return;
    int bad = fflush(f) != 0 || ferror(f);
    if (fclose(f) != 0 || bad) example_lost(who, path);
}
#endif
