/* 2_paper.c -- lecture 2, exercises 1 and 2: the recursions of the variance, iterated.
 *     cc -O2 -I. docs/course/solutions/2_paper.c -o paper -lm && ./paper */
#include "../course.h"

int main(void) {
    for (int k = 0; k < 3; k++) { /* unit posterior variance, a = lr h */
        double a = k == 0 ? 0.1 : k == 1 ? 0.5 : 1.5, v = 0;
        for (int s = 0; s < 1000; s++) v = (1 - a) * (1 - a) * v + 2 * a;
        double rho = 1 - a, tau = (1 + rho) / (1 - rho);
        printf("a = %.1f: variance %.4f, 1/(1 - a/2) = %.4f; %.2f steps per independent draw\n", a,
               v, 1 / (1 - a / 2), tau);
        check(near(v, 1 / (1 - a / 2), 1e-9), "the variance is 1/(1 - a/2)");
        check(near(tau, 2 / a - 1, 1e-9), "the time is 2/a - 1");
    }
    double n = 100, batch = 10, vg = n * (n - batch) / (batch * (n - 1));
    double lr = 0.2 / vg;
    printf("batches of 10 of 100: noise of the batch below a tenth for a learning rate of %.4f\n",
           lr);
    check(near(lr * vg / 2, 0.1, 1e-12), "a tenth");
    return course_wrong;
}
