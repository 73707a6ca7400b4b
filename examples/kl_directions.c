/* kl_directions.c -- which way to measure: KL(p||q) covers, KL(q||p) seeks (Bishop 2006, 10.1).
 *     cc -O2 -I.. kl_directions.c -lm && ./a.out
 * One Gaussian q is fitted to p = (N(-2, .36) + N(2.5, 1))/2 in both directions, the integrals by
 * a grid. Forward: mean .25 and variance 5.7425, the moments of p. Reverse: one optimum near each
 * mode and a broad one, by the start. Then the same for classes: a student of too small a class
 * with both losses. Curves go to build/kl_directions.dat where there is a folder build/. */
#define BNN_STATIC /* one file: what it does not call is not compiled */
#define BNN_IMPLEMENTATION
#include "bnn.h"
#include "example.h"
#include <math.h>
#include <stdio.h>

enum { G = 1601, FITS = 4 };

static double normal(double x, double m, double v) {
    return exp(-(x - m) * (x - m) / (2 * v)) / sqrt(8 * atan(1) * v);
}

/* The integrand on the grid, ln q as a node: p (ln p - ln q), or q (ln q - ln p) */
static bnn_var *divergence(bnn_tape *t, bnn_params *w, bnn_mat x, bnn_mat p, bnn_mat lp,
                           int reverse) {
    bnn_var *q = bnn_param(t, w, 0), *m = bnn_cols(q, 0, 1), *a = bnn_cols(q, 1, 1); /* a = ln sd */
    bnn_var *r = bnn_mul(bnn_sub(bnn_input(t, x), m), bnn_exp(bnn_neg(a)));
    bnn_var *lq = bnn_sub(bnn_scale(bnn_square(r), -0.5f), bnn_shift(a, 0.9189385f));
    bnn_var *d = bnn_sub(bnn_input(t, lp), lq);
    d = reverse ? bnn_mul(bnn_exp(lq), bnn_neg(d)) : bnn_mul(bnn_input(t, p), d);
    return bnn_scale(bnn_sum(d), x.data[1] - x.data[0]);
}

/* A linear student cannot do what its teacher does: 3 points on a line, the middle one apart */
static void classes(bnn_arena *mem, bnn_tape *tape) {
    float x[3] = { -1, 0, 1 }, p[6] = { 0.95f, 0.05f, 0.1f, 0.9f, 0.9f, 0.1f };
    for (int reverse = 0; reverse < 2; reverse++) {
        bnn_params *w = bnn_params_new(mem);
        bnn_net net = bnn_mlp(w, (bnn_mlp_desc){ .sizes = { 1, 2 },
                                                 .likelihood = BNN_CATEGORICAL });
        bnn_stepper adam = bnn_adam(w, (bnn_adam_desc){ .lr = 0.02f });
        float loss = 0;
        for (int k = 0; k < 3000; k++) {
            bnn_tape_reset(tape);
            bnn_var *z = bnn_net_forward(&net, bnn_input(tape, (bnn_mat){ 3, 1, x }));
            bnn_var *l = bnn_mean(bnn_kl_target(z, bnn_input(tape, (bnn_mat){ 3, 2, p }), reverse));
            loss = bnn_value(l);
            bnn_backward(l);
            bnn_step(&adam, tape);
        }
        bnn_mat f = bnn_predict(mem, tape, &net, NULL, (bnn_mat){ 3, 1, x }).mean;
        printf("%s KL %.4f: student's p(class 0) %.3f %.3f %.3f, teacher's %.2f %.2f %.2f\n",
               reverse ? "reverse" : "forward", (double)loss, (double)f.data[0], (double)f.data[2],
               (double)f.data[4], (double)p[0], (double)p[2], (double)p[4]);
    }
}

int main(void) {
    static const double start[FITS][2] = { { 0, 0.5 }, { -2, -0.3 }, { 2.5, -0.3 }, { 1, 1 } };
    static const char *name[FITS] = { "forward", "reverse_left", "reverse_right", "reverse_broad" };
    bnn_arena mem = { 0 };
    bnn_tape tape = { .rng = bnn_rng_seed(1) };
    bnn_mat x = bnn_mat_new(&mem, G, 1), p = bnn_mat_new(&mem, G, 1), lp = bnn_mat_new(&mem, G, 1);
    double fit[FITS][2];
    for (size_t i = 0; i < G; i++) {
        double at = -10 + 20.0 * (double)i / (G - 1);
        double v = (normal(at, -2, 0.36) + normal(at, 2.5, 1)) / 2;
        x.data[i] = (float)at, p.data[i] = (float)v, lp.data[i] = (float)log(v);
    }
    for (int f = 0; f < FITS; f++) {
        bnn_params *w = bnn_params_new(&mem);
        bnn_params_add(w, 1, 2, "mean, ln sd", (bnn_prior){ .kind = BNN_PRIOR_FLAT });
        w->theta[0] = (float)start[f][0], w->theta[1] = (float)start[f][1];
        bnn_stepper adam = bnn_adam(w, (bnn_adam_desc){ .lr = 0.02f });
        float kl = 0;
        for (size_t k = 0; k < 1500; k++) {
            bnn_tape_reset(&tape);
            adam.lr = (float)bnn_lr_cosine(0.02, k, 1500);
            bnn_var *loss = divergence(&tape, w, x, p, lp, f > 0);
            kl = bnn_value(loss);
            bnn_backward(loss);
            bnn_step(&adam, &tape);
        }
        fit[f][0] = (double)w->theta[0], fit[f][1] = exp(2 * (double)w->theta[1]);
        printf("RESULT kl_directions fit=%s mean=%.4f variance=%.4f kl=%.4f\n", name[f], fit[f][0],
               fit[f][1], (double)kl);
    }
    classes(&mem, &tape);
    FILE *dat = example_open("kl_directions", "build/kl_directions.dat");
    for (size_t i = 0; dat && i < G; i += 4) {
        fprintf(dat, "%g %g", (double)x.data[i], (double)p.data[i]);
        for (int f = 0; f < FITS; f++)
            fprintf(dat, " %g", normal((double)x.data[i], fit[f][0], fit[f][1]));
        fprintf(dat, "\n");
    }
    example_close("kl_directions", "build/kl_directions.dat", dat);
    if (tape.err || mem.err) fprintf(stderr, "kl_directions: %s\n", tape.err ? tape.msg : mem.msg);
    int failed = tape.err || mem.err || example_failed;
    bnn_tape_free(&tape);
    bnn_arena_free(&mem);
    return failed;
}
