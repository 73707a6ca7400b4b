/* sbc.c -- simulation-based calibration: are the samplers' posteriors the posterior?
 *     cc -O2 -I.. sbc.c -lm -o sbc && ./sbc [sets]
 * Weights from the prior, data from the weights, draws from the posterior of the data: the rank of
 * the true function value among the draws is uniform if the draws are right (Talts et al. 2018).
 * One row of 8 counts per sampler and model. You should see p above 0.001 for NUTS, HMC, SGHMC and
 * SGLD, and small p where independent Gaussians or a single Gaussian cannot be the posterior: they
 * pile up at the ends (too narrow) or in the middle (too wide). */
#define BNN_STATIC /* one file: what it does not call is not compiled */
#define BNN_IMPLEMENTATION
#include "bnn.h"
#include "example.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NUTS, HMC, SGHMC, SGLD, MEANFIELD, LAPLACE, SAMPLERS };
enum { LINEAR, LOGISTIC, TANH, MODELS, DRAWS = 31, BINS = 8, ROWS = 10, WARMUP = 200 };
static const char *const samplers[] = { "nuts", "hmc", "sghmc", "sgld", "meanfield", "laplace" };
static const char *const models[] = { "linear", "logistic", "tanh" };

typedef struct world {
    bnn_arena mem;
    bnn_tape tape;
    bnn_net net;
    bnn_data data;
    float x[2 * ROWS], y[ROWS], probe[2];
    int model;
} world;

static float f_of(world *o) { /* what is ranked: the net's output at a probe */
    bnn_mat probe = { 1, o->model == TANH ? 1 : 2, o->probe };
    bnn_tape_reset(&o->tape);
    return bnn_value(bnn_net_forward(&o->net, bnn_input(&o->tape, probe)));
}

/* The model, weights and data of one simulation; the true value */
static float simulate(world *o, int model, uint64_t seed) {
    bnn_rng *r = &o->tape.rng, design = bnn_rng_seed(3);
    size_t d = model == TANH ? 1 : 2;
    bnn_mlp_desc desc = { .sizes = { d, 1 }, .noise_std = 0.5f, .activation = BNN_TANH };
    *r = bnn_rng_stream(7, seed);
    o->model = model;
    if (model == TANH) desc.sizes[1] = 3, desc.sizes[2] = 1, desc.noise_std = 1;
    if (model == LOGISTIC) desc.likelihood = BNN_BERNOULLI;
    o->net = bnn_mlp(bnn_params_new(&o->mem), desc);
    for (size_t i = 0; i < ROWS; i++) {
        float a = bnn_rng_normal(&design), b = bnn_rng_normal(&design);
        o->x[d * i] = a;
        if (d == 2) o->x[2 * i + 1] = 0.8f * a + 0.6f * b; /* so that the weights correlate */
    }
    o->probe[0] = 1, o->probe[1] = -1;
    o->data = (bnn_data){ { ROWS, d, o->x }, { ROWS, 1, o->y } };
    if (o->mem.err) return 0;
    bnn_params_sample_prior(o->net.params, r);
    bnn_tape_reset(&o->tape);
    bnn_var *f = bnn_net_forward(&o->net, bnn_input(&o->tape, o->data.x));
    for (size_t i = 0; i < ROWS && !o->tape.err; i++) {
        float v = *bnn_mat_at(f->val, i, 0);
        o->y[i] = model == LOGISTIC ? bnn_rng_uniform(r) < 1 / (1 + expf(-v))
                                    : v + desc.noise_std * bnn_rng_normal(r);
    }
    return f_of(o);
}

static void train(world *o, bnn_stepper *s, bnn_meanfield *q, int steps, double lr0) {
    for (int k = 0; k < steps && !o->tape.err; k++) {
        if (lr0 > 0) s->lr = (float)bnn_lr_cosine(lr0, (size_t)k, (size_t)steps);
        bnn_tape_reset(&o->tape);
        if (s->kind < BNN_HMC) {
            if (q) bnn_meanfield_sample(q, &o->tape);
            bnn_batch b = bnn_batch_all(&o->tape, o->data);
            bnn_backward(q ? bnn_net_nll(&o->net, b) : bnn_net_loss(&o->net, b));
            if (q) bnn_meanfield_backward(q, &o->tape);
        }
        bnn_step(s, &o->tape);
    }
}

