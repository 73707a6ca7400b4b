/* bench.c -- the workloads of `make bench`, our side. As a program it times them alone and prints
 * the lines with peer=none; as a shared library (bench_count, bench_name, bench_run) it is called by
 * bench.py in turn with PyTorch, NumPy and OpenBLAS.
 *     cc -O2 -I. tests/bench/bench.c -o bench -lm && taskset -c 0 ./bench [name ...] */
#define _POSIX_C_SOURCE 200112L
#define BNN_IMPLEMENTATION
#include "bnn.h"
#include <stdio.h>
#include <time.h>

enum { ROWS = 10000 };

typedef struct workload workload;
struct workload {
    const char *name;
    void (*make)(workload *b);
    void (*step)(workload *b);
    size_t m, k, n; /* products: (m,k)(k,n) */
    int form;       /* 0: A B, 1: A^T B, 2: A B^T */
    int made;
    bnn_arena mem;
    bnn_tape tape;
    bnn_params *w, *v;
    bnn_net net, student;
    bnn_stepper step_w, step_v;
    bnn_meanfield q;
    bnn_ensemble post;
    bnn_data data;
    bnn_mat a, b, c;
    bnn__slide sweep; /* convolutions */
    float *room;
    size_t at;
};

static bnn_mat random_mat(workload *b, size_t rows, size_t cols) {
    bnn_mat m = bnn_mat_new(&b->mem, rows, cols);
    bnn_rng_fill_normal(&b->tape.rng, rows * cols, m.data);
    return m;
}

static void gemm_make(workload *b) {
    b->a = b->form == 1 ? random_mat(b, b->k, b->m) : random_mat(b, b->m, b->k);
    b->b = b->form == 2 ? random_mat(b, b->n, b->k) : random_mat(b, b->k, b->n);
    b->c = random_mat(b, b->m, b->n);
}

static void gemm_step(workload *b) {
    if (b->form == 0) bnn_mat_mul(b->c, b->a, b->b);
    else if (b->form == 1) bnn_mat_mul_tn(b->c, b->a, b->b);
    else bnn_mat_mul_nt(b->c, b->a, b->b);
}

/* Batches are slices of the data in turn, as on the peers' side. */
static bnn_batch next(workload *b, size_t size) {
    bnn_batch batch = bnn_batch_all(&b->tape, bnn_data_rows(b->data, b->at, size));
    b->at = b->at + 2 * size > b->data.x.rows ? 0 : b->at + size;
    batch.n_data = 60000;
    return batch;
}

static bnn_mlp_desc mnist_net(void) {
    bnn_mlp_desc d = { .sizes = { 784, 400, 400, 10 }, .likelihood = BNN_CATEGORICAL };
    return d;
}

static void mnist_make(workload *b) {
    size_t i;
    b->data.x = random_mat(b, ROWS, 784);
    b->data.y = bnn_mat_new(&b->mem, ROWS, 1);
    for (i = 0; i < ROWS; i++) b->data.y.data[i] = (float)bnn_rng_below(&b->tape.rng, 10);
    b->w = bnn_params_new(&b->mem);
    b->net = bnn_mlp(b->w, mnist_net());
}

static void sgd_make(workload *b) {
    mnist_make(b);
    b->step_w = bnn_sgd(b->w, (bnn_sgd_desc){ .lr = 1e-3f });
}

static void sgd_step(workload *b) {
    bnn_tape_reset(&b->tape);
    bnn_backward(bnn_net_nll(&b->net, next(b, 100)));
    bnn_step(&b->step_w, &b->tape);
}

static void sgld_make(workload *b) {
    mnist_make(b);
    b->step_w = bnn_sgld(b->w, (bnn_sgld_desc){ .lr = 0.12f });
}

static void sgld_step(workload *b) {
    bnn_tape_reset(&b->tape);
    bnn_backward(bnn_net_loss(&b->net, next(b, 100)));
    bnn_step(&b->step_w, &b->tape);
}

static void bdk_make(workload *b) {
    sgld_make(b);
    b->v = bnn_params_new(&b->mem);
    b->student = bnn_mlp(b->v, mnist_net());
    b->step_v = bnn_sgd(b->v, (bnn_sgd_desc){ .lr = 1e-3f });
}

