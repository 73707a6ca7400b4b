/* 8_4.c -- lecture 8, exercise 4: leaving one out of a line, exactly and by weights.
 *     cc -O2 -I. docs/course/solutions/8_4.c -o s -lm && ./s */
#include "../course.h"

enum { N = 20, SAMPLES = 4000 };
static const double noise = 0.5;
typedef struct line { double A[2][2], m[2], det; } line; /* y = w0 + w1 x, w ~ N(0, I) */

static line learn(const double *x, const double *y, int without) {
    line g = { { { 1, 0 }, { 0, 1 } }, { 0, 0 }, 0 };
    double v = noise * noise, r0 = 0, r1 = 0;
    for (int i = 0; i < N; i++) {
        if (i == without) continue;
        g.A[0][0] += 1 / v, g.A[0][1] += x[i] / v, g.A[1][1] += x[i] * x[i] / v;
        r0 += y[i] / v, r1 += x[i] * y[i] / v;
    }
    g.det = g.A[0][0] * g.A[1][1] - g.A[0][1] * g.A[0][1];
    g.m[0] = (g.A[1][1] * r0 - g.A[0][1] * r1) / g.det;
    g.m[1] = (g.A[0][0] * r1 - g.A[0][1] * r0) / g.det;
    return g;
}

static double spread(const line *g, double x) { /* variance of the line at x */
    return (g->A[1][1] - 2 * x * g->A[0][1] + x * x * g->A[0][0]) / g->det;
}

static double normal_ln(double y, double m, double v) {
    return -((y - m) * (y - m) / v + log(v * 8 * atan(1))) / 2;
}

static void draws(const line *g, const double *x, const double *y, bnn_rng *rng, bnn_mat ll) {
    double l0 = sqrt(g->A[0][0]), l1 = g->A[0][1] / l0, l2 = sqrt(g->A[1][1] - l1 * l1);
    for (size_t s = 0; s < SAMPLES; s++) { /* A = L L', w = m + L^-T z */
        double z0 = (double)bnn_rng_normal(rng), w1 = (double)bnn_rng_normal(rng) / l2;
        double w0 = (z0 - l1 * w1) / l0;
        for (int i = 0; i < N; i++)
            *bnn_mat_at(ll, s, (size_t)i) =
                (float)normal_ln(y[i], g->m[0] + w0 + (g->m[1] + w1) * x[i], noise * noise);
    }
}

/* Sums of exact and estimated ln p(y_i given the others); *last: error of the last point */
static bnn_loo leave_out(bnn_arena *mem, bnn_rng *rng, const double *x, const double *y,
                         const char *name, double *exact, double *last) {
    bnn_mat ll = bnn_mat_new(mem, SAMPLES, N), points = bnn_mat_new(mem, 1, N);
    bnn_loo loo = { 0, 0, 0, 0, 0, 0 };
    line all = learn(x, y, -1);
    double point = 0;
    if (mem->err) return loo;
    draws(&all, x, y, rng, ll);
    loo = bnn_diag_loo(mem, points, (bnn_mat){ 0 }, ll, 0);
    *exact = 0;
    for (int i = 0; i < N; i++) {
        line g = learn(x, y, i); /* fitted again, without the point */
        double h = spread(&all, x[i]), v = noise * noise, f = all.m[0] + all.m[1] * x[i];
        double left = 1 - h / v; /* the same without fitting again */
        point = normal_ln(y[i], g.m[0] + g.m[1] * x[i], v + spread(&g, x[i]));
        check(near(point, normal_ln(y[i], (f - h / v * y[i]) / left, v + h / left), 1e-8),
              "formula of the solution");
        *exact += point;
    }
    *last = (double)points.data[N - 1] - point;
    printf("%-12s %9.2f %9.2f %9.2f %11.2f %9d %12.2f %9.2f\n", name, *exact, loo.elpd,
           bnn_diag_waic(ll).elpd, loo.worst_k, (int)loo.high, point, (double)points.data[N - 1]);
    return loo;
}

int main(void) {
    bnn_arena mem = { 0 };
    bnn_tape tape = { .rng = bnn_rng_seed(84) };
    double x[N], y[N], exact, last;
    for (int i = 0; i < N; i++) {
        x[i] = -1 + 2.0 * i / (N - 1);
        y[i] = 0.5 + x[i] + noise * (double)bnn_rng_normal(&tape.rng);
    }
    printf("nats             exact      PSIS      WAIC   largest k   above .7   last: exact   "
           "  PSIS\n");
    bnn_loo good = leave_out(&mem, &tape.rng, x, y, "as measured", &exact, &last);
    check(near(good.elpd, exact, 0.1) && good.high == 0, "PSIS agrees where k is small");
    x[N - 1] = 5, y[N - 1] = -2; /* far from all others, and wrong */
    bnn_loo bad = leave_out(&mem, &tape.rng, x, y, "one far off", &exact, &last);
    check(bad.high >= 1 && last > 1, "k warns, and the estimate is too good");
    return done(&mem, &tape);
}
