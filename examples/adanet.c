/* adanet.c -- boosting with networks: add a weak learner, of the same depth or one deeper.
 *     cc -O2 -I.. adanet.c -lm && ./a.out
 * Two moons, labels +-1. Every round trains two candidates on the weighted data: a tanh network as
 * deep as the deepest so far and one deeper; the better one enters with the step that minimizes
 *     F = mean Phi(1 - y f) + penalty of the steps,   Phi(u) = ln(1 + e^u),
 * if F falls; the penalty of a learner is lambda r + b, r the Rademacher bound of its last layer.
 * You should see F fall every round, and fewer and shallower learners for a larger lambda. */
#define BNN_IMPLEMENTATION
#include "bnn.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { N = 200, ROUNDS = 12, STEPS = 100, UNITS = 2, DEEPEST = 3 };
static const double RADIUS = 1; /* bound on the norm of a learner's last weights */

static double phi(double u) { return u > 30 ? u : log1p(exp(u)); }

static bnn_data moons(bnn_arena *mem, bnn_rng *rng) {
    bnn_data d = { bnn_mat_new(mem, N, 2), bnn_mat_new(mem, N, 1) };
    for (int i = 0; i < N; i++) {
        float a = 3.14159265f * bnn_rng_uniform(rng);
        d.x.data[2 * i] = (i % 2 ? 1 - cosf(a) : cosf(a)) + .25f * bnn_rng_normal(rng);
        d.x.data[2 * i + 1] = (i % 2 ? .5f - sinf(a) : sinf(a)) + .25f * bnn_rng_normal(rng);
        d.y.data[i] = i % 2 ? 1 : -1;
    }
    return d;
}

typedef struct { bnn_net net; bnn_data data; const double *f; } booster;

/* mean Phi(1 - y (f + h)), the learner h = tanh network, its last weights inside the ball */
static bnn_var *objective(bnn_tape *t, const booster *b) {
    bnn_var *h = b->net.forward(t, &b->net, bnn_input(t, b->data.x)), *y = bnn_input(t, b->data.y);
    bnn_var *f = bnn_op(t, b->data.x.rows, 1, NULL, 0, NULL);
    for (size_t i = 0; i < b->data.x.rows && f->val.data; i++) f->val.data[i] = (float)b->f[i];
    return bnn_mean(bnn_softplus(bnn_shift(bnn_neg(bnn_mul(y, bnn_add(f, h))), 1)));
}

/* Trains a learner of this depth; c = its values; returns the Rademacher bound (B/n) sqrt(sum
 * |z|^2) of its last layer over the values z that enter it. */
static double learner(bnn_tape *t, booster *b, int depth, uint64_t seed, double *c) {
    bnn_arena mem = { 0 };
    bnn_params *w = bnn_params_new(&mem);
    bnn_mlp_desc d = { .activation = BNN_TANH, .seed = seed, .no_bias = 0 };
    d.sizes[0] = 2;
    for (int l = 1; l <= depth; l++) d.sizes[l] = UNITS;
    d.sizes[depth + 1] = 1;
    b->net = bnn_mlp(w, d);
    bnn_stepper adam = bnn_adam(w, (bnn_adam_desc){ .lr = .05f });
    bnn_mat last = bnn_params_mat(w, w->n_blocks - 2);
    for (int s = 0; s < STEPS; s++) {
        double norm = 0;
        bnn_tape_reset(t);
        bnn_backward(objective(t, b));
        bnn_step(&adam, t);
        for (size_t i = 0; i < UNITS; i++) norm += pow(last.data[i], 2);
        if (sqrt(norm) > RADIUS) bnn_mat_scale(last, last, (float)(RADIUS / sqrt(norm)));
    }
    bnn_tape_reset(t);
    bnn_var *h = b->net.forward(t, &b->net, bnn_input(t, b->data.x));
    for (size_t i = 0; i < b->data.x.rows && h->val.data; i++) c[i] = h->val.data[i];
    bnn_arena_free(&mem);
    /* tanh values: |z|^2 <= UNITS; deeper classes multiply by 2 RADIUS per layer (Cortes et al.) */
    return RADIUS / N * sqrt((double)N * UNITS) * pow(2 * RADIUS, depth - 1);
}