static void bdk_step(workload *b) {
    sgld_step(b);
    bnn_backward(bnn_distill_loss(&b->student,
                                  bnn_distill_inputs(&b->tape, b->data.x, 100,
                                                     (bnn_inputs_desc){ .noise = 0.05f }),
                                  &b->net, NULL));
    bnn_step(&b->step_v, &b->tape);
}

static void tiny_make(workload *b) {
    b->data.x = random_mat(b, ROWS, 1);
    b->data.y = random_mat(b, ROWS, 1);
    b->w = bnn_params_new(&b->mem);
    b->net = bnn_mlp(b->w, (bnn_mlp_desc){ .sizes = { 1, 50, 1 }, .noise_std = 1,
                                           .activation = BNN_TANH });
    b->step_w = bnn_sgld(b->w, (bnn_sgld_desc){ .lr = 1e-2f });
}

static void tiny_step(workload *b) {
    bnn_tape_reset(&b->tape);
    bnn_backward(bnn_net_loss(&b->net, next(b, 32)));
    bnn_step(&b->step_w, &b->tape);
}

/* Bayes by backprop: mean field, KL to N(0, 0.1^2) */
static void bbb_net(workload *b, size_t inputs, size_t units, size_t layers, size_t classes) {
    bnn_mlp_desc d = { .sizes = { inputs, units }, .noise_std = 1, .prior = { .std = 0.1f } };
    d.sizes[layers + 1] = classes > 0 ? classes : 1;
    if (layers > 1) d.sizes[2] = units;
    if (classes > 0) d.likelihood = BNN_CATEGORICAL;
    b->data.x = random_mat(b, ROWS, inputs);
    b->data.y = random_mat(b, ROWS, 1);
    for (size_t i = 0; classes > 0 && i < ROWS; i++)
        b->data.y.data[i] = (float)bnn_rng_below(&b->tape.rng, classes);
    b->w = bnn_params_new(&b->mem);
    b->net = bnn_mlp(b->w, d);
    b->q = bnn_meanfield_new(b->w, (bnn_meanfield_desc){ .init_std = 0.0486f });
}

static void bbb_step(workload *b, size_t batch) {
    bnn_tape_reset(&b->tape);
    bnn_meanfield_sample(&b->q, &b->tape);
    bnn_backward(bnn_net_nll(&b->net, next(b, batch)));
    bnn_meanfield_backward(&b->q, &b->tape);
    bnn_step(&b->step_w, &b->tape);
}

static void bbb_sgd(workload *b) {
    b->step_w = bnn_sgd(b->q.params, (bnn_sgd_desc){ .lr = 1e-3f });
}

static void bbb_adam(workload *b) {
    b->step_w = bnn_adam(b->q.params, (bnn_adam_desc){ .lr = 1e-4f });
}

static void bbb_400_sgd(workload *b) { bbb_net(b, 784, 400, 2, 10), bbb_sgd(b); }
static void bbb_400_adam(workload *b) { bbb_net(b, 784, 400, 2, 10), bbb_adam(b); }
static void bbb_1200_sgd(workload *b) { bbb_net(b, 784, 1200, 2, 10), bbb_sgd(b); }
static void bbb_1200_adam(workload *b) { bbb_net(b, 784, 1200, 2, 10), bbb_adam(b); }
static void bbb_small(workload *b) { bbb_net(b, 13, 50, 1, 0), bbb_adam(b); }
static void bbb_step_128(workload *b) { bbb_step(b, 128); }
static void bbb_step_32(workload *b) { bbb_step(b, 32); }

static void predict_make(workload *b) {
    size_t s;
    mnist_make(b);
    b->post = bnn_ensemble_new(b->w, 100);
    for (s = 0; s < 100; s++) bnn_ensemble_push(&b->post);
}

static void predict_step(workload *b) {
    bnn_mark mark = bnn_arena_mark(&b->mem);
    bnn_predict(&b->mem, &b->tape, &b->net, &b->post, b->data.x);
    bnn_arena_rewind(&b->mem, mark);
}

/* Rows with the zeros of digits on 28x28: strokes in the box of 20x20 in the middle, four in five
 * pixels are 0. A pen of 3 pixels wanders until it has filled 150. */
