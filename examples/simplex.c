/* simplex.c -- distributions on the triangle: Gumbel-softmax, Dirichlet, logit-normal.
 *     cc -O2 -I.. simplex.c -lm && ./a.out [folder for pictures]
 * Frequencies of the corners, the distance to the center and the rate at which it falls, density at
 * the center. With a folder: PPM pictures of the log densities, and data files for gnuplot: the
 * rate, and the share of draws within .01 of each corner, which no picture of a density shows. You
 * should see the corners keep their odds at every temperature, the mean squared distance fall as
 * 1/tau^2, and, in the pictures, only the Dirichlet near uniform at a temperature of 0.995. */
#define BNN_STATIC /* one file: what it does not call is not compiled */
#define BNN_IMPLEMENTATION
#include "bnn.h"
#include "example.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { DRAWS = 100000, SIDE = 300 };

typedef struct { const char *name; int kind; float tau, s[3]; } picture; /* 0 GS, 1 Dir, 2 LN */

static bnn_var *row(bnn_tape *t, size_t n, const float *s, int logs) {
    bnn_var *x = bnn_op(t, n, 3, NULL, 0, NULL);
    for (size_t i = 0; i < 3 * n && x->val.data; i++)
        x->val.data[i] = logs ? logf(s[i % 3]) : s[i % 3];
    return x;
}

static bnn_var *density(const picture *p, bnn_var *log_x) {
    bnn_tape *t = log_x->tape;
    float a[3] = { p->tau * p->s[0], p->tau * p->s[1], p->tau * p->s[2] };
    float zero[3] = { 0 }, sd[3] = { sqrtf(p->tau), sqrtf(p->tau * .5f), sqrtf(p->tau * .7f) };
    if (p->kind == 0) return bnn_concrete_log_prob(log_x, row(t, 1, p->s, 1), p->tau);
    if (p->kind == 1) return bnn_dirichlet_log_prob(log_x, row(t, 1, a, 0));
    return bnn_logit_normal_log_prob(log_x, row(t, 1, zero, 0), row(t, 1, sd, 0));
}

static FILE *open_in(const char *path) { /* or the program ends */
    FILE *f = fopen(path, "wb");
    if (f) return f;
    example_lost("simplex", path);
    exit(1);
}

/* The triangle as an image: corner 1 left, corner 2 right, corner 3 on top. Dark to bright is the
 * log density from 4 nats below to 4 nats above the uniform one, whose density is 2. */
static void paint(const char *folder, const picture *p, bnn_tape *t) {
    static const int ramp[5][3] = { { 25, 20, 60 }, { 80, 30, 120 }, { 190, 60, 100 },
                                    { 245, 150, 60 }, { 252, 250, 190 } };
    char path[512];
    snprintf(path, sizeof path, "%s/%s.ppm", folder, p->name);
    FILE *f = open_in(path);
    fprintf(f, "P6 %d %d 255\n", SIDE, SIDE * 13 / 15);
    for (int i = 0; i < SIDE * 13 / 15; i++) {
        float inside[SIDE];
        bnn_tape_reset(t);
        bnn_var *x = bnn_op(t, SIDE, 3, NULL, 0, NULL);
        for (int j = 0; j < SIDE; j++) {
            double top = 1 - (i + .5) / (SIDE * 13. / 15), right = (j + .5) / SIDE - top / 2;
            double v[3] = { 1 - right - top, right, top };
            inside[j] = v[0] > 0 && v[1] > 0;
            for (int k = 0; k < 3; k++)
                x->val.data[j * 3 + k] = (float)log(inside[j] ? v[k] : 1. / 3);
        }
        bnn_var *d = density(p, x);
        for (int j = 0; j < SIDE && !t->err; j++) {
            double v = (d->val.data[j] - log(2) + 4) / 2;
            v = v < 0 ? 0 : v > 3.999 ? 3.999 : v;
            int at = (int)v;
            for (int c = 0; c < 3; c++)
                fputc(!inside[j] ? 255 : (int)(ramp[at][c] + (v - at) * (ramp[at + 1][c] -
                                                                          ramp[at][c])), f);
        }
    }
    example_close("simplex", path, f);
}

/* The share of draws within .01 of each corner, in percent, and where it is on the picture */
static void corners(FILE *f, const picture *p, bnn_rng rng) {
    static const float at[3][2] = { { 0, 0 }, { SIDE - 1, 0 }, { SIDE / 2, SIDE * 13 / 15 - 1 } };
    bnn_tape t = { .rng = rng };
    float a[3] = { p->tau * p->s[0], p->tau * p->s[1], p->tau * p->s[2] }, zero[3] = { 0 };
    float sd[3] = { sqrtf(p->tau), sqrtf(p->tau * .5f), sqrtf(p->tau * .7f) };
    bnn_var *y = p->kind == 0   ? bnn_gumbel_softmax(row(&t, DRAWS, p->s, 1), p->tau)
                 : p->kind == 1 ? bnn_dirichlet(row(&t, DRAWS, a, 0))
                                : bnn_logit_normal(row(&t, DRAWS, zero, 0), row(&t, 1, sd, 0));
    for (size_t k = 0; k < 3 && !t.err; k++) {
        double near = 0;
        for (size_t i = 0; i < DRAWS; i++) near += y->val.data[3 * i + k] > .99f;
        fprintf(f, "%s %zu %g %g %.2f\n", p->name, k, at[k][0], at[k][1], 100 * near / DRAWS);
    }
    bnn_tape_free(&t);
}

