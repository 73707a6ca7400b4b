/* lenet.c -- convolutions: a posterior over a small LeNet, and single nets that stand for it.
 *     cc -O2 -I.. lenet.c -lm && ./a.out [folder of the digits] [seed]
 * The net is a function of yours over bnn_conv2d and bnn_max_pool2d, trained on 3823 real digits of
 * 8x8 pixels in some 20 seconds. You should see about half the errors of the dense nets of
 * digits.c, and a student with the error and the NLL of the SGLD ensemble. On so few images and
 * at temperature 1 the ensemble is not better than the best net. */
#define BNN_STATIC /* one file: functions that it does not call are not compiled */
#define BNN_IMPLEMENTATION
#include "bnn.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

typedef struct { /* conv, pool, conv, pool, dense, dense */
    bnn_image in;
    bnn_window kernel;
    size_t filters[2], units;
} lenet;

static const lenet shape = { { 8, 8, 1 }, { .kernel = 3, .same = 1 }, { 16, 32 }, 64 };
enum { BATCH = 100, STEPS = 2500, BURN_IN = 1000, THIN = 60, KEEP = 80, DISTILL = 6000 };
static const bnn_window two = { .kernel = 2 };

static bnn_var *block(bnn_tape *t, const bnn_net *net, size_t k) {
    return bnn_param(t, net->params, k);
}

static bnn_var *forward(bnn_tape *t, const bnn_net *net, bnn_var *x) {
    const lenet *s = (const lenet *)net->user;
    bnn_image at = s->in;
    for (size_t l = 0; l < 2; l++) {
        x = bnn_conv2d(x, block(t, net, 2 * l), block(t, net, 2 * l + 1), at, s->kernel);
        at = bnn_image_conv(at, s->filters[l], s->kernel);
        x = bnn_max_pool2d(bnn_relu(x), at, two);
        at = bnn_image_pool(at, two);
    }
    x = bnn_relu(bnn_affine(x, block(t, net, 4), block(t, net, 5)));
    return bnn_affine(x, block(t, net, 6), block(t, net, 7));
}

/* Weights N(0, 2/fan in) to begin with; their prior has the same form. */
static bnn_net make(bnn_arena *mem, bnn_rng *rng, const lenet *s) {
    static const char *const names[] = { "conv1", "b1", "conv2", "b2", "dense", "b3", "out", "b4" };
    bnn_params *w = bnn_params_new(mem);
    bnn_image at = s->in;
    size_t rows[4], cols[4] = { s->filters[0], s->filters[1], s->units, 10 };
    for (size_t l = 0; l < 2; l++) {
        rows[l] = s->kernel.kernel * s->kernel.kernel * at.c;
        at = bnn_image_pool(bnn_image_conv(at, cols[l], s->kernel), two);
    }
    rows[2] = at.h * at.w * at.c, rows[3] = s->units;
    for (size_t k = 0; k < 8; k++) {
        size_t l = k / 2, n = k % 2 ? 1 : rows[l];
        size_t b = bnn_params_add(w, n, cols[l], names[k], k % 2 ? (bnn_prior){ .std = 1 } :
                                  (bnn_prior){ .std = 4, .fan_in = 1 });
        if (k % 2 || mem->err) continue;
        bnn_mat m = bnn_params_mat(w, b);
        bnn_rng_fill_normal(rng, m.rows * m.cols, m.data);
        bnn_mat_scale(m, m, sqrtf(2 / (float)n));
    }
    return (bnn_net){ .params = w, .forward = forward, .likelihood = BNN_CATEGORICAL,
                      .user = (void *)(size_t)s };
}

static bnn_mat read_idx(bnn_arena *mem, const char *folder, const char *name, float scale) {
    char path[512];
    bnn_mat m = { 0, 0, NULL };
    snprintf(path, sizeof path, "%s/digits-%s.idx", folder, name);
    if (bnn_idx_load(mem, path, &m) != BNN_OK) {
        fprintf(stderr, "lenet: %s\n", mem->msg);
        exit(1);
    }
    bnn_mat_scale(m, m, scale);
    return m;
}

