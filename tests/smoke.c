/* smoke.c -- one pass through the library and a digest of every number it made: weights after SGD,
 * SGLD and Adam, predictions, random numbers. Valid as C99 and C++11. Compiled in every cell of the
 * matrix; the digest must be the same wherever the manual of bnn.h says so. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#ifdef SMOKE_NO_STDIO
#define BNN_NO_STDIO
#endif
#ifdef SMOKE_ASSERT
static int smoke_asserts;
#define BNN_ASSERT(x) ((x) ? (void)0 : (void)smoke_asserts++)
#endif
#ifdef SMOKE_HOOKS
#define BNN_MATH_EXP expf
#define BNN_MATH_TANH tanhf
#endif
#ifdef SMOKE_CBLAS
#include <cblas.h>
#define BNN_CBLAS
#endif
#define BNN_IMPLEMENTATION
#include "bnn.h"

static uint64_t hash = 1469598103934665603u; /* FNV-1a */

static void digest(const float *x, size_t n) { /* low bytes first, whatever the machine's order */
    size_t i;
    int b;
    for (i = 0; i < n; i++) {
        uint32_t word;
        memcpy(&word, x + i, sizeof word);
        for (b = 0; b < 32; b += 8) hash = (hash ^ (word >> b & 0xffu)) * 1099511628211u;
    }
}

static void digest_mat(bnn_mat m) { digest(m.data, m.rows * m.cols); }

static bnn_data make_data(bnn_arena *mem, bnn_rng *rng, size_t n) {
    bnn_data d;
    size_t i;
    d.x = bnn_mat_new(mem, n, 7);
    d.y = bnn_mat_new(mem, n, 1);
    bnn_rng_fill_normal(rng, n * 7, d.x.data);
    for (i = 0; i < n; i++) d.y.data[i] = d.x.data[i * 7] * d.x.data[i * 7 + 1] > 0 ? 1.0f : 2.0f;
    return d;
}

static void train(bnn_tape *tape, const bnn_net *net, bnn_stepper *s, bnn_data d, int steps,
                  bnn_ensemble *post) {
    int i;
    for (i = 0; i < steps; i++) {
        bnn_tape_reset(tape);
        bnn_backward(bnn_net_loss(net, bnn_minibatch(tape, d, 33)));
        bnn_step(s, tape);
        if (post != NULL && i % 10 == 9) bnn_ensemble_push(post);
    }
    digest(net->params->theta, net->params->n);
}

int main(void) {
    static const int acts[] = { BNN_RELU, BNN_TANH, BNN_GELU };
    bnn_arena mem;
    bnn_tape tape;
    bnn_data d;
    size_t a;
    float draws[100];
    volatile float ten = 10;
#ifdef SMOKE_LANES /* an instruction set other than the best */
    bnn__cpu_level = SMOKE_LANES;
#endif
    memset(&mem, 0, sizeof mem);
    memset(&tape, 0, sizeof tape);
    tape.rng = bnn_rng_seed(7);
    d = make_data(&mem, &tape.rng, 150);
    for (a = 0; a < 3; a++) {
        bnn_mlp_desc shape;
        bnn_sgd_desc sgd;
        bnn_sgld_desc sgld;
        bnn_adam_desc adam;
        bnn_distill_desc fast;
        bnn_stepper s;
        bnn_net net, student;
        bnn_ensemble post;
        bnn_params *w = bnn_params_new(&mem), *v = bnn_params_new(&mem);
        memset(&shape, 0, sizeof shape);
        memset(&sgd, 0, sizeof sgd);
        memset(&sgld, 0, sizeof sgld);
        memset(&adam, 0, sizeof adam);
        memset(&fast, 0, sizeof fast);
        shape.sizes[0] = 7, shape.sizes[1] = 61, shape.sizes[2] = 33, shape.sizes[3] = 3;
        shape.activation = acts[a];
        shape.likelihood = BNN_CATEGORICAL;
        net = bnn_mlp(w, shape);
        student = bnn_mlp(v, shape);
        sgd.momentum = 0.9f;
        sgd.lr = 0.02f;
        s = bnn_sgd(w, sgd);
        train(&tape, &net, &s, d, 30, NULL);
        s = bnn_adam(w, adam);
        train(&tape, &net, &s, d, 30, NULL);
        post = bnn_ensemble_new(w, 5);
        s = bnn_sgld(w, sgld);
        train(&tape, &net, &s, d, 50, &post);
        digest_mat(bnn_predict(&mem, &tape, &net, &post, d.x).mean);
        fast.steps = 20;
        bnn_distill(&tape, &student, &net, &post, d.x, fast);
        digest(v->theta, v->n);
    }
    bnn_rng_fill_gumbel(&tape.rng, 100, draws);
    digest(draws, sizeof draws / sizeof *draws);
    for (a = 0; a < 100; a++) {
        volatile float tenth = (float)a; /* -ffast-math may change the arithmetic of this file */
        tenth = tenth / ten;
        draws[a] = bnn_rng_log_gamma(&tape.rng, 0.05f + tenth);
    }
    digest(draws, sizeof draws / sizeof *draws);
    if (tape.err != BNN_OK || mem.err != BNN_OK) {
        printf("%s%s\n", tape.msg, mem.msg);
        return 1;
    }
    bnn_tape_free(&tape);
    bnn_arena_free(&mem);
    printf("digest %08lx%08lx\n", (unsigned long)(hash >> 32), (unsigned long)(hash & 0xffffffffu));
    return 0;
}