static void picture(bnn_rng *rng, float *x) {
    float at[2] = { 8 + 12 * bnn_rng_uniform(rng), 8 + 12 * bnn_rng_uniform(rng) };
    float turn = 6.2831853f * bnn_rng_uniform(rng);
    memset(x, 0, 784 * sizeof *x);
    for (int filled = 0; filled < 150;) {
        turn += bnn_rng_uniform(rng) - 0.4f;
        at[0] += 0.7f * cosf(turn), at[1] += 0.7f * sinf(turn);
        for (int i = 0; i < 2; i++)
            if (at[i] < 5 || at[i] > 22) at[i] = at[i] < 5 ? 5 : 22, turn += 2;
        for (int i = 0; i < 9; i++) {
            float *to = x + ((int)at[0] + i / 3 - 1) * 28 + (int)at[1] + i % 3 - 1;
            filled += *to == 0;
            *to = 0.5f + 0.5f * bnn_rng_uniform(rng);
        }
    }
}

static void pictures(workload *b) {
    for (size_t i = 0; i < ROWS; i++) picture(&b->tape.rng, b->data.x.data + i * 784);
}

static void sgld_mnist(workload *b) { sgld_make(b), pictures(b); }
static void bbb_mnist(workload *b) { bbb_400_sgd(b), pictures(b); }
static void predict_mnist(workload *b) { predict_make(b), pictures(b); }

/* Bags of words: 12 of 16,384 in a row, or as many columns without zeros */
static void dense_words(workload *b) {
    b->data.x = random_mat(b, 1000, 16384);
    b->data.y = bnn_mat_new(&b->mem, 1000, 1);
    for (size_t i = 0; i < 1000; i++) b->data.y.data[i] = (float)(i % 2);
    b->w = bnn_params_new(&b->mem);
    b->net = bnn_mlp(b->w, (bnn_mlp_desc){ .sizes = { 16384, 100, 2 },
                                           .likelihood = BNN_CATEGORICAL });
    b->step_w = bnn_sgd(b->w, (bnn_sgd_desc){ .lr = 1e-3f });
}

static void words(workload *b) {
    dense_words(b);
    memset(b->data.x.data, 0, 1000 * 16384 * sizeof(float));
    for (size_t i = 0; i < 12 * 1000; i++)
        b->data.x.data[i / 12 * 16384 + bnn_rng_below(&b->tape.rng, 16384)] += 1;
}

/* ---- images and sequences */

/* n pictures with labels below 10 */
static void picture_data(workload *b, size_t n, size_t cols) {
    b->data.x = random_mat(b, n, cols);
    b->data.y = bnn_mat_new(&b->mem, n, 1);
    for (size_t i = 0; i < n; i++) b->data.y.data[i] = (float)bnn_rng_below(&b->tape.rng, 10);
    b->w = bnn_params_new(&b->mem);
}

static void lenet_net(workload *b) {
    picture_data(b, 2000, 784);
    b->net = bnn_layers(b->w, (bnn_layers_desc){
        .input = { 28, 28, 1 },
        .layers = { { BNN_CONV, 20, .kernel = 5 }, { BNN_MAX_POOL, .kernel = 2 },
                    { BNN_CONV, 50, .kernel = 5 }, { BNN_MAX_POOL, .kernel = 2 },
                    { BNN_DENSE, 500 }, { BNN_DENSE, 10 } },
        .likelihood = BNN_CATEGORICAL });
}

static void lenet_sgd(workload *b) {
    lenet_net(b);
    b->step_w = bnn_sgd(b->w, (bnn_sgd_desc){ .lr = 1e-3f });
}

static void lenet_sgld(workload *b) {
    lenet_net(b);
    b->step_w = bnn_sgld(b->w, (bnn_sgld_desc){ .lr = 0.12f });
}

static void vgg_sgd(workload *b) {
    picture_data(b, 500, 3072);
    b->net = bnn_layers(b->w, (bnn_layers_desc){
        .input = { 32, 32, 3 },
        .layers = { { BNN_CONV, 32, .kernel = 3, .same = 1 },
                    { BNN_CONV, 32, .kernel = 3, .same = 1 },
                    { BNN_MAX_POOL, .kernel = 2 },
                    { BNN_CONV, 64, .kernel = 3, .same = 1 },
                    { BNN_CONV, 64, .kernel = 3, .same = 1 },
                    { BNN_MAX_POOL, .kernel = 2 },
                    { BNN_CONV, 128, .kernel = 3, .same = 1 },
                    { BNN_CONV, 128, .kernel = 3, .same = 1 },
                    { BNN_MAX_POOL, .kernel = 2 },
                    { BNN_DENSE, 256 }, { BNN_DENSE, 10 } },
        .likelihood = BNN_CATEGORICAL });
    b->step_w = bnn_sgd(b->w, (bnn_sgd_desc){ .lr = 1e-3f });
}

