/* 6_paper.c -- lecture 6, exercises 1 and 2: the limits, by adding up slices of exact densities.
 *     cc -O2 -I. docs/course/solutions/6_paper.c -o paper -lm && ./paper */
#include "../course.h"

/* K = 2, odds 2 : 1. u_1 - u_2 = ln 2 + logistic noise, y_1 its sigmoid at tau. E of |y - c|^2 and
 * of 1 - max y */
static void gumbel(double tau, double *far, double *rest) {
    enum { SLICES = 400000 };
    *far = *rest = 0;
    for (int i = 0; i < SLICES; i++) {
        double z = -40 + 80 * (i + 0.5) / SLICES, e = exp(-fabs(z)), y, l = (log(2) + z) / tau;
        double weight = e / ((1 + e) * (1 + e)) * 80 / SLICES;
        y = 1 / (1 + exp(-l));
        *far += weight * 2 * (y - 0.5) * (y - 0.5);
        *rest += weight / (1 + exp(fabs(l)));
    }
}

/* Beta(2 tau, tau), on the scale z = ln x - ln(1 - x): E of the sum of squares of x, 1 - x */
static double squares(double tau) {
    enum { SLICES = 400000 };
    double a = 2 * tau, b = tau, sum = 0, width = 80 / tau + 80;
    for (int i = 0; i < SLICES; i++) {
        double z = width * ((i + 0.5) / SLICES - 0.5), x = 1 / (1 + exp(-z));
        double soft = z > 0 ? z + log1p(exp(-z)) : log1p(exp(z)); /* ln(1 + e^z) */
        sum += exp(lgamma(a + b) - lgamma(a) - lgamma(b) + a * z - (a + b) * soft) *
               (x * x + (1 - x) * (1 - x)) * width / SLICES;
    }
    return sum;
}

int main(void) {
    const double pi = 4 * atan(1), hot = (pi * pi / 6 + log(2) * log(2) / 2) / 4;
    const double cold = log(2) * 4 / 9, taus[6] = { 0.001, 0.01, 0.1, 1, 10, 100 };
    double far = 0, rest = 0;
    printf("exercise 1: K = 2, odds 2 : 1\n   tau   tau^2 E|y - c|^2   E(1 - max)/tau\n");
    for (int i = 0; i < 6; i++) {
        gumbel(taus[i], &far, &rest);
        printf("%6g %18.5f %16.5f\n", taus[i], far * taus[i] * taus[i], rest / taus[i]);
        check(far * taus[i] * taus[i] <= hot + 1e-9, "the bound (a), which has K^2 = 4 here");
        check(rest <= taus[i] / 2, "the bound (c)");
        if (i == 0) check(near(rest / taus[i], cold, 1e-3), "the limit of (c)");
    }
    check(near(far * 1e4, hot, 1e-3), "the limit (b)");
    printf("limits %18.5f %16.5f\n", hot, cold);
    printf("exercise 2: alpha = tau (2, 1)\n   tau   E(sum of squares)   formula\n");
    for (int i = 1; i < 6; i++) {
        double m2 = 5 / 9.0, formula = m2 + (1 - m2) / (3 * taus[i] + 1), s = squares(taus[i]);
        printf("%6g %19.5f %9.5f\n", taus[i], s, formula);
        check(near(s, formula, 1e-4), "the formula of exercise 2");
    }
    return course_wrong;
}
