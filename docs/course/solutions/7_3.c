/* 7_3.c -- lecture 7, exercise 3: MacKay's fixed point for the prior's precision and the noise's,
 * beside the maximum of the evidence on a grid.
 *     cc -O2 -I. docs/course/solutions/7_3.c -o s -lm && ./s */
#include "../polynomial.h"

enum { ROWS = 20, DEGREE = 5, G = 161 };

int main(void) {
    bnn_arena mem = { 0 };
    bnn_tape tape = { .rng = bnn_rng_seed(1) };
    bnn_data d = measure(&mem, &tape.rng, ROWS);
    double alpha = 1, beta = 1, best = -1e300, at[2] = { 0, 0 }, reached = 0;
    d.x = features(&mem, d.x, DEGREE);
    if (mem.err) return done(&mem, &tape);
    printf("round       alpha      beta   noise sd     gamma   ln p(D)\n");
    for (int round = 0; round <= 40; round++) {
        bnn_mark mark = bnn_arena_mark(&mem);
        posterior q = solve_even(&mem, d, alpha, beta);
        double gamma = 0, square = 0;
        for (int j = 0; j <= DEGREE; j++) {
            double m = (double)q.mean.data[j];
            gamma += 1 - alpha * (double)q.cov.data[j * (DEGREE + 1) + j];
            square += m * m;
        }
        if (round < 4 || round == 40)
            printf("%5d %11.4f %9.3f %10.3f %9.3f %9.3f\n", round, alpha, beta, 1 / sqrt(beta),
                   gamma, q.log_evidence);
        reached = q.log_evidence;
        if (round < 40) alpha = gamma / square, beta = (ROWS - gamma) / look(&q, d).square;
        bnn_arena_rewind(&mem, mark);
    }
    for (int i = 0; i < G * G; i++) {
        bnn_mark mark = bnn_arena_mark(&mem);
        double a = -1 + 4.0 * (i / G) / (G - 1), b = 2 + 3.0 * (i % G) / (G - 1);
        double v = solve_even(&mem, d, exp(a), exp(b)).log_evidence;
        if (v > best) best = v, at[0] = a, at[1] = b;
        bnn_arena_rewind(&mem, mark);
    }
    printf("grid  %11.4f %9.3f %10.3f %19.3f\n", exp(at[0]), exp(at[1]), exp(-at[1] / 2), best);
    check(near(log(alpha), at[0], 0.026) && near(log(beta), at[1], 0.02), "the maximum is there");
    check(reached >= best - 1e-4, "and not lower");
    return done(&mem, &tape);
}
