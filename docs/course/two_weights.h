/* two_weights.h -- the smallest network that is one: y = v tanh(w x) + noise, two weights, six
 * measurements. Its posterior fits on a sheet of paper, so every method can be compared with the
 * truth. Lectures 1 and 2 use it. */
#ifndef TWO_WEIGHTS_H
#define TWO_WEIGHTS_H
#include "course.h"

enum { N = 6, GRID = 400 };
static float two_x[N] = { -1, -0.6f, -0.2f, 0.2f, 0.6f, 1 };
static float two_y[N] = { -0.9f, -0.4f, -0.3f, 0.1f, 0.5f, 0.8f };
static const double two_noise = 0.2; /* standard deviation of the noise; priors are N(0, 1) */

static inline bnn_data two_data(void) {
    bnn_data d = { { N, 1, two_x }, { N, 1, two_y } };
    return d;
}

/* For the library: the same network as operations on a tape */
static inline bnn_var *two_forward(bnn_tape *t, const bnn_net *net, bnn_var *x) {
    bnn_var *hidden = bnn_tanh(bnn_mul(bnn_param(t, net->params, 0), x));
    return bnn_mul(bnn_param(t, net->params, 1), hidden);
}

static inline bnn_net two_net(bnn_arena *mem) {
    bnn_params *w = bnn_params_new(mem);
    bnn_params_add(w, 1, 1, "w", (bnn_prior){ .std = 1 });
    bnn_params_add(w, 1, 1, "v", (bnn_prior){ .std = 1 });
    return (bnn_net){ .params = w, .forward = two_forward, .noise_std = (float)two_noise };
}

/* ln p(y | w, v) of the first n measurements */
static inline double two_log_lik(double w, double v, int n) {
    double sum = 0;
    for (int i = 0; i < n; i++) {
        double z = ((double)two_y[i] - v * tanh(w * (double)two_x[i])) / two_noise;
        sum += -z * z / 2 - log(two_noise * sqrt(8 * atan(1)));
    }
    return sum;
}

static inline double two_log_prior(double w, double v) {
    return -(w * w + v * v) / 2 - log(8 * atan(1));
}

/* The middle of cell i of GRID cells from -4 to 4 */
static inline double two_cell(int i) { return -4 + 8 * (i + 0.5) / GRID; }

/* The posterior by brute force: p[i * GRID + j] at (w, v) = (cell j, cell i), of the first n
 * measurements, sum 1. Returns ln p(D), the evidence. */
static inline double two_posterior(double *p, int n) {
    double total = 0, area = (8.0 / GRID) * (8.0 / GRID);
    for (int i = 0; i < GRID; i++)
        for (int j = 0; j < GRID; j++) {
            double w = two_cell(j), v = two_cell(i);
            p[i * GRID + j] = exp(two_log_lik(w, v, n) + two_log_prior(w, v)) * area;
            total += p[i * GRID + j];
        }
    for (int i = 0; i < GRID * GRID; i++) p[i] /= total;
    return log(total);
}

/* Mean and variance of f(x) = v tanh(w x) under it */
static inline void two_moments(const double *p, double x, double *mean, double *var) {
    double s1 = 0, s2 = 0;
    for (int i = 0; i < GRID; i++)
        for (int j = 0; j < GRID; j++) {
            double f = two_cell(i) * tanh(two_cell(j) * x);
            s1 += p[i * GRID + j] * f;
            s2 += p[i * GRID + j] * f * f;
        }
    *mean = s1;
    *var = s2 - s1 * s1;
}
#endif
