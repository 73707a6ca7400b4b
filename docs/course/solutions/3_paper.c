/* 3_paper.c -- lecture 3, exercises 1 and 2: the numbers found on paper, by brute force.
 *     cc -O2 -I. docs/course/solutions/3_paper.c -o paper -lm && ./paper */
#include "../course.h"

static double normal_ln(double w, double mean, double sd) {
    return -(w - mean) * (w - mean) / (2 * sd * sd) - log(sd * sqrt(8 * atan(1)));
}

/* E_q[h (w - c)^2 / 2] and KL(q || N(0, 1)), q = N(mu, s^2), by adding up slices */
static double free_energy(double mu, double s, double h, double c, double *kl) {
    double error = 0, complexity = 0;
    for (int i = 0; i < 600; i++) {
        double z = -8 + 16 * (i + 0.5) / 600, w = mu + s * z, dq;
        dq = exp(normal_ln(z, 0, 1)) * 16 / 600;
        error += dq * h * (w - c) * (w - c) / 2;
        complexity += dq * (normal_ln(w, mu, s) - normal_ln(w, 0, 1));
    }
    *kl = complexity;
    return error + complexity;
}

int main(void) {
    const double h[3] = { 99, 3, 0 };
    for (int k = 0; k < 3; k++) { /* the best of a fine grid of mu and s, c = 1 */
        double best = 1e300, mu = 0, s = 0, bits = 0, kl;
        for (int i = 0; i <= 100; i++)
            for (int j = 1; j <= 100; j++) {
                double f = free_energy(i / 100.0, j / 100.0, h[k], 1, &kl);
                if (f < best) best = f, mu = i / 100.0, s = j / 100.0, bits = kl / log(2);
            }
        printf("exercise 1: h = %2.0f: mean %.2f, sd %.2f, %.3f bits\n", h[k], mu, s, bits);
        check(near(mu, h[k] / (h[k] + 1), 1e-9), "the mean is h c/(h + 1)");
        check(near(s, 1 / sqrt(h[k] + 1), 1e-9), "the sd is 1/sqrt(h + 1)");
        check(near(bits * log(2), -log(s) + (s * s + mu * mu - 1) / 2, 1e-6), "the formula");
    }
    double r = 0.9, g = 0; /* A = ((1, r), (r, 1)); KL(q || p) by adding up cells, s = 1 for both */
    enum { G = 400 };
    for (int i = 0; i < G; i++)
        for (int j = 0; j < G; j++) {
            double u = -8 + 16 * (i + 0.5) / G, v = -8 + 16 * (j + 0.5) / G;
            double q = normal_ln(u, 0, 1) + normal_ln(v, 0, 1);
            double p = -(u * u + 2 * r * u * v + v * v) / 2 + log(1 - r * r) / 2 - log(8 * atan(1));
            g += exp(q) * (q - p) * (16.0 / G) * (16.0 / G);
        }
    printf("exercise 2: r = 0.9: gap %.4f nats, -ln(1 - r^2)/2 = %.4f\n", g, -log(1 - r * r) / 2);
    printf("variance over the true one: a weight %.2f, w1 + w2 %.2f, w1 - w2 %.2f\n", 1 - r * r,
           1 + r, 1 - r);
    check(near(g, -log(1 - r * r) / 2, 1e-6), "the gap");
    return course_wrong;
}