/* The reader of examples/sequence.c: 8 rows of 8 pixels, 32 units, then the class */
static bnn_var *reader(bnn_tape *t, const bnn_net *net, bnn_var *x) {
    bnn_var *p[5], *h = bnn_op(t, x->val.rows, 32, NULL, 0, NULL);
    bnn_mat_fill(h->val, 0);
    for (size_t i = 0; i < 5; i++) p[i] = bnn_param(t, net->params, i);
    for (size_t r = 0; r < 8; r++) h = bnn_gru(bnn_cols(x, 8 * r, 8), h, p[0], p[1], p[2], NULL);
    return bnn_affine(h, p[3], p[4]);
}

static void gru_digits(workload *b) {
    static const size_t rows[] = { 8, 32, 1, 32, 1 }, cols[] = { 96, 96, 128, 10, 10 };
    picture_data(b, 2000, 64);
    for (size_t i = 0; i < 5; i++) bnn_params_add(b->w, rows[i], cols[i], "w", (bnn_prior){ 0 });
    bnn_rng_fill_normal(&b->tape.rng, b->w->n, b->w->theta);
    for (size_t i = 0; i < b->w->n; i++) b->w->theta[i] *= 0.2f;
    b->net = (bnn_net){ .params = b->w, .forward = reader, .likelihood = BNN_CATEGORICAL };
    b->step_w = bnn_sgd(b->w, (bnn_sgd_desc){ .lr = 1e-3f });
}

static void sgd_step_50(workload *b) {
    bnn_tape_reset(&b->tape);
    bnn_backward(bnn_net_nll(&b->net, next(b, 50)));
    bnn_step(&b->step_w, &b->tape);
}

/* A layer alone: m images of (k,k) pixels by n channels; form: what is computed, y, its gradients
 * by the weights or by x. data.x, w and data.y are x, the kernel and y, or its gradient. */
static void conv_make(workload *b) {
    int wide = b->n > 1;
    bnn_image image = { b->k, b->k, b->n };
    bnn_window v = { .kernel = wide ? 3 : 5, .same = wide };
    size_t depth = v.kernel * v.kernel * b->n, channels = wide ? 64 : 20;
    bnn__slide_of(&b->sweep, image, v, 0);
    b->data.x = random_mat(b, b->m, b->k * b->k * b->n);
    b->w = bnn_params_new(&b->mem);
    bnn_params_add(b->w, depth, channels, "w", (bnn_prior){ 0 });
    bnn_rng_fill_normal(&b->tape.rng, b->w->n, b->w->theta);
    b->data.y = random_mat(b, b->m, b->sweep.rows * b->sweep.cols * channels);
    b->c = bnn_mat_new(&b->mem, b->m, b->k * b->k * b->n); /* the gradient by x */
    b->room = bnn__patch_room(&b->tape, &b->sweep, channels);
}

static void conv_step(workload *b) {
    size_t k = bnn_params_mat(b->w, 0).cols, n = b->m * b->sweep.rows * b->sweep.cols;
    float *x = b->data.x.data, *y = b->data.y.data, *w = b->w->theta;
    if (b->form == 0) bnn__conv(&b->sweep, n, k, x, w, k, 1, NULL, y, 0, b->room);
    else if (b->form == 1)
        bnn__conv_weights(&b->sweep, n, k, x, y, b->w->grad, 0, 0, b->room);
    else {
        bnn_mat_fill(b->c, 0);
        bnn__conv_back(&b->sweep, n, k, y, w, k, 1, b->c.data, b->room);
    }
}

static void random_make(workload *b) { b->a = bnn_mat_new(&b->mem, 1024, 1024); }
static void normal_step(workload *b) { bnn_rng_fill_normal(&b->tape.rng, 1024 * 1024, b->a.data); }
static void gumbel_step(workload *b) { bnn_rng_fill_gumbel(&b->tape.rng, 1024 * 1024, b->a.data); }

static void gamma_step(workload *b) {
    bnn_rng_fill_gamma(&b->tape.rng, 1024 * 1024, 0.7f, b->a.data);
}

static void softmax_make(workload *b) { b->a = bnn_mat_new(&b->mem, 1000000, 4); }
static void softmax_step(workload *b) {
    bnn_tape_reset(&b->tape);
    bnn_gumbel_softmax(bnn_input(&b->tape, b->a), 0.5f);
}

