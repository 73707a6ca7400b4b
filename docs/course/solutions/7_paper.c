/* 7_paper.c -- lecture 7, exercises 1 and 2: the numbers found on paper, by brute force.
 *     cc -O2 -I. docs/course/solutions/7_paper.c -o paper -lm && ./paper */
#include "../course.h"

static double normal(double y, double mean, double sd) {
    return exp(-(y - mean) * (y - mean) / (2 * sd * sd)) / (sd * sqrt(8 * atan(1)));
}

/* The homework, for any sets of choices: E ln p and KL are drawn at random */
static void homework(void) {
    enum { SETS = 200, CHOICES = 30, STEPS = 50 };
    bnn_rng rng = bnn_rng_seed(7);
    int rises = 0, better = 0, convex = 1;
    for (int set = 0; set < SETS; set++) {
        double lik[CHOICES], kl[CHOICES], value[STEPS] = { 0 };
        int before = -1;
        for (int i = 0; i < CHOICES; i++) {
            kl[i] = 10 * (double)bnn_rng_uniform(&rng);
            lik[i] = 3 * kl[i] * (double)bnn_rng_uniform(&rng);
        }
        for (int s = 0; s < STEPS; s++) {
            double lq = 4.0 * s / STEPS;
            int h = 0;
            for (int i = 1; i < CHOICES; i++)
                if (lik[i] - lq * kl[i] > lik[h] - lq * kl[h]) h = i;
            if (before >= 0) rises += kl[h] > kl[before], better += lik[h] > lik[before];
            value[s] = lik[h] - lq * kl[h];
            if (s > 1) convex &= value[s] - 2 * value[s - 1] + value[s - 2] >= -1e-9;
            before = h;
        }
    }
    printf("exercise 1: %d random problems: KL rises %d times, the fit %d times, convex: %d\n",
           SETS, rises, better, convex);
    check(rises == 0 && better == 0 && convex, "complexity is monotone, the value convex");
}

/* One weight, X'X = e, u = beta e/lL, least-squares weight sqrt(r): the KL, and the mean of (w -
 * sqrt(r))^2, which beta e/2 times is what E ln p loses */
static double kl_of(double alpha, double u, double r, double *miss) {
    double a = alpha + u, m = u * sqrt(r) / a;
    *miss = (m - sqrt(r)) * (m - sqrt(r)) + 1 / a;
    return (alpha * (m * m + 1 / a) - 1 - log(alpha) + log(a)) / 2;
}

static void lower_knob(void) {
    double kl[3];
    for (int k = 0; k < 3; k++) { /* e beta = 4, r = 1: alpha is 1 or 1e12; lQ = lLL = 1 */
        double lower = k == 0 ? 0.001 : k == 1 ? 1 : 100, miss[2], c[2];
        for (int i = 0; i < 2; i++) c[i] = kl_of(i ? 1e12 : 1, 4 / lower, 1, &miss[i]);
        kl[k] = -2 * miss[0] - c[0] > -2 * miss[1] - c[1] ? c[0] : c[1];
        printf("exercise 1: lL = %5g: KL of the choice %.3f, at alpha = 1 %.3f\n", lower, kl[k],
               c[0]);
    }
    check(kl[0] < kl[1] && kl[2] < kl[1], "in lL there is no such law");
}

/* n = 4, s = 2, so that the standard error is 1; only ybar matters for the ratio */
static double log_ratio(double ybar, double prior) {
    double sum = 0;
    for (int i = 0; i < 40000; i++) {
        double w = -40 + 80 * (i + 0.5) / 40000;
        sum += normal(w, 0, prior) * normal(ybar, w, 1) * 80 / 40000;
    }
    return log(sum / normal(ybar, 0, 1));
}

int main(void) {
    homework();
    lower_knob();
    double best = 0, most = -1e300, lo = 3, hi = 9;
    for (int i = 1; i <= 400; i++) {
        double v = log_ratio(2, i / 100.0);
        if (v > most) most = v, best = i / 100.0;
    }
    for (int i = 0; i < 40; i++) *(log_ratio(2, (lo + hi) / 2) > 0 ? &lo : &hi) = (lo + hi) / 2;
    printf("exercise 2: best S %.2f standard errors, ratio there %.4f nats; 0 at S = %.3f\n", best,
           most, lo);
    double r = lo * lo / (1 + lo * lo), formula = 2 * r + log(1 - r) / 2;
    check(near(best, sqrt(3), 0.01), "S^2 = ybar^2 - s^2/n");
    check(near(most, 1.5 - log(2), 1e-4), "3/2 - ln 2");
    check(near(formula, 0, 1e-4), "the closed form");
    return course_wrong;
}
