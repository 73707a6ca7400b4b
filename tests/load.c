/* load.c -- much of everything, in bounded memory. tests/load.sh builds and runs it.
 *     load SCALE [NAME...]     SCALE 1 is the full load, 0.01 a hundredth of it
 * Stages: csv, idx and predict (1e6 rows each), ensemble (1e4 samples), threads (64 chains), soak (1e7
 * steps), big (a matrix of more than INT_MAX numbers; needs 9 GB of address space). Memory is counted by
 * the allocator of the arenas. One RESULT line each; ends with "N passed, M failed". */
#define _POSIX_C_SOURCE 200809L
#define BNN_IMPLEMENTATION
#include "bnn.h"
#include <pthread.h>
#include <stdio.h>
#include <time.h>

typedef struct meter { /* bytes out now, and the most there ever were */
    size_t now, peak, calls;
} meter;

static int passed, failed;

static void *metered(void *user, void *ptr, size_t old_size, size_t new_size) {
    meter *m = (meter *)user;
    void *p;
    if (new_size == 0) {
        if (ptr != NULL) m->now -= old_size;
        free(ptr);
        return NULL;
    }
    p = realloc(ptr, new_size);
    if (p == NULL) return NULL;
    m->now += new_size - (ptr != NULL ? old_size : 0);
    m->calls++;
    if (m->now > m->peak) m->peak = m->now;
    return p;
}

static bnn_arena arena_on(meter *m) {
    bnn_arena a;
    memset(&a, 0, sizeof a);
    a.alloc.fn = metered;
    a.alloc.user = m;
    return a;
}