#define GEMM(F, M, K, N, FORM) { F #M "x" #K "x" #N, gemm_make, gemm_step, M, K, N, FORM, 0 }
#define GEMMS(M, K, N)                                                                             \
    GEMM("gemm_nn_", M, K, N, 0), /* X W      */                                                   \
    GEMM("gemm_tn_", K, M, N, 1), /* X^T dY   */                                                   \
    GEMM("gemm_nt_", M, N, K, 2)  /* dY W^T   */
static workload works[] = {
    GEMMS(100, 784, 400), GEMMS(100, 400, 400), GEMMS(128, 784, 1200), GEMMS(128, 1200, 1200),
    GEMMS(32, 13, 50), GEMMS(32, 50, 1), GEMMS(10, 2, 20),
    { "sgd_400", sgd_make, sgd_step, 0, 0, 0, 0, 0 },
    { "sgld_400", sgld_make, sgld_step, 0, 0, 0, 0, 0 },
    { "bdk_400", bdk_make, bdk_step, 0, 0, 0, 0, 0 },
    { "bbb_400_sgd", bbb_400_sgd, bbb_step_128, 0, 0, 0, 0, 0 },
    { "bbb_400_adam", bbb_400_adam, bbb_step_128, 0, 0, 0, 0, 0 },
    { "bbb_1200_sgd", bbb_1200_sgd, bbb_step_128, 0, 0, 0, 0, 0 },
    { "bbb_1200_adam", bbb_1200_adam, bbb_step_128, 0, 0, 0, 0, 0 },
    { "bbb_13_50_1", bbb_small, bbb_step_32, 0, 0, 0, 0, 0 },
    { "sgld_1_50_1", tiny_make, tiny_step, 0, 0, 0, 0, 0 },
    { "predict_100x10000", predict_make, predict_step, 0, 0, 0, 0, 0 },
    { "sgld_mnist", sgld_mnist, sgld_step, 0, 0, 0, 0, 0 },
    { "bbb_mnist", bbb_mnist, bbb_step_128, 0, 0, 0, 0, 0 },
    { "predict_mnist", predict_mnist, predict_step, 0, 0, 0, 0, 0 },
    { "bow_dense", dense_words, sgd_step, 0, 0, 0, 0, 0 },
    { "bow", words, sgd_step, 0, 0, 0, 0, 0 },
    { "lenet_sgd", lenet_sgd, sgd_step, 0, 0, 0, 0, 0 },
    { "lenet_sgld", lenet_sgld, sgld_step, 0, 0, 0, 0, 0 },
    { "vgg_sgd", vgg_sgd, sgd_step_50, 0, 0, 0, 0, 0 },
    { "gru_digits", gru_digits, sgd_step_50, 0, 0, 0, 0, 0 },
    { "conv_3x3x64_y", conv_make, conv_step, 50, 16, 64, 0, 0 },
    { "conv_3x3x64_gw", conv_make, conv_step, 50, 16, 64, 1, 0 },
    { "conv_3x3x64_gx", conv_make, conv_step, 50, 16, 64, 2, 0 },
    { "conv_5x5x1_y", conv_make, conv_step, 100, 28, 1, 0, 0 },
    { "conv_5x5x1_gw", conv_make, conv_step, 100, 28, 1, 1, 0 },
    { "conv_5x5x1_gx", conv_make, conv_step, 100, 28, 1, 2, 0 },
    { "rng_normal", random_make, normal_step, 0, 0, 0, 0, 0 },
    { "rng_gamma", random_make, gamma_step, 0, 0, 0, 0, 0 },
    { "rng_gumbel", random_make, gumbel_step, 0, 0, 0, 0, 0 },
    { "gumbel_softmax", softmax_make, softmax_step, 0, 0, 0, 0, 0 },
};
enum { WORKS = sizeof works / sizeof works[0] };

/* cblas_sgemm, handed over by bench.py, so that both sides are called from the same loop */
typedef void sgemm_fn(int order, int ta, int tb, int m, int n, int k, float alpha, const float *a,
                      int lda, const float *b, int ldb, float beta, float *c, int ldc);

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t); /* others may use the core, too */
    return 1e6 * (double)t.tv_sec + 1e-3 * (double)t.tv_nsec;
}

