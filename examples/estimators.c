/* estimators.c -- two unbiased gradients of E f(t) under t ~ N(m, s^2), and how noisy they are.
 *     cc -O2 -I.. estimators.c -lm && ./a.out
 * f(t) = -(x - t)^2. The path gradient differentiates through t = m + s eps (a VAE's way); the
 * score gradient multiplies f by the gradient of ln q (REINFORCE). You should see equal means and,
 * side by side, variances that match their closed forms: the score's are larger everywhere and grow
 * without bound as s goes to zero or f moves away from zero. Where there is a folder build/:
 * estimators.dat. */
#define BNN_STATIC /* one file: what it does not call is not compiled */
#define BNN_IMPLEMENTATION
#include "bnn.h"
#include "example.h"
#include <math.h>
#include <stdio.h>

enum { N = 100000 };

typedef struct estimate {
    double mean[4], variance[4]; /* path m, path s, score m, score s */
} estimate;

/* N draws; one gradient of each kind from every draw. m = 0, so x = d is the distance x - m. */
static estimate measure(bnn_tape *tape, bnn_mat zero, bnn_mat sd, double d, double s) {
    estimate e = { { 0 }, { 0 } };
    bnn_tape_reset(tape);
    bnn_mat_fill(sd, (float)s);
    bnn_var *m = bnn_leaf(tape, zero), *sigma = bnn_leaf(tape, sd);
    bnn_var *t = bnn_normal(m, sigma);
    bnn_var *f = bnn_neg(bnn_square(bnn_shift(t, (float)-d)));
    bnn_backward(bnn_sum(f));
    for (size_t i = 0; !tape->err && i < N; i++) {
        double eps = (double)t->val.data[i] / s, value = (double)f->val.data[i];
        double g[4] = { (double)m->grad.data[i], (double)sigma->grad.data[i], value * eps / s,
                        value * (eps * eps - 1) / s };
        for (int j = 0; j < 4; j++) {
            e.mean[j] += g[j] / N;
            e.variance[j] += g[j] * g[j] / N;
        }
    }
    for (int j = 0; j < 4; j++) e.variance[j] -= e.mean[j] * e.mean[j];
    return e;
}

static void closed_form(double d, double s, double *variance) {
    double d2 = d * d, s2 = s * s;
    variance[0] = 4 * s2;
    variance[1] = 4 * d2 + 8 * s2;
    variance[2] = d2 * d2 / s2 + 14 * d2 + 15 * s2;
    variance[3] = 2 * d2 * d2 / s2 + 60 * d2 + 74 * s2;
}

int main(void) {
    bnn_arena mem = { 0 };
    bnn_tape tape = { .rng = bnn_rng_seed(1) };
    bnn_mat zero = bnn_mat_new(&mem, N, 1), sd = bnn_mat_new(&mem, N, 1);
    FILE *f = example_open("estimators", "build/estimators.dat");
    const double at[4][2] = { { 1, 0.1 }, { 1, 0.5 }, { 1, 2 }, { 3, 0.5 } };
    double v[4];

    printf("mean of %d draws (expected)          one-draw variance, measured (closed form)\n", N);
    printf("x-m    s      path m     score m         path m              score m         ratio\n");
    for (int i = 0; i < 4 && !mem.err; i++) {
        double d = at[i][0], s = at[i][1];
        estimate e = measure(&tape, zero, sd, d, s);
        closed_form(d, s, v);
        printf("%3g  %4g   %6.3f  %10.3f (%g)   %8.3f (%8.3f) %9.1f (%9.1f)  %6.0f\n", d, s,
               e.mean[0], e.mean[2], 2 * d, e.variance[0], v[0], e.variance[2], v[2], v[2] / v[0]);
    }
    printf("\nx-m    s      path s     score s         path s              score s"
           "         ratio\n");
    for (int i = 0; i < 4 && !mem.err; i++) {
        double d = at[i][0], s = at[i][1];
        estimate e = measure(&tape, zero, sd, d, s);
        closed_form(d, s, v);
        printf("%3g  %4g   %6.3f  %10.3f (%g)   %8.3f (%8.3f) %9.1f (%9.1f)  %6.0f\n", d, s,
               e.mean[1], e.mean[3], -2 * s, e.variance[1], v[1], e.variance[3], v[3], v[3] / v[1]);
    }
    for (double s = 0.05; f && s < 5 && !mem.err; s *= 1.3) { /* the picture: x - m = 1 */
        estimate e = measure(&tape, zero, sd, 1, s);
        closed_form(1, s, v);
        fprintf(f, "%g", s);
        for (int j = 0; j < 4; j++) fprintf(f, " %g %g", e.variance[j], v[j]);
        fputc('\n', f);
    }
    example_close("estimators", "build/estimators.dat", f);
    if (tape.err || mem.err) fprintf(stderr, "estimators: %s\n", tape.err ? tape.msg : mem.msg);
    int failed = tape.err || mem.err || example_failed;
    bnn_tape_free(&tape);
    bnn_arena_free(&mem);
    return failed;
}
