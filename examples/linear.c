/* linear.c -- HMC on your own energy: linear regression with unknown noise, beside the truth.
 *     cc -O2 -I.. linear.c -lm && ./a.out
 * b ~ N(0, 10^2), sigma ~ half-normal(10), 100 data. The energy is written in ops; the exact
 * posterior means are a one-dimensional integral over sigma. You should see every mean within 4
 * Monte Carlo standard errors, and R-hat near 1. */
#define BNN_STATIC /* one file: what it does not call is not compiled */
#define BNN_IMPLEMENTATION
#include "bnn.h"
#include <math.h>
#include <stdio.h>

enum { N = 100, D = 5, CHAINS = 4, WARMUP = 300, DRAWS = 1000 };

static bnn_var *linear_energy(bnn_tape *t, void *user) { /* U(b, ln sigma), with its Jacobian */
    const bnn_net *net = user;
    const bnn_data *d = net->user;
    bnn_var *b = bnn_param(t, net->params, 0), *ls = bnn_param(t, net->params, 1);
    bnn_var *mean = bnn_matmul(bnn_input(t, d->x), b), *log_var = bnn_scale(ls, 2);
    bnn_var *u = bnn_sum(bnn_gaussian_nll(mean, bnn_input(t, d->y), log_var));
    bnn_var *prior = bnn_sub(bnn_scale(bnn_exp(log_var), 0.005f), ls); /* sigma^2/200 - ln sigma */
    return bnn_add(bnn_add(u, prior), bnn_prior_nll(t, net->params));
}

/* Posterior means by summing over sigma: given sigma all is Gaussian. out[D] is sigma's. */
static void integrate(bnn_arena *mem, bnn_data d, double *out) {
    bnn_mat xx = bnn_mat_new(mem, D, D), xy = bnn_mat_new(mem, D, 1);
    bnn_mat a = bnn_mat_new(mem, D, D), m = bnn_mat_new(mem, D, 1);
    double total = 0, peak = 0, yy = bnn_mat_dot(d.y, d.y);
    for (int k = 0; k <= D; k++) out[k] = 0;
    if (mem->err) return;
    bnn_mat_mul_tn(xx, d.x, d.x);
    bnn_mat_mul_tn(xy, d.x, d.y);
    for (int i = 0; i < 2000; i++) {
        double sigma = 0.3 + 2.0 * (i + 0.5) / 2000, beta = 1 / (sigma * sigma), lp;
        bnn_mat_scale(a, xx, (float)beta);
        for (size_t k = 0; k < D; k++) *bnn_mat_at(a, k, k) += 0.01f;
        bnn_mat_cholesky(a, a, NULL);
        bnn_mat_scale(m, xy, (float)beta);
        bnn_mat_solve_lower(m, a, m);
        double fit = bnn_mat_dot(m, m); /* beta^2 y'X A^-1 X'y */
        bnn_mat_solve_lower_t(m, a, m);
        lp = -N * log(sigma) - (beta * yy - fit) / 2 - bnn_mat_logdet_chol(a) / 2;
        lp -= sigma * sigma / 200;
        if (i == 0) peak = lp + N; /* any constant that keeps exp in range */
        lp = exp(lp - peak);
        total += lp;
        for (int k = 0; k < D; k++) out[k] += lp * (double)m.data[k];
        out[D] += lp * sigma;
    }
    for (int k = 0; k <= D; k++) out[k] /= total;
}

static void linear(bnn_arena *mem, bnn_tape *tape) {
    bnn_data d = { bnn_mat_new(mem, N, D), bnn_mat_new(mem, N, 1) };
    bnn_mat draws[D + 1];
    static const char *name[] = { "b0", "b1", "b2", "b3", "b4", "sigma" };
    double exact[D + 1], worst = 0;
    if (mem->err) return;
    for (size_t i = 0; i < N; i++)
        for (size_t k = 0; k < D; k++) {
            float v = k == 0 ? 1 : bnn_rng_normal(&tape->rng);
            *bnn_mat_at(d.x, i, k) = v;
            d.y.data[i] += ((float)k - 2) * v + (k == 0 ? 0.8f * bnn_rng_normal(&tape->rng) : 0);
        }
    bnn_params *w = bnn_params_new(mem);
    bnn_params_add(w, D, 1, "b", (bnn_prior){ .std = 10 });
    bnn_params_add(w, 1, 1, "ln sigma", (bnn_prior){ .kind = BNN_PRIOR_FLAT });
    bnn_net model = { .params = w, .user = &d };
    for (int k = 0; k <= D; k++) draws[k] = bnn_mat_new(mem, CHAINS, DRAWS);
    for (size_t c = 0; c < CHAINS && !mem->err && !tape->err; c++) {
        bnn_rng_fill_normal(&tape->rng, w->n, w->theta);
        bnn_stepper hmc = bnn_hmc(w, (bnn_hmc_desc){ .energy = linear_energy, .user = &model,
                                                     .leapfrog = 4, .warmup = WARMUP });
        for (size_t s = 0; s < WARMUP + DRAWS; s++) {
            bnn_tape_reset(tape);
            bnn_step(&hmc, tape);
            for (int k = 0; k <= D && s >= WARMUP; k++)
                *bnn_mat_at(draws[k], c, s - WARMUP) = k < D ? w->theta[k] : expf(w->theta[D]);
        }
    }
    if (mem->err || tape->err) return;
    integrate(mem, d, exact);
    printf("%d data, %d chains of %d draws\n", N, CHAINS, DRAWS);
    printf("            exact     hmc    mcse   R-hat\n");
    for (int k = 0; k <= D; k++) {
        double m = bnn_mat_sum(draws[k]) / (CHAINS * DRAWS), e = bnn_diag_mcse(mem, draws[k]);
        worst = fmax(worst, fabs(m - exact[k]) / e);
        printf("%-6s  %8.4f %8.4f  %.4f  %6.3f\n", name[k], exact[k], m, e,
               bnn_diag_rhat(mem, draws[k]));
    }
    printf("largest distance from the truth: %.1f standard errors\n", worst);
}

int main(void) {
    bnn_arena mem = { 0 };
    bnn_tape tape = { .rng = bnn_rng_seed(1) };
    linear(&mem, &tape);
    int err = tape.err ? tape.err : mem.err;
    if (err) fprintf(stderr, "linear: %s\n", tape.err ? tape.msg : mem.msg);
    bnn_tape_free(&tape);
    bnn_arena_free(&mem);
    return err != BNN_OK;
}