int main(int argc, char **argv) {
    static const picture pictures[] = {
        { "gumbel-0.1", 0, .1f, { 1, 1, 1 } },    { "gumbel-0.995", 0, .995f, { 1, 1, 1 } },
        { "gumbel-5", 0, 5, { 1, 1, 1 } },        { "gumbel-20", 0, 20, { 1, 1, 1 } },
        { "shifted-0.1", 0, .1f, { 10, .1f, .1f } },
        { "shifted-0.995", 0, .995f, { 10, .1f, .1f } },
        { "shifted-5", 0, 5, { 10, .1f, .1f } },  { "shifted-20", 0, 20, { 10, .1f, .1f } },
        { "dirichlet-0.1", 1, .1f, { 1, 1, 1 } }, { "dirichlet-0.995", 1, .995f, { 1, 1, 1 } },
        { "dirichlet-5", 1, 5, { 1, 1, 1 } },     { "dirichlet-20", 1, 20, { 1, 1, 1 } },
        { "logit-normal-1", 2, 1, { 1, 1, 1 } },  { "logit-normal-2", 2, 2, { 1, 1, 1 } },
        { "logit-normal-3", 2, 3, { 1, 1, 1 } },  { "logit-normal-4", 2, 4, { 1, 1, 1 } },
    };
    static const float taus[] = { .01f, .1f, .3f, .995f, 2, 5, 10, 20, 50, 100 };
    static const float s[3] = { 2, 1, 1 }, center[3] = { 1 / 3.f, 1 / 3.f, 1 / 3.f };
    const char *folder = argc > 1 ? argv[1] : NULL;
    example_most("simplex", argc, argv, 1);
    bnn_tape tape = { .rng = bnn_rng_seed(1) };
    FILE *out = NULL;
    char rate_path[512] = "";
    double m = log(2) / 3, spread = (log(2) - m) * (log(2) - m) + 2 * m * m, last = 0;
    double limit = (2 * 9.8696044 / 6 + spread) / 9;
    if (folder) {
        char path[512];
        snprintf(path, sizeof path, "%s/corners.dat", folder);
        FILE *shares = open_in(path);
        for (size_t i = 0; i < sizeof pictures / sizeof pictures[0]; i++) {
            paint(folder, &pictures[i], &tape);
            corners(shares, &pictures[i], bnn_rng_stream(1, 1 + i));
        }
        example_close("simplex", path, shares);
        snprintf(rate_path, sizeof rate_path, "%s/center.dat", folder);
        out = open_in(rate_path);
    }
    printf("Gumbel-softmax, weights 2 1 1                    |  Dirichlet of tau (2 1 1)\n"
           "   tau    corner 1  max>.99  E|y-1/3|^2  x tau^2  |  corner 1  max>.99  E|y-1/3|^2\n");
    for (int c = 0; c < 10; c++) {
        double first[2] = { 0 }, vertex[2] = { 0 }, far[2] = { 0 };
        for (int k = 0; k < 2; k++) {
            float a[3] = { taus[c] * 2, taus[c], taus[c] };
            bnn_tape_reset(&tape);
            bnn_var *y = k ? bnn_dirichlet(row(&tape, DRAWS, a, 0))
                           : bnn_gumbel_softmax(row(&tape, DRAWS, s, 1), taus[c]);
            for (size_t i = 0; i < DRAWS && !tape.err; i++) {
                const float *x = y->val.data + 3 * i;
                size_t best = bnn_mat_row_argmax(y->val, i);
                first[k] += best == 0;
                vertex[k] += x[best] > .99f;
                for (int j = 0; j < 3; j++) far[k] += (x[j] - 1. / 3) * (x[j] - 1. / 3);
            }
            first[k] /= DRAWS, vertex[k] /= DRAWS, far[k] /= DRAWS;
        }
        last = far[0] * taus[c] * taus[c];
        printf("%7.3f   %.3f     %.3f    %.6f   %8.5f |  %.3f     %.3f    %.6f\n", taus[c],
               first[0], vertex[0], far[0], last, first[1], vertex[1], far[1]);
        if (out) fprintf(out, "%g %g %g %g\n", taus[c], far[0], limit / taus[c] / taus[c], far[1]);
    }
    bnn_tape_reset(&tape);
    bnn_var *x = row(&tape, 1, center, 1);
    printf("\nln density at the center (uniform: 0.693)\n");
    for (size_t i = 0; i < sizeof pictures / sizeof pictures[0]; i++)
        printf("%s%-16s %7.3f", i % 4 ? "   " : "\n", pictures[i].name,
               bnn_value(density(&pictures[i], x)));
    printf("\n\nRESULT simplex rate_measured=%.5f rate_predicted=%.5f\n", last, limit);
    example_close("simplex", rate_path, out);
    if (tape.err) fprintf(stderr, "simplex: %s\n", tape.msg);
    int failed = tape.err || example_failed;
    bnn_tape_free(&tape);
    return failed;
}
