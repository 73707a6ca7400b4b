/* world.h -- one arena and one tape for all tests of a program, opened and closed around each; and a
 * reference that knows nothing of bnn.h's own linear algebra. */
#ifndef WORLD_H
#define WORLD_H

#define COUNT(a) (sizeof(a) / sizeof *(a))

static bnn_arena mem;
static bnn_tape tape;

static inline void open_all(uint64_t seed) { tape.rng = bnn_rng_seed(build_seed(seed)); }

static inline void close_all(void) { /* no error is left */
    CHECK(tape.err == BNN_OK && mem.err == BNN_OK);
    if (tape.err) printf("    %s\n", tape.msg);
    if (mem.err) printf("    %s\n", mem.msg);
    bnn_tape_free(&tape);
    bnn_arena_free(&mem);
    memset(&tape, 0, sizeof tape);
    memset(&mem, 0, sizeof mem);
}

static inline int took(int err, const char *part) { /* the tape's error was this one, and says so */
    int ok = tape.err == err && strstr(tape.msg, part) != NULL;
    if (!ok) printf("    err %d: %s\n", tape.err, tape.msg);
    bnn_tape_clear_error(&tape);
    return ok;
}

static inline int mem_took(int err, const char *part) { /* the arena's was */
    int ok = mem.err == err && strstr(mem.msg, part) != NULL;
    if (!ok) printf("    err %d: %s\n", mem.err, mem.msg);
    mem.err = BNN_OK;
    return ok;
}

static inline bnn_mat normals(size_t n, size_t k, double scale) {
    bnn_mat m = bnn_mat_new(&mem, n, k);
    bnn_rng_fill_normal(&tape.rng, n * k, m.data);
    bnn_mat_scale(m, m, (float)scale);
    return m;
}

/* n x n inverse in double by Gauss-Jordan; returns ln|A| */
static inline double invert(size_t n, double *a) {
    double det = 0;
    for (size_t i = 0; i < n; i++) {
        double p = a[i * n + i];
        det += log(fabs(p));
        a[i * n + i] = 1;
        for (size_t c = 0; c < n; c++) a[i * n + c] /= p;
        for (size_t r = 0; r < n; r++) {
            double f = a[r * n + i];
            if (r == i) continue;
            a[r * n + i] = 0;
            for (size_t c = 0; c < n; c++) a[r * n + c] -= f * a[i * n + c];
        }
    }
    return det;
}
#endif
