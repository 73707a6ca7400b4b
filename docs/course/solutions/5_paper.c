/* 5_paper.c -- lecture 5, exercises 1 and 2: the numbers found on paper, by brute force.
 *     cc -O2 -I. docs/course/solutions/5_paper.c -o paper -lm && ./paper */
#include "../course.h"

/* Exercise 1: mean (0.6, 0.5), variances 0.09 and 0.16, covariance -0.1, on a grid */
static void cut_and_shadow(void) {
    enum { G = 1201 };
    const double c = -0.1, v1 = 0.09, v2 = 0.16, det = v1 * v2 - c * c;
    double s[3] = { 0, 0, 0 }, t[3] = { 0, 0, 0 };
    for (int i = 0; i < G; i++)
        for (int j = 0; j < G; j++) {
            double w1 = -2.4 + 6.0 * i / (G - 1), w2 = -3 + 6.0 * j / (G - 1);
            double a = w1 - 0.6, b = w2 - 0.5;
            double p = exp(-(v2 * a * a - 2 * c * a * b + v1 * b * b) / (2 * det));
            double cut = j == G / 2 ? p : 0; /* the row w2 = 0 */
            s[0] += p, s[1] += p * w1, s[2] += p * w1 * w1;
            t[0] += cut, t[1] += cut * w1, t[2] += cut * w1 * w1;
        }
    double ms = s[1] / s[0], vs = s[2] / s[0] - ms * ms, mt = t[1] / t[0];
    double vt = t[2] / t[0] - mt * mt;
    printf("exercise 1: marginal    mean %.4f, variance %.4f\n", ms, vs);
    printf("exercise 1: conditional mean %.4f, variance %.4f\n", mt, vt);
    check(near(ms, 0.6, 1e-6) && near(vs, v1, 1e-6), "the marginal");
    check(near(mt, 0.6 - c / v2 * 0.5, 1e-6) && near(vt, v1 - c * c / v2, 1e-6), "conditional");
}

/* Exercise 2: the mean of 20 measurements that are counted k times, in many worlds */
static void count_again(void) {
    enum { N = 20, WORLDS = 100000 };
    const int times[4] = { 1, 2, 4, 10 };
    int inside[4] = { 0, 0, 0, 0 };
    bnn_rng rng = bnn_rng_seed(2);
    for (int i = 0; i < WORLDS; i++) {
        double w = (double)bnn_rng_normal(&rng);
        double mean = w + (double)bnn_rng_normal(&rng) / sqrt(N);
        for (int k = 0; k < 4; k++) {
            double m = 0, a = 1; /* the prior N(0, 1), then k posteriors, each the next prior */
            for (int g = 0; g < times[k]; g++) m = (a * m + N * mean) / (a + N), a += N;
            inside[k] += fabs(w - m) < 1.96 / sqrt(a);
        }
    }
    for (int k = 0; k < 4; k++) {
        double a = 1 + times[k] * N, b = a - 1; /* error of m given the data and the prior */
        double error = (b / a) * (b / a) / N + 1 / (a * a);
        double said = 1 / a, share = 2 * bnn_normal_cdf(1.96 * sqrt(said / error)) - 1;
        double seen = (double)inside[k] / WORLDS;
        printf("exercise 2: counted %2d times: variance said %.4f, true %.4f, inside %.1f %%, "
               "by formula %.1f %%\n", times[k], said, error, 100 * seen, 100 * share);
        check(near(seen, share, 0.007), "the share inside");
    }
}

int main(void) {
    cut_and_shadow();
    count_again();
    return course_wrong;
}