/* How many of the draws lie below the true value */
static int rank_of(world *o, int sampler, float truth) {
    bnn_params *w = o->net.params;
    bnn_stepper s = { 0 };
    bnn_meanfield q = { 0 };
    bnn_laplace la = { 0 };
    bnn_ensemble e = bnn_ensemble_new(w, DRAWS);
    int rank = 0, warm = 0, thin = 0;
    bnn_params_sample_prior(w, &o->tape.rng); /* a start that knows nothing */
    if (sampler == NUTS)
        s = bnn_nuts(w, (bnn_nuts_desc){ .net = &o->net, .data = o->data, .warmup = WARMUP });
    if (sampler == HMC)
        s = bnn_hmc(w, (bnn_hmc_desc){ .net = &o->net, .data = o->data, .warmup = WARMUP,
                                       .leapfrog = 10 });
    if (sampler == SGHMC) s = bnn_sghmc(w, (bnn_sghmc_desc){ .lr = 0.01f }), thin = 150;
    if (sampler == SGLD) s = bnn_sgld(w, (bnn_sgld_desc){ .lr = 0.015f }), thin = 500;
    if (sampler == NUTS || sampler == HMC) warm = WARMUP, thin = 5;
    if (sampler == SGHMC || sampler == SGLD) warm = 5 * thin;
    train(o, &s, NULL, warm, 0);
    if (sampler == MEANFIELD) {
        q = bnn_meanfield_new(w, (bnn_meanfield_desc){ .init_std = 0.3f });
        s = bnn_adam(q.params, (bnn_adam_desc){ 0 });
        train(o, &s, &q, 2000, 0.03);
        for (int k = 0; k < DRAWS; k++) bnn_meanfield_push(&q, &e, &o->tape.rng);
    }
    if (sampler == LAPLACE) {
        s = bnn_adam(w, (bnn_adam_desc){ 0 });
        train(o, &s, NULL, 1500, 0.05);
        la = bnn_laplace_new(&o->mem, &o->tape, &o->net, o->data, BNN_LAPLACE_FULL);
        for (int k = 0; k < DRAWS; k++) bnn_laplace_push(&la, &e, &o->tape.rng);
    }
    for (int k = 0; k < DRAWS && !o->mem.err && !o->tape.err; k++) {
        if (thin > 0) train(o, &s, NULL, thin, 0);
        else memcpy(w->theta, bnn_ensemble_sample(&e, (size_t)k).theta, w->n * sizeof *w->theta);
        w->draw = 0;
        rank += f_of(o) < truth;
    }
    return rank;
}

/* 0 = an error, or p is not what it must be: false alarms 1 in 1000 for each of twelve */
static int calibrate(int sampler, int model, int sets) {
    int count[BINS] = { 0 }, err = 0;
    int must_fail = sampler == MEANFIELD ? model == LINEAR : sampler == LAPLACE && model == TANH;
    double chi2 = 0, want = (double)sets / BINS, p;
    for (int k = 0; k < sets && !err; k++) {
        world o = { 0 };
        float truth = simulate(&o, model, (uint64_t)(k + 1000 * model));
        int rank = rank_of(&o, sampler, truth);
        count[rank * BINS / (DRAWS + 1)]++;
        err = o.tape.err ? o.tape.err : o.mem.err;
        if (err) fprintf(stderr, "sbc: %s\n", o.tape.err ? o.tape.msg : o.mem.msg);
        bnn_tape_free(&o.tape);
        bnn_arena_free(&o.mem);
    }
    if (err) return 0;
    for (int b = 0; b < BINS; b++) chi2 += pow(count[b] - want, 2) / want;
    p = bnn_gamma_q((BINS - 1) / 2.0, chi2 / 2);
    printf("%-9s %-8s ", samplers[sampler], models[model]);
    for (int b = 0; b < BINS; b++) printf("%5d", count[b]);
    printf("\nRESULT sbc sampler=%s model=%s chi2=%.2f p=%.2g\n", samplers[sampler], models[model],
           chi2, p);
    return must_fail ? p < 0.001 || sets < 80 : p > 0.001 || sampler >= MEANFIELD;
}

int main(int argc, char **argv) {
    int sets = argc > 1 ? (int)example_whole("sbc", "data sets", argv[1], 1, 1e6) : 80, good = 1;
    example_most("sbc", argc, argv, 1);
    for (int s = 0; s < SAMPLERS && good; s++)
        for (int m = 0; m < MODELS; m++) good = calibrate(s, m, sets) && good;
    return !good;
}
