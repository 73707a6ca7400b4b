/* 1_3.c -- lecture 1, exercise 3: the evidence, one measurement at a time.
 *     cc -O2 -I. docs/course/solutions/1_3.c -o s -lm && ./s */
#include "../two_weights.h"

static double p[GRID * GRID];

int main(void) {
    double before = two_posterior(p, 0), sum = 0, all;
    printf("measurement   ln p(y | those before)   difference of evidences\n");
    for (int n = 0; n < N; n++) {
        double predictive = 0;
        for (int i = 0; i < GRID; i++) /* the mean of the next likelihood over the posterior */
            for (int j = 0; j < GRID; j++) {
                double w = two_cell(j), v = two_cell(i);
                double next = two_log_lik(w, v, n + 1) - two_log_lik(w, v, n);
                predictive += p[i * GRID + j] * exp(next);
            }
        double after = two_posterior(p, n + 1);
        printf("(%4.1f, %4.1f)   %22.4f   %23.4f\n", (double)two_x[n], (double)two_y[n],
               log(predictive), after - before);
        check(near(log(predictive), after - before, 1e-6), "the chain rule holds");
        sum += log(predictive);
        before = after;
    }
    all = two_posterior(p, N);
    printf("sum %.4f, ln p(D) %.4f\n", sum, all);
    check(near(sum, all, 1e-3), "the sum is the evidence (the grid ends at 4)");
    return course_wrong;
}