static double value(const bnn_data *d, const double *f, const double *c, double step) {
    double s = 0;
    for (size_t i = 0; i < N; i++) s += phi(1 - d->y.data[i] * (f[i] + step * c[i])) / N;
    return s;
}

/* The step that minimizes value + penalty |step|: golden section on each side; 0 if within it */
static double best_step(const bnn_data *d, const double *f, const double *c, double penalty) {
    double best = 0, low = value(d, f, c, 0), g = .6180339887;
    for (int side = -1; side <= 1; side += 2) {
        double a = 0, b = 4;
        while (b - a > 1e-6) {
            double p = b - g * (b - a), q = a + g * (b - a);
            double at_p = value(d, f, c, side * p) + penalty * p;
            if (at_p < value(d, f, c, side * q) + penalty * q) b = q;
            else a = p;
        }
        if (value(d, f, c, side * a) + penalty * a < low - 1e-9)
            low = value(d, f, c, side * a) + penalty * a, best = side * a;
    }
    return best;
}

int main(void) {
    static const double lambdas[3] = { 0, 0.03, 0.2 };
    bnn_arena mem = { 0 };
    bnn_tape t = { .rng = bnn_rng_seed(1) };
    bnn_data train = moons(&mem, &t.rng);
    double random = 0;
    for (int s = 0; s < 2000; s++) { /* the bound on a linear class, against random signs */
        double v[2] = { 0, 0 };
        for (int i = 0; i < N; i++)
            for (int j = 0; j < 2; j++)
                v[j] += (bnn_rng_u32(&t.rng) & 1 ? 1 : -1) * train.x.data[2 * i + j];
        random += RADIUS / N * sqrt(v[0] * v[0] + v[1] * v[1]) / 2000;
    }
    printf("Rademacher complexity of |w| <= 1 by random signs %.4f, bound %.4f\n", random,
           RADIUS / N * sqrt(bnn_mat_dot(train.x, train.x)));
    for (int l = 0; l < 3; l++) {
        double f[N] = { 0 }, penalty = 0, before = value(&train, f, f, 0), wrong = 0;
        int deepest = 1, depths[ROUNDS], rounds = 0, falls = 1;
        printf("\nlambda %g\nround   depth    step        F\n", lambdas[l]);
        for (; rounds < ROUNDS; rounds++) {
            double c[2][N], step[2], total[2], price[2];
            int better;
            for (int k = 0; k < 2; k++) {
                int depth = deepest + k > DEEPEST ? DEEPEST : deepest + k;
                booster b = { .data = train, .f = f };
                price[k] = lambdas[l] * learner(&t, &b, depth, (uint64_t)(100 * l + 2 * rounds + k),
                                                c[k]) + 1e-4;
                step[k] = best_step(&train, f, c[k], price[k]);
                total[k] = value(&train, f, c[k], step[k]) + penalty + price[k] * fabs(step[k]);
            }
            better = total[1] < total[0];
            if (!(total[better] < before - 1e-4) || t.err) break;
            falls &= total[better] < before;
            for (int i = 0; i < N; i++) f[i] += step[better] * c[better][i];
            penalty += price[better] * fabs(step[better]);
            before = total[better];
            depths[rounds] = deepest + better > DEEPEST ? DEEPEST : deepest + better;
            deepest = depths[rounds] > deepest ? depths[rounds] : deepest;
            printf("%5d %7d %7.3f %8.4f\n", rounds + 1, depths[rounds], step[better], before);
        }
        for (int i = 0; i < N; i++) wrong += train.y.data[i] * f[i] <= 0;
        printf("RESULT adanet lambda=%g rounds=%d deepest=%d objective=%.4f falling=%d "
               "error=%.2f\n", lambdas[l], rounds, rounds ? deepest : 0, before, falls, 100 * wrong / N);
    }
    if (t.err) fprintf(stderr, "adanet: %s\n", t.msg);
    int failed = t.err || mem.err;
    bnn_tape_free(&t);
    bnn_arena_free(&mem);
    return failed;
}
