/* sgld.c -- stochastic gradient Langevin dynamics on posteriors whose truth is known.
 *     cc -O2 -I.. sgld.c -lm && ./a.out
 * First the mixture of Welling and Teh (2011), 100 data, two modes: 8 chains visit both, and every
 * moment is within 4 standard errors of a grid. Then the price of a step that is never decreased:
 * on a Gaussian posterior the variance grows by a known factor, 1/(1 - lr/2) from the step and
 * more from minibatch noise; the measured factors agree within 4 standard errors. */
#define BNN_STATIC /* one file: what it does not call is not compiled */
#define BNN_IMPLEMENTATION
#include "bnn.h"
#include <math.h>
#include <stdio.h>

enum { N = 100, BATCH = 10, CHAINS = 8, BURN_IN = 2000, DRAWS = 80000, THIN = 10,
       KEEP = DRAWS / THIN, STATS = 6, LONG = 100000 };

/* x ~ N(a, 2)/2 + N(a + b, 2)/2,  a ~ N(0, 10), b ~ N(0, 1) */
static bnn_var *mixture_nll(bnn_tape *t, bnn_params *w, bnn_batch batch) {
    bnn_var *a = bnn_param(t, w, 0), *b = bnn_param(t, w, 1), *two[2];
    two[0] = bnn_scale(bnn_square(bnn_sub(batch.x, a)), -0.25f);
    two[1] = bnn_scale(bnn_square(bnn_sub(batch.x, bnn_add(a, b))), -0.25f);
    return bnn_neg(bnn_mean(bnn_logsumexp(bnn_concat(t, 2, two)))); /* up to a constant */
}

static void stats(double a, double b, double *s) {
    s[0] = a, s[1] = b, s[2] = a * a, s[3] = b * b, s[4] = a * b, s[5] = b > 0;
}

static void grid(const float *x, double *mean) {
    double total = 0, s[STATS], best = -1e300;
    enum { Q = 300 };
    static double lp[Q][Q];
    for (int i = 0; i < Q; i++)
        for (int j = 0; j < Q; j++) {
            double a = -2 + 5 * (i + 0.5) / Q, b = -4 + 8 * (j + 0.5) / Q;
            lp[i][j] = -a * a / 20 - b * b / 2;
            for (int k = 0; k < N; k++)
                lp[i][j] += log(exp(-pow(x[k] - a, 2) / 4) + exp(-pow(x[k] - a - b, 2) / 4));
            best = fmax(best, lp[i][j]);
        }
    for (int k = 0; k < STATS; k++) mean[k] = 0;
    for (int i = 0; i < Q; i++)
        for (int j = 0; j < Q; j++) {
            double p = exp(lp[i][j] - best);
            stats(-2 + 5 * (i + 0.5) / Q, -4 + 8 * (j + 0.5) / Q, s);
            total += p;
            for (int k = 0; k < STATS; k++) mean[k] += p * s[k];
        }
    for (int k = 0; k < STATS; k++) mean[k] /= total;
}

static void mixture(bnn_arena *mem, bnn_tape *tape) {
    static const char *name[STATS] = { "a", "b", "a^2", "b^2", "a b", "P(b>0)" };
    float x[N];
    double truth[STATS], s[STATS], worst = 0;
    bnn_mat draws[STATS];
    bnn_data data = { { N, 1, x }, { N, 1, x } };
    for (int k = 0; k < STATS; k++) draws[k] = bnn_mat_new(mem, CHAINS, KEEP);
    for (int i = 0; i < N; i++) /* drawn at a = 0, b = 1 */
        x[i] = (i % 2 ? 1.0f : 0) + sqrtf(2) * bnn_rng_normal(&tape->rng);
    grid(x, truth);
    bnn_params *w = bnn_params_new(mem);
    bnn_params_add(w, 1, 1, "a", (bnn_prior){ .std = sqrtf(10) });
    bnn_params_add(w, 1, 1, "b", (bnn_prior){ .std = 1 });
    for (int c = 0; c < CHAINS && !mem->err; c++) {
        bnn_stepper sgld = bnn_sgld(w, (bnn_sgld_desc){ .lr = 0.1f });
        bnn_params_sample_prior(w, &tape->rng);
        for (int k = 0; k < BURN_IN + DRAWS; k++) {
            bnn_tape_reset(tape);
            bnn_batch batch = bnn_minibatch(tape, data, BATCH);
            tape->n_data = batch.n_data;
            bnn_var *prior = bnn_scale(bnn_prior_nll(tape, w), 1.0f / N);
            bnn_backward(bnn_add(mixture_nll(tape, w, batch), prior));
            bnn_step(&sgld, tape);
            if (k < BURN_IN || k % THIN) continue;
            stats(w->theta[0], w->theta[1], s);
            for (int j = 0; j < STATS; j++)
                *bnn_mat_at(draws[j], c, (k - BURN_IN) / THIN) = (float)s[j];
        }
    }
    if (mem->err || tape->err) return;
    printf("           grid     sgld      mcse    ESS\n");
    for (int k = 0; k < STATS; k++) {
        double m = bnn_mat_sum(draws[k]) / (CHAINS * KEEP), e = bnn_diag_mcse(mem, draws[k]);
        printf("%-6s  %7.4f  %7.4f   %7.4f  %5.0f\n", name[k], truth[k], m, e,
               bnn_diag_ess(mem, draws[k]));
        worst = fmax(worst, fabs(m - truth[k]) / e);
    }
    printf("largest distance from the grid: %.1f standard errors\n", worst);
}

