/* polynomial.h -- the model of lecture 7 and of its exercises: polynomials of degree 0 to 12, noisy
 * rows of a function that is none of them, and the posterior of the weights in closed form. */
#ifndef POLYNOMIAL_H
#define POLYNOMIAL_H
#include "course.h"

enum { DEGREES = 13 };
static const double NOISE = 0.2, LN_2PI = 1.8378770664093453; /* sd of a measurement */

static inline double truth(double x) { return sin(3 * x + 0.5); }

/* T_k(x) = cos(k arccos x), k = 0 .. degree: polynomials of degree k */
static inline bnn_mat features(bnn_arena *mem, bnn_mat x, int degree) {
    size_t d = (size_t)degree + 1;
    bnn_mat f = bnn_mat_new(mem, x.rows, d);
    for (size_t i = 0; i < x.rows && f.data; i++)
        for (size_t k = 0; k < d; k++)
            f.data[i * d + k] = (float)cos((double)k * acos((double)x.data[i]));
    return f;
}

static inline bnn_data measure(bnn_arena *mem, bnn_rng *rng, size_t rows) {
    bnn_data d = { bnn_mat_new(mem, rows, 1), bnn_mat_new(mem, rows, 1) };
    for (size_t i = 0; i < rows && !mem->err; i++) {
        d.x.data[i] = 2 * bnn_rng_uniform(rng) - 1;
        d.y.data[i] = (float)(truth((double)d.x.data[i]) + NOISE * (double)bnn_rng_normal(rng));
    }
    return d;
}

typedef struct { bnn_mat mean, cov; double log_evidence; } posterior;

/* alpha: precision of each weight's prior; beta: that of the noise */
static inline posterior solve(bnn_arena *mem, bnn_data d, const double *alpha, double beta) {
    posterior q = { bnn_mat_new(mem, d.x.cols, 1), bnn_mat_new(mem, d.x.cols, d.x.cols), 0 };
    if (!mem->err) q.log_evidence = bnn_linear_evidence(mem, q.mean, q.cov, d, alpha, beta);
    return q;
}

static inline posterior solve_even(bnn_arena *mem, bnn_data d, double alpha, double beta) {
    double all[DEGREES];
    for (int k = 0; k < DEGREES; k++) all[k] = alpha;
    return solve(mem, d, all, beta);
}

/* Mean and variance of f at row i */
static inline double mean_at(const posterior *q, bnn_mat x, size_t i, double *var) {
    const float *f = x.data + i * x.cols;
    double m = 0, v = 0;
    for (size_t j = 0; j < x.cols; j++) {
        m += (double)f[j] * (double)q->mean.data[j];
        for (size_t k = 0; k < x.cols && var; k++)
            v += (double)f[j] * (double)f[k] * (double)q->cov.data[j * x.cols + k];
    }
    if (var) *var = v;
    return m;
}

/* Sums over the rows: squared errors of the mean, variances of f, ln p(y) of the predictive */
typedef struct { double square, spread, log_p; } sums;

static inline sums look(const posterior *q, bnn_data d) {
    sums s = { 0, 0, 0 };
    for (size_t i = 0; i < d.x.rows; i++) {
        double v, e = mean_at(q, d.x, i, &v) - (double)d.y.data[i], all = v + NOISE * NOISE;
        s.square += e * e, s.spread += v;
        s.log_p -= e * e / (2 * all) + log(all) / 2 + LN_2PI / 2;
    }
    return s;
}
#endif
