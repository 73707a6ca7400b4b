/* 4_paper.c -- lecture 4, exercises 1 and 2: the formulas found on paper, by brute force.
 *     cc -O2 -I. docs/course/solutions/4_paper.c -o paper -lm && ./paper */
#include "../course.h"

enum { K = 4 };
static const double v[K] = { 3, 1, -2, -4 }, z[K] = { 1, 0.5, 0, -2 }; /* teacher, student */

static void softmax(const double *logit, double T, double *p) {
    double sum = 0;
    for (int k = 0; k < K; k++) sum += p[k] = exp(logit[k] / T);
    for (int k = 0; k < K; k++) p[k] /= sum;
}

/* T^2 times the cross-entropy of both, heated */
static double soft_loss(const double *student, double T) {
    double f[K], p[K], loss = 0;
    softmax(v, T, f), softmax(student, T, p);
    for (int k = 0; k < K; k++) loss -= T * T * f[k] * log(p[k]);
    return loss;
}

static void gradients(void) {
    const double heat[4] = { 1, 4, 20, 1000 };
    double mean_v = 0, mean_z = 0, limit[K], f[K], p[K];
    for (int k = 0; k < K; k++) mean_v += v[k] / K, mean_z += z[k] / K;
    printf("exercise 1, gradient of the logits");
    for (int t = 0; t < 4; t++) {
        softmax(v, heat[t], f), softmax(z, heat[t], p);
        printf("\nT = %4.0f  ", heat[t]);
        for (int k = 0; k < K; k++) {
            double up[K], down[K], h = 1e-4, g = heat[t] * (p[k] - f[k]);
            memcpy(up, z, sizeof up), memcpy(down, z, sizeof down);
            up[k] += h, down[k] -= h;
            double slope = (soft_loss(up, heat[t]) - soft_loss(down, heat[t])) / (2 * h);
            limit[k] = ((z[k] - mean_z) - (v[k] - mean_v)) / K;
            printf(" %8.4f", g);
            check(near(g, slope, 1e-4 * (1 + fabs(g))), "the gradient is T (p - f)");
            if (t == 3) check(near(g, limit[k], 0.005), "at a large T it is that of the logits");
        }
    }
    printf("\nlimit     ");
    for (int k = 0; k < K; k++) printf(" %8.4f", limit[k]);
    printf("\n");
}

static double normal(double x, double m, double s) {
    return exp(-(x - m) * (x - m) / (2 * s * s)) / (s * sqrt(8 * atan(1)));
}

/* The best mean and sd of a table of both, divergence by adding up slices */
static void moments(void) {
    double best = 1e300, mean = 0, sd = 0;
    for (int i = 0; i <= 40; i++)
        for (int j = 0; j <= 80; j++) {
            double m = -0.5 + 0.05 * i, s = 1 + 0.025 * j, kl = 0;
            for (int k = 0; k < 400; k++) {
                double x = -10 + 20 * (k + 0.5) / 400;
                double p = (normal(x, -2, 0.6) + normal(x, 2.5, 1)) / 2, r = (x - m) / s;
                kl += p * (log(p) + r * r / 2 + log(s * sqrt(8 * atan(1)))) * 20 / 400;
            }
            if (kl < best) best = kl, mean = m, sd = s;
        }
    printf("exercise 2: the best normal law has mean %.2f, sd %.3f, divergence %.4f\n", mean, sd,
           best);
    printf("            moments: mean 0.25, sd %.3f\n", sqrt(5.7425));
    check(near(mean, 0.25, 0.026) && near(sd, sqrt(5.7425), 0.013), "the moments of p");
}

int main(void) {
    gradients();
    moments();
    return course_wrong;
}
