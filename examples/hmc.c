/* hmc.c -- Hamiltonian Monte Carlo on a network whose posterior can be integrated.
 *     cc -O2 -I.. hmc.c -lm && ./a.out
 * y = v tanh(w x) has two mirror modes, (w, v) and (-w, -v). You should see predictions that agree
 * with a 400 x 400 grid and between chains (R-hat near 1), while the weight w does not (R-hat far
 * above 1): no chain finds the other mode, and none has to, for both predict the same. */
#define BNN_STATIC /* one file: what it does not call is not compiled */
#define BNN_IMPLEMENTATION
#include "bnn.h"
#include <math.h>
#include <stdio.h>

enum { N = 12, CHAINS = 4, WARMUP = 300, DRAWS = 1000, Q = 400, K = 4 };
static const float at[K] = { 0.5f, 1, 2, 4 };

static bnn_var *two_weights(bnn_tape *t, const bnn_net *net, bnn_var *x) {
    bnn_var *hidden = bnn_tanh(bnn_mul(bnn_param(t, net->params, 0), x));
    return bnn_mul(bnn_param(t, net->params, 1), hidden);
}

/* draws[k] (chains, draws) of f(at[k]), the last of w. Returns the mean acceptance probability. */
static double run(bnn_arena *mem, bnn_tape *tape, const bnn_net *net, bnn_data d, bnn_mat *draws) {
    bnn_params *w = net->params;
    double accept = 0;
    for (int k = 0; k <= K; k++) draws[k] = bnn_mat_new(mem, CHAINS, DRAWS);
    for (size_t c = 0; c < CHAINS && !mem->err && !tape->err; c++) {
        bnn_params_sample_prior(w, &tape->rng); /* starts far apart */
        bnn_stepper hmc = bnn_hmc(w, (bnn_hmc_desc){ .net = net, .data = d, .leapfrog = 10,
                                                     .warmup = WARMUP });
        for (size_t s = 0; s < WARMUP + DRAWS; s++) {
            bnn_tape_reset(tape);
            bnn_step(&hmc, tape);
            for (int k = 0; k <= K && s >= WARMUP; k++) {
                float v = k < K ? w->theta[1] * tanhf(w->theta[0] * at[k]) : w->theta[0];
                *bnn_mat_at(draws[k], c, s - WARMUP) = v;
            }
        }
        accept += hmc.hmc ? hmc.hmc->accept_sum / DRAWS / CHAINS : 0;
    }
    return accept;
}

/* Mean and variance of f(at[k]) by brute force over +-7 prior standard deviations */
static void quadrature(bnn_data d, double *mean, double *var) {
    double total = 0, s1[K] = { 0 }, s2[K] = { 0 };
    for (int i = 0; i < Q * Q; i++) {
        double w = -7 + 14 * (i / Q + 0.5) / Q, v = -7 + 14 * (i % Q + 0.5) / Q, p;
        double u = (w * w + v * v) / 2;
        for (int j = 0; j < N; j++)
            u += pow((d.y.data[j] - v * tanh(w * d.x.data[j])) / 0.3, 2) / 2;
        total += p = exp(-u);
        for (int k = 0; k < K; k++) {
            double f = v * tanh(w * at[k]);
            s1[k] += p * f;
            s2[k] += p * f * f;
        }
    }
    for (int k = 0; k < K; k++) mean[k] = s1[k] / total, var[k] = s2[k] / total - pow(mean[k], 2);
}

static void network(bnn_arena *mem, bnn_tape *tape) {
    float x[N], y[N];
    double mean[K], var[K], accept;
    bnn_mat draws[K + 1];
    for (int i = 0; i < N; i++) {
        x[i] = 4 * bnn_rng_uniform(&tape->rng) - 2;
        y[i] = 1.5f * tanhf(0.8f * x[i]) + 0.3f * bnn_rng_normal(&tape->rng);
    }
    bnn_params *w = bnn_params_new(mem);
    bnn_params_add(w, 1, 1, "w", (bnn_prior){ 0 }); /* N(0,1) */
    bnn_params_add(w, 1, 1, "v", (bnn_prior){ 0 });
    bnn_net net = { .params = w, .forward = two_weights, .noise_std = 0.3f };
    bnn_data d = { { N, 1, x }, { N, 1, y } };
    accept = run(mem, tape, &net, d, draws);
    if (mem->err || tape->err) return;
    quadrature(d, mean, var);
    printf("y = v tanh(w x), %d chains of %d draws, mean acceptance %.2f\n", CHAINS, DRAWS, accept);
    printf("           grid mean     sd   hmc mean     sd    mcse   R-hat    ESS\n");
    for (int k = 0; k <= K; k++) {
        double m = bnn_mat_sum(draws[k]) / (CHAINS * DRAWS);
        double v = bnn_mat_dot(draws[k], draws[k]) / (CHAINS * DRAWS) - m * m;
        if (k < K) printf("f(%.1f)     %9.4f  %.3f  ", at[k], mean[k], sqrt(var[k]));
        else printf("weight w   %9.4f         ", 0.0);
        printf("%9.4f  %.3f  %.4f  %6.3f  %5.0f\n", m, sqrt(v), bnn_diag_mcse(mem, draws[k]),
               bnn_diag_rhat(mem, draws[k]), bnn_diag_ess(mem, draws[k]));
    }
}

int main(void) {
    bnn_arena mem = { 0 };
    bnn_tape tape = { .rng = bnn_rng_seed(1) };
    network(&mem, &tape);
    int err = tape.err ? tape.err : mem.err;
    if (err) fprintf(stderr, "hmc: %s\n", tape.err ? tape.msg : mem.msg);
    bnn_tape_free(&tape);
    bnn_arena_free(&mem);
    return err != BNN_OK;
}