static double seconds(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void check(int ok, const char *what) {
    if (ok) passed++; else failed++, printf("FAIL %s\n", what);
}

static const char *path = "build/load/file";

/* The file is read whole and the matrix grows: some multiple of both, and never more */
static void stage_csv(double scale) {
    size_t rows = (size_t)(1e6 * scale), i, bytes;
    double start;
    meter m = { 0, 0, 0 };
    bnn_arena mem = arena_on(&m);
    bnn_csv_desc desc;
    bnn_csv csv;
    FILE *f = fopen(path, "wb");
    memset(&desc, 0, sizeof desc);
    if (f == NULL) { check(0, "csv: cannot write"); return; }
    fprintf(f, "a,b,c,d,e,f,g,h\n");
    for (i = 0; i < rows; i++)
        fprintf(f, "%lu,%lu.5,-%lu,0.25,1e3,%lu,7,%lu\n", (unsigned long)i, (unsigned long)(i % 997),
                (unsigned long)(i % 13), (unsigned long)(i % 3), (unsigned long)(i % 65536));
    bytes = (size_t)ftell(f);
    fclose(f);
    start = seconds();
    check(bnn_csv_load(&mem, &csv, path, desc) == BNN_OK, "csv: loads");
    check(csv.values.rows == rows && csv.values.cols == 8, "csv: rows");
    for (i = 0; i < rows; i++)
        if (csv.values.data[8 * i + 1] != (float)(i % 997) + 0.5f || csv.values.data[8 * i + 7] != (float)(i % 65536))
            break;
    check(i == rows, "csv: values");
    check(m.peak < 4 * (bytes + rows * 8 * sizeof(float)) + (1 << 20), "csv: bounded memory");
    printf("RESULT load stage=csv rows=%lu bytes=%lu peak=%lu seconds=%.2f\n", (unsigned long)rows,
           (unsigned long)bytes, (unsigned long)m.peak, seconds() - start);
    bnn_arena_free(&mem);
    check(m.now == 0, "csv: all given back");
    remove(path);
}

static void stage_idx(double scale) {
    size_t rows = (size_t)(1e6 * scale), i, cols = 28;
    unsigned char head[16] = { 0, 0, 8, 3, 0, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0, 7 }, line[28];
    double start;
    meter m = { 0, 0, 0 };
    bnn_arena mem = arena_on(&m);
    bnn_mat x;
    FILE *f = fopen(path, "wb");
    if (f == NULL) { check(0, "idx: cannot write"); return; }
    for (i = 0; i < 4; i++) head[4 + i] = (unsigned char)(rows >> (24 - 8 * i));
    fwrite(head, 1, 16, f);
    for (i = 0; i < rows; i++) {
        memset(line, (int)(i & 255), sizeof line);
        fwrite(line, 1, sizeof line, f);
    }
    fclose(f);
    start = seconds();
    check(bnn_idx_load(&mem, &x, path) == BNN_OK, "idx: loads");
    check(x.rows == rows && x.cols == cols, "idx: rows");
    for (i = 0; i < rows; i++) if (x.data[i * cols + 27] != (float)(i & 255)) break;
    check(i == rows, "idx: values");
    check(m.peak < 3 * rows * cols + rows * cols * sizeof(float) + (1 << 20), "idx: bounded memory");
    printf("RESULT load stage=idx rows=%lu peak=%lu seconds=%.2f\n", (unsigned long)rows,
           (unsigned long)m.peak, seconds() - start);
    bnn_arena_free(&mem);
    check(m.now == 0, "idx: all given back");
    remove(path);
}

typedef struct model {
    bnn_params *w;
    bnn_net net;
} model;

static model model_in(bnn_arena *mem, size_t inputs, uint64_t seed) {
    bnn_mlp_desc d;
    model a;
    memset(&d, 0, sizeof d);
    d.sizes[0] = inputs, d.sizes[1] = 8, d.sizes[2] = 1;
    d.activation = BNN_TANH;
    d.noise_std = 1;
    d.seed = seed;
    a.w = bnn_params_new(mem);
    a.net = bnn_mlp(a.w, d);
    return a;
}

/* Beside its result a prediction needs no memory that grows with the rows. */
static void stage_predict(double scale) {
    size_t rows = (size_t)(1e6 * scale), i, small_peak = 0, large_peak = 0, k;
    double start = seconds();
    for (k = 0; k < 2; k++) {
        size_t n = k == 0 ? rows / 10 : rows;
        meter m = { 0, 0, 0 }, t = { 0, 0, 0 };
        bnn_arena mem = arena_on(&m), data = arena_on(&m);
        bnn_tape tape;
        model a = model_in(&mem, 8, 1);
        bnn_ensemble post = bnn_ensemble_new(a.w, 10);
        bnn_mat x = bnn_mat_new(&data, n, 8);
        bnn_predictive p;
        memset(&tape, 0, sizeof tape);
        tape.mem = arena_on(&t);
        bnn_rng_fill_normal(&tape.rng, n * 8, x.data);
        for (i = 0; i < 10; i++) {
            bnn_rng_fill_normal(&tape.rng, a.w->n, a.w->theta);
            bnn_ensemble_push(&post);
        }
        p = bnn_predict(&mem, &tape, &a.net, &post, x);
        check(tape.err == BNN_OK && p.mean.rows == n && bnn_mat_finite(p.mean), "predict: finite");
        *(k == 0 ? &small_peak : &large_peak) = t.peak;
        bnn_tape_free(&tape);
        bnn_arena_free(&mem);
        bnn_arena_free(&data);
        check(m.now == 0 && t.now == 0, "predict: all given back");
    }
    check(large_peak <= small_peak + (1 << 16), "predict: scratch does not grow with the rows");
    printf("RESULT load stage=predict rows=%lu samples=10 scratch=%lu scratch_of_a_tenth=%lu seconds=%.2f\n",
           (unsigned long)rows, (unsigned long)large_peak, (unsigned long)small_peak, seconds() - start);
}

static void stage_ensemble(double scale) {
    size_t samples = (size_t)(1e4 * scale), i;
    double start = seconds(), sum = 0;
    meter m = { 0, 0, 0 }, t = { 0, 0, 0 };
    bnn_arena mem = arena_on(&m);
    bnn_tape tape;
    model a = model_in(&mem, 4, 2);
    bnn_ensemble post = bnn_ensemble_new(a.w, samples);
    bnn_mat x = bnn_mat_new(&mem, 100, 4);
    bnn_predictive p;
    memset(&tape, 0, sizeof tape);
    tape.mem = arena_on(&t);
    bnn_rng_fill_normal(&tape.rng, 400, x.data);
    for (i = 0; i < samples; i++) {
        bnn_rng_fill_normal(&tape.rng, a.w->n, a.w->theta);
        check(bnn_ensemble_push(&post) == BNN_OK, "ensemble: push");
        passed--;
        sum += (double)a.w->theta[0];
    }
    passed++;
    check(bnn_ensemble_push(&post) == BNN_EARG && post.count == samples, "ensemble: full is an error");
    mem.err = BNN_OK; /* sticky until cleared */
    for (i = 0; i < 100; i++) check(bnn_ensemble_reservoir(&post, &tape.rng) == BNN_OK, "reservoir"), passed--;
    p = bnn_predict(&mem, &tape, &a.net, &post, x);
    check(tape.err == BNN_OK && bnn_mat_finite(p.mean) && bnn_mat_finite(p.epistemic),
          tape.err != BNN_OK ? tape.msg : "ensemble: predicts");
    check(t.peak < 4 << 20, "ensemble: scratch does not grow with the samples");
    printf("RESULT load stage=ensemble samples=%lu weights=%lu bytes=%lu scratch=%lu seconds=%.2f\n",
           (unsigned long)samples, (unsigned long)a.w->n, (unsigned long)m.peak, (unsigned long)t.peak,
           seconds() - start + sum * 0);
    bnn_tape_free(&tape);
    bnn_arena_free(&mem);
    check(m.now == 0 && t.now == 0, "ensemble: all given back");
}

typedef struct chain {
    int id, steps, err;
    uint32_t bits; /* of its last weights */
} chain;

static void *chain_run(void *user) {
    chain *c = (chain *)user;
    float x[16], y[16];
    bnn_data d;
    bnn_arena mem;
    bnn_tape tape;
    bnn_sghmc_desc desc;
    bnn_stepper s;
    bnn_ensemble post;
    model a;
    int i;
    memset(&mem, 0, sizeof mem);
    memset(&tape, 0, sizeof tape);
    memset(&desc, 0, sizeof desc);
    for (i = 0; i < 16; i++) x[i] = (float)i / 8 - 1, y[i] = x[i] * x[i];
    d.x.rows = d.y.rows = 16, d.x.cols = d.y.cols = 1, d.x.data = x, d.y.data = y;
    tape.rng = bnn_rng_stream(3, (uint64_t)c->id);
    a = model_in(&mem, 1, (uint64_t)c->id);
    desc.lr = 1e-3f;
    s = bnn_sghmc(a.w, desc);
    post = bnn_ensemble_new(a.w, 4);
    for (i = 0; i < c->steps; i++) {
        bnn_tape_reset(&tape);
        bnn_backward(bnn_net_loss(&a.net, bnn_minibatch(&tape, d, 8)));
        bnn_step(&s, &tape);
        (void)bnn_ensemble_reservoir(&post, &tape.rng);
    }
    (void)bnn_predict(&mem, &tape, &a.net, &post, d.x);
    c->bits = bnn__crc32((const unsigned char *)a.w->theta, a.w->n * sizeof(float));
    c->err = tape.err != BNN_OK ? tape.err : mem.err;
    bnn_tape_free(&tape);
    bnn_arena_free(&mem);
    return NULL;
}

static void stage_threads(double scale) {
    static chain chains[64];
    pthread_t threads[64];
    double start = seconds();
    int i, ok = 1, same = 1;
    for (i = 0; i < 64; i++) {
        chains[i].id = i, chains[i].steps = (int)(1000 * scale) + 10;
        if (pthread_create(&threads[i], NULL, chain_run, &chains[i]) != 0) ok = 0, chains[i].id = -1;
    }
    for (i = 0; i < 64; i++) {
        if (chains[i].id < 0) continue;
        pthread_join(threads[i], NULL);
        ok = ok && chains[i].err == BNN_OK;
    }
    check(ok, "threads: all chains ended well");
    for (i = 0; i < 64; i += 21) { /* and as they would have ended alone */
        chain alone = chains[i];
        chain_run(&alone);
        same = same && alone.bits == chains[i].bits;
    }
    check(same, "threads: the same bits as alone");
    printf("RESULT load stage=threads chains=64 steps=%d seconds=%.2f\n", chains[0].steps, seconds() - start);
}

static void stage_soak(double scale) {
    long steps = (long)(1e7 * scale), i, settled = steps / 100 + 10;
    size_t calls = 0, now = 0, used = 0;
    double start = seconds();
    float x[4] = { -1, 0, 1, 2 }, y[4] = { 1, 0, 1, 4 };
    meter m = { 0, 0, 0 };
    bnn_arena mem = arena_on(&m);
    bnn_tape tape;
    bnn_sgld_desc desc;
    bnn_data d;
    bnn_stepper s;
    bnn_ensemble post;
    bnn_mlp_desc shape;
    bnn_net net;
    bnn_params *w;
    memset(&tape, 0, sizeof tape);
    memset(&desc, 0, sizeof desc);
    memset(&shape, 0, sizeof shape);
    tape.mem = arena_on(&m);
    d.x.rows = d.y.rows = 4, d.x.cols = d.y.cols = 1, d.x.data = x, d.y.data = y;
    shape.sizes[0] = shape.sizes[2] = 1, shape.sizes[1] = 2;
    shape.noise_std = 1;
    desc.lr = 1e-4f;
    w = bnn_params_new(&mem);
    net = bnn_mlp(w, shape);
    s = bnn_sgld(w, desc);
    post = bnn_ensemble_new(w, 8);
    for (i = 0; i < steps + settled; i++) {
        bnn_tape_reset(&tape);
        bnn_backward(bnn_net_loss(&net, bnn_minibatch(&tape, d, 2)));
        bnn_step(&s, &tape);
        if (i % 1000 == 0) (void)bnn_ensemble_reservoir(&post, &tape.rng);
        if (i == settled) calls = m.calls, now = m.now, used = bnn_arena_used(&tape.mem);
    }
    check(tape.err == BNN_OK && mem.err == BNN_OK, "soak: no error");
    check(m.calls == calls && m.now == now, "soak: not one allocation after the first steps");
    check(bnn_arena_used(&tape.mem) == used, "soak: a step takes what it took");
    check(s.t == (uint64_t)(steps + settled), "soak: steps are counted");
    printf("RESULT load stage=soak steps=%ld bytes=%lu allocations=%lu seconds=%.1f\n", steps + settled,
           (unsigned long)m.now, (unsigned long)m.calls, seconds() - start);
    bnn_tape_free(&tape);
    bnn_arena_free(&mem);
    check(m.now == 0, "soak: all given back");
}

/* More numbers than an int can count. calloc's untouched pages are zeros that take no memory. */
static void stage_big(double scale) {
    size_t n = (size_t)((double)((size_t)INT_MAX + 65) * (scale < 1 ? 0.01 : 1));
    double start = seconds();
    bnn_mat x = { 1, 0, NULL };
    bnn_tape tape;
    memset(&tape, 0, sizeof tape);
    if (sizeof(size_t) < 8) return;
    x.cols = n;
    x.data = (float *)calloc(n, sizeof(float));
    if (x.data == NULL) { printf("big: not enough address space, skipped\n"); return; }
    x.data[n - 1] = 3, x.data[0] = 2;
    check(bnn_mat_sum(x) == 5, "big: the sum of a matrix reaches its end");
    check(bnn_mat_finite(x) && bnn_mat_row_argmax(x, 0) == n - 1, "big: so do other passes");
    check(*bnn_mat_at(x, 0, n - 1) == 3, "big: and an index");
    check(bnn_value(bnn_sum(bnn_input(&tape, x))) == 5, "big: and an operation");
    check(bnn_value(bnn_sum(bnn_cols(bnn_input(&tape, x), n - 2, 2))) == 3, "big: and a part of it");
    check(tape.err == BNN_OK, "big: no error");
    printf("RESULT load stage=big numbers=%lu seconds=%.2f\n", (unsigned long)n, seconds() - start);
    bnn_tape_free(&tape);
    free(x.data);
}

int main(int argc, char **argv) {
    static const struct { const char *name; void (*run)(double); } stages[] = {
        { "csv", stage_csv }, { "idx", stage_idx }, { "predict", stage_predict },
        { "ensemble", stage_ensemble }, { "threads", stage_threads }, { "soak", stage_soak },
        { "big", stage_big },
    };
    double scale = argc > 1 ? atof(argv[1]) : 1;
    size_t i;
    int k;
    for (i = 0; i < sizeof stages / sizeof *stages; i++) {
        int wanted = argc < 3;
        for (k = 2; k < argc; k++) wanted = wanted || strcmp(argv[k], stages[i].name) == 0;
        if (wanted) stages[i].run(scale);
        fflush(stdout);
    }
    printf("%d passed, %d failed\n", passed, failed);
    return failed != 0;
}