static void report(const char *method, bnn_arena *mem, bnn_tape *tape,
                   const bnn_net *net, const bnn_ensemble *post, bnn_data test, clock_t start) {
    double seconds = (double)(clock() - start) / CLOCKS_PER_SEC;
    bnn_predictive p = bnn_predict(mem, tape, net, post, test.x);
    printf("RESULT lenet data=digits method=%s error=%.2f nll=%.4f ece=%.4f seconds=%.1f\n", method,
           100 * bnn_metric_error(p.mean, test.y), bnn_metric_nll(p.mean, test.y),
           bnn_metric_ece(p.mean, test.y, 15), seconds);
    fflush(stdout);
}

static void train(bnn_tape *tape, bnn_net *net, bnn_stepper *step, bnn_ensemble *post, bnn_data d,
                  size_t steps) {
    for (size_t i = 0; i < steps && !tape->err; i++) {
        bnn_tape_reset(tape);
        if (post == NULL) step->lr = (float)bnn_lr_cosine(0.1, i, steps);
        bnn_backward(bnn_net_loss(net, bnn_minibatch(tape, d, BATCH)));
        bnn_step(step, tape);
        if (post != NULL && i >= BURN_IN && (i + 1 - BURN_IN) % THIN == 0) bnn_ensemble_push(post);
    }
}

int main(int argc, char **argv) {
    bnn_arena mem = { 0 };
    bnn_tape tape = { .rng = bnn_rng_seed(argc > 2 ? (uint64_t)atoi(argv[2]) : 1) };
    FILE *here = fopen("data/digits-test-labels.idx", "rb");
    const char *folder = argc > 1 ? argv[1] : here ? "data" : "examples/data";
    if (here) fclose(here);
    bnn_data d = { read_idx(&mem, folder, "train-images", 1 / 16.0f),
                   read_idx(&mem, folder, "train-labels", 1) };
    bnn_data test = { read_idx(&mem, folder, "test-images", 1 / 16.0f),
                      read_idx(&mem, folder, "test-labels", 1) };

    clock_t start = clock();
    bnn_net net = make(&mem, &tape.rng, &shape);
    bnn_stepper sgd = bnn_sgd(net.params, (bnn_sgd_desc){ .lr = 0.1f, .momentum = 0.9f });
    train(&tape, &net, &sgd, NULL, d, STEPS);
    report("sgd", &mem, &tape, &net, NULL, test, start);

    start = clock();
    bnn_stepper sgld = bnn_sgld(net.params, (bnn_sgld_desc){ .lr = 0.05f });
    bnn_ensemble post = bnn_ensemble_new(net.params, KEEP);
    train(&tape, &net, &sgld, &post, d, BURN_IN + KEEP * THIN);
    report("sgld", &mem, &tape, &net, &post, test, start);

    start = clock();
    bnn_net student = make(&mem, &tape.rng, &shape);
    bnn_distill(&tape, &student, &net, &post, d.x, (bnn_distill_desc){
        .steps = DISTILL, .batch = BATCH, .lr = 2e-3f, .inputs = { .noise = 0.05f } });
    report("student", &mem, &tape, &student, NULL, test, start);

    start = clock();
    bnn_net mlp = bnn_mlp(bnn_params_new(&mem), (bnn_mlp_desc){
        .sizes = { d.x.cols, 256, 256, 10 }, .likelihood = BNN_CATEGORICAL });
    bnn_distill(&tape, &mlp, &net, &post, d.x, (bnn_distill_desc){
        .steps = DISTILL, .batch = BATCH, .lr = 2e-3f, .inputs = { .noise = 0.05f } });
    report("student_mlp", &mem, &tape, &mlp, NULL, test, start);

    int failed = tape.err || mem.err;
    if (failed) fprintf(stderr, "lenet: %s\n", tape.err ? tape.msg : mem.msg);
    bnn_tape_free(&tape);
    bnn_arena_free(&mem);
    return failed;
}