/* GFLOP/s of twelve chains of multiply-adds in registers, the best of 20 times 10 million */
#define CHAIN(r, S) bnn__f##S s##r = bnn__set_##S((float)r);
#define LINK(r, S) BNN__FMA_##S(s##r, x, x);
#define SUM(r, S) x = x + s##r;
#define TWELVE(X, S) X(0, S) X(1, S) X(2, S) X(3, S) X(4, S) X(5, S) \
    X(6, S) X(7, S) X(8, S) X(9, S) X(10, S) X(11, S)
#define PEAK(S)                                                     \
static BNN__AT_##S double peak_##S(float *to) {                     \
    double best = 0;                                                \
    for (int round = 0; round < 20; round++) {                      \
        bnn__f##S x = bnn__set_##S(*to);                            \
        TWELVE(CHAIN, S)                                            \
        double t = now();                                           \
        for (long i = 0; i < 1000000; i++) { TWELVE(LINK, S) }      \
        t = now() - t;                                              \
        TWELVE(SUM, S)                                              \
        bnn__st_##S(to, x);                                         \
        to[0] = 1e-6f;                                              \
        if (12e6 * 2 * S / t > best) best = 12e6 * 2 * S / t;       \
    }                                                               \
    return 1e-3 * best;                                             \
}
#if BNN__SIMD == 16
PEAK(8)
PEAK(16)
#elif BNN__SIMD == 4
PEAK(4)
#endif

int bench_count(void);
int bench_level(int lanes);
double bench_peak(void);
double bench_flops(int i);
double bench_off(sgemm_fn *sgemm, int i);
float *bench_floats(int i, int which);
size_t bench_weights(int i);
double bench_loss(int i, int rows);
size_t bench_memory(int i, int which);
void bench_blas(sgemm_fn *sgemm, int i, long times);
const char *bench_name(int i);
const char *bench_run(int i, long times);

int bench_count(void) { return WORKS; }
const char *bench_name(int i) { return works[i].name; }
const char *bench_run(int i, long times) { /* "" or an error */
    workload *b = &works[i];
    if (!b->made++) {
        b->tape.rng = bnn_rng_seed((uint64_t)i);
        b->make(b);
    }
    while (times-- > 0) b->step(b);
    return b->tape.err ? b->tape.msg : b->mem.msg;
}

void bench_blas(sgemm_fn *sgemm, int i, long times) {
    const workload *b = &works[i];
    int m = (int)b->m, n = (int)b->n, k = (int)b->k, ta = b->form == 1, tb = b->form == 2;
    while (times-- > 0)
        sgemm(101, 111 + ta, 111 + tb, m, n, k, 1, b->a.data, ta ? m : k, b->b.data, tb ? k : n, 0,
              b->c.data, n);
}


/* Lanes ours may use, 0 = as the machine has them; returns what is used */
int bench_level(int lanes) {
    if (lanes > 0) bnn__cpu_level = lanes;
    return bnn__cpu();
}

double bench_peak(void) {
    float to[16] = { 1e-6f };
#if BNN__SIMD == 16
    if (bnn__cpu() >= 8) return bnn__cpu() == 16 ? peak_16(to) : peak_8(to);
#elif BNN__SIMD == 4
    if (bnn__cpu() == 4) return peak_4(to);
#endif
    return 0 * (double)to[0];
}

double bench_flops(int i) {
    return 2 * (double)works[i].m * (double)works[i].k * (double)works[i].n;
}

/* The peer's product beside ours: the largest difference, in units of k times half an ulp of the
 * largest element. A right product is below 1, by far. */
double bench_off(sgemm_fn *sgemm, int i) {
    const workload *b = &works[i];
    size_t n = b->m * b->n, j;
    float *ours = malloc(n * sizeof *ours);
    double top = 0, off = 0;
    bench_run(i, 1);
    memcpy(ours, b->c.data, n * sizeof *ours);
    for (j = 0; j < n; j++) b->c.data[j] = NAN;
    bench_blas(sgemm, i, 1);
    for (j = 0; j < n; j++) {
        double d = fabs((double)b->c.data[j] - (double)ours[j]), a = fabs((double)ours[j]);
        if (a > top) top = a;
        if (!(d <= off)) off = d;
    }
    free(ours);
    return off / (top * 6e-8 * (double)b->k);
}

/* 0 x, 1 y, 2 weights, so that a peer starts where we do; 3 gradient by weights, 4 by x */
float *bench_floats(int i, int which) {
    const workload *b = &works[i];
    bench_run(i, 0); /* made */
    return which == 0 ? b->data.x.data : which == 1 ? b->data.y.data : which == 2 ? b->w->theta :
           which == 3 ? b->w->grad : b->c.data;
}

