/* 8_paper.c -- lecture 8, exercises 1 and 2: the numbers found on paper, by brute force.
 *     cc -O2 -I. docs/course/solutions/8_paper.c -o paper -lm && ./paper */
#include "../course.h"

static double normal_ln(double x, double mean, double var) {
    return -(x - mean) * (x - mean) / (2 * var) - log(var * 8 * atan(1)) / 2;
}

/* x = 2 t + noise, noise ~ N(0, 1), x = 1: ELBO of q = N(m, v) by adding up slices of t */
static double elbo(double m, double v) {
    double sum = 0;
    for (int i = 0; i < 4000; i++) {
        double t = m + sqrt(v) * (-8 + 16 * (i + 0.5) / 4000), ln_q = normal_ln(t, m, v);
        sum += exp(ln_q) * sqrt(v) * 16 / 4000 *
               (normal_ln(1, 2 * t, 1) + normal_ln(t, 0, 1) - ln_q);
    }
    return sum;
}

/* Mean score of saying q where the truth is p: log, Brier (both classes), linear */
static double score(int kind, double p, double q) {
    if (kind == 0) return -p * log(q) - (1 - p) * log(1 - q);
    if (kind == 1) return 2 * (p * (1 - q) * (1 - q) + (1 - p) * q * q);
    return p * (1 - q) + (1 - p) * q;
}

int main(void) {
    static const char *const names[3] = { "log", "Brier", "linear" };
    double ln_p = normal_ln(1, 0, 5), best = -1e300, best_m = 0, best_v = 0, kl;
    for (int i = 0; i <= 20; i++)
        for (int j = 1; j <= 20; j++) {
            double e = elbo(0.05 * i, 0.05 * j);
            if (e > best) best = e, best_m = 0.05 * i, best_v = 0.05 * j;
        }
    printf("exercise 1: ln p(1) = %.4f; highest bound %.4f at mean %.2f, variance %.2f\n", ln_p,
           best, best_m, best_v);
    kl = (2 - 1 - log(2)) / 2;
    printf("variance doubled: bound %.4f, below ln p by %.4f; KL %.4f\n", elbo(0.4, 0.4),
           ln_p - elbo(0.4, 0.4), kl);
    check(near(best, ln_p, 1e-6) && near(best_m, 0.4, 1e-9) && near(best_v, 0.2, 1e-9),
          "the posterior is N(2/5, 1/5)");
    check(near(ln_p - elbo(0.4, 0.4), kl, 1e-6), "the gap is the KL");
    for (int k = 0; k < 3; k++) {
        double least = 1e300, said = 0, p = 0.7;
        for (int i = 1; i < 1000; i++) {
            double s = score(k, p, i / 1000.0);
            if (s < least) least = s, said = i / 1000.0;
        }
        printf("exercise 2: p = 0.7: %-6s score is best at %.3f; saying 0.9 costs %.4f more\n",
               names[k], said, score(k, p, 0.9) - score(k, p, p));
        if (k < 2) check(near(said, p, 1e-9), "proper: the truth is best");
        else check(near(said, 0.999, 1e-9), "the linear score wants certainty");
    }
    check(near(score(0, 0.7, 0.9) - score(0, 0.7, 0.7),
               0.7 * log(0.7 / 0.9) + 0.3 * log(0.3 / 0.1), 1e-12), "log: the KL");
    check(near(score(1, 0.7, 0.9) - score(1, 0.7, 0.7), 2 * 0.2 * 0.2, 1e-12), "Brier: squares");
    return course_wrong;
}