/* Posterior N(0, 1/N) of a mean. The variance of SGLD is 1/(1 - lr/2) times that; with n of N data
 * a step (1 + eps V/4)/(1 - lr/2), eps = 2 lr/N, V = N^2 (N-n)/(n (N-1)) of the summed gradient. */
static void constant_step(bnn_arena *mem, bnn_tape *tape) {
    const float rate[] = { 0.02f, 0.1f, 0.5f, 1.0f };
    bnn_mat x = bnn_mat_new(mem, N, 1), m = bnn_mat_new(mem, 1, 1), sd = bnn_mat_new(mem, 1, 1);
    bnn_mat draws = bnn_mat_new(mem, 1, LONG);
    bnn_params *w = bnn_params_new(mem);
    bnn_params_add(w, 1, 1, "mean", (bnn_prior){ .kind = BNN_PRIOR_FLAT });
    if (mem->err) return;
    bnn_rng_fill_normal(&tape->rng, N, x.data);
    bnn_mat_col_mean(m, x);
    bnn_mat_col_std(sd, x);
    for (int i = 0; i < N; i++) x.data[i] = (x.data[i] - m.data[0]) / sd.data[0];
    printf("\nvariance / truth    formula   sgld   error in s.e.\n");
    for (int k = 0; k < 8; k++) {
        double lr = (double)rate[k % 4], n = k < 4 ? N : BATCH;
        double v = N * (N - n) / (n * (N - 1.0)), factor = (1 + lr * v / 2) / (1 - lr / 2);
        bnn_stepper sgld = bnn_sgld(w, (bnn_sgld_desc){ .lr = rate[k % 4] });
        for (int s = -1000; s < LONG; s++) {
            bnn_tape_reset(tape);
            bnn_batch b = k < 4 ? bnn_batch_all(tape, (bnn_data){ x, x })
                                : bnn_minibatch(tape, (bnn_data){ x, x }, BATCH);
            tape->n_data = b.n_data;
            bnn_var *r = bnn_sub(b.x, bnn_param(tape, w, 0));
            bnn_backward(bnn_scale(bnn_mean(bnn_square(r)), 0.5f));
            bnn_step(&sgld, tape);
            if (s >= 0) draws.data[s] = w->theta[0] * w->theta[0] * N;
        }
        double got = bnn_mat_sum(draws) / LONG;
        printf("lr %.2f, %3.0f of %d  %7.3f %7.3f  %6.1f\n", lr, n, N, factor, got,
               (got - factor) / bnn_diag_mcse(mem, draws));
    }
}

int main(void) {
    bnn_arena mem = { 0 };
    bnn_tape tape = { .rng = bnn_rng_seed(5) };
    mixture(&mem, &tape);
    constant_step(&mem, &tape);
    int err = tape.err ? tape.err : mem.err;
    if (err) fprintf(stderr, "sgld: %s\n", tape.err ? tape.msg : mem.msg);
    bnn_tape_free(&tape);
    bnn_arena_free(&mem);
    return err != BNN_OK;
}