size_t bench_weights(int i) {
    bench_run(i, 0);
    return works[i].w->n;
}

/* Of the first rows, which the first step takes */
double bench_loss(int i, int rows) {
    workload *b = &works[i];
    bench_run(i, 0);
    bnn_tape_reset(&b->tape);
    bnn_data d = bnn_data_rows(b->data, 0, (size_t)rows);
    return (double)bnn_value(bnn_net_nll(&b->net, bnn_batch_all(&b->tape, d)));
}

/* Bytes: 0 a step's tape has held at most, and 1 all else but the data; 2 the scratch of the
 * convolution that has most, or of this one */
size_t bench_memory(int i, int which) {
    const workload *b = &works[i];
    size_t most = 0, l;
    bench_run(i, 0);
    if (which == 0) return bnn_arena_size(&b->tape.mem);
    if (which == 1)
        return bnn_arena_used(&b->mem) - b->data.x.rows * (b->data.x.cols + 1) * sizeof(float);
    if (b->net.mlp == NULL)
        return b->room == NULL ? 0 : sizeof(float) * bnn__conv_room(&b->sweep,
                                                                    bnn_params_mat(b->w, 0).cols);
    for (l = 0; l < b->net.mlp->n_layers; l++) {
        bnn__stage k = bnn__stage_of(b->net.mlp, l);
        bnn__slide s;
        if (k.d.kind != BNN_CONV || !bnn__slide_of(&s, k.in, bnn__window_of(&k), 0)) continue;
        size_t bytes = bnn__conv_room(&s, k.out.c) * sizeof(float);
        if (bytes > most) most = bytes;
    }
    return most;
}

static int ascending(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* What training a 13-50-1 net with Adam holds: sizeof the structs, and bytes in the two arenas. */
static void print_state(void) {
    workload b;
    memset(&b, 0, sizeof b);
    b.data.x = random_mat(&b, 32, 13);
    b.data.y = random_mat(&b, 32, 1);
    size_t data = bnn_arena_used(&b.mem);
    b.w = bnn_params_new(&b.mem);
    b.net = bnn_mlp(b.w, (bnn_mlp_desc){ .sizes = { 13, 50, 1 }, .noise_std = 1 });
    b.step_w = bnn_adam(b.w, (bnn_adam_desc){ .lr = 1e-3f });
    bnn_backward(bnn_net_loss(&b.net, bnn_batch_all(&b.tape, b.data)));
    bnn_step(&b.step_w, &b.tape);
    printf("RESULT state net=13-50-1 weights=%zu structs=%zu space=%zu time=%zu\n", b.w->n,
           sizeof b.tape + sizeof b.mem + sizeof b.net + sizeof b.step_w,
           bnn_arena_used(&b.mem) - data, bnn_arena_used(&b.tape.mem));
    bnn_tape_free(&b.tape);
    bnn_arena_free(&b.mem);
}

int main(int argc, char **argv) {
    enum { ROUNDS = 21 };
    if (argc == 2 && strcmp(argv[1], "state") == 0) {
        print_state();
        return 0;
    }
    printf("RESULT bench name=peak lanes=%d gflops=%.1f\n", bnn__cpu(), bench_peak());
    for (int i = 0; i < WORKS; i++) {
        double t[ROUNDS], one;
        int wanted = argc < 2;
        for (int j = 1; j < argc; j++) wanted |= strcmp(argv[j], works[i].name) == 0;
        if (!wanted) continue;
        bench_run(i, 1);
        one = now();
        bench_run(i, 1);
        one = now() - one;
        long times = one > 1e5 ? 1 : (long)(2e4 / (one + 0.01)) + 1;
        int rounds = one > 1e5 ? 3 : ROUNDS;
        for (int r = 0; r < rounds; r++) {
            double start = now();
            const char *error = bench_run(i, times);
            if (error[0]) {
                fprintf(stderr, "bench: %s: %s\n", works[i].name, error);
                return 1;
            }
            t[r] = (now() - start) / (double)times;
        }
        qsort(t, (size_t)rounds, sizeof t[0], ascending);
        printf("RESULT bench name=%s threads=1 ours=%.2f peer=none\n", works[i].name, t[rounds / 2]);
        fflush(stdout);
    }
    return 0;
}
