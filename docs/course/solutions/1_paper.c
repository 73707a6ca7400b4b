/* 1_paper.c -- lecture 1, exercises 1 and 2: the numbers found on paper, by brute force.
 *     cc -O2 -I. docs/course/solutions/1_paper.c -o paper -lm && ./paper */
#include "../course.h"

static double normal(double y, double mean, double var) {
    return exp(-(y - mean) * (y - mean) / (2 * var)) / sqrt(8 * atan(1) * var);
}

int main(void) {
    double total = 0, s1 = 0, s2 = 0, step = 1e-3;
    for (double w = -9; w < 9; w += step) { /* y = w x + N(0, 1), w ~ N(0, 1), (1, 1) and (2, 3) */
        double p = normal(w, 0, 1) * normal(1, w, 1) * normal(3, 2 * w, 1) * step;
        total += p, s1 += p * w, s2 += p * w * w;
    }
    double mean = s1 / total, sd = sqrt(s2 / total - mean * mean);
    printf("exercise 1: mean %.4f, sd %.4f, next y at x = 4: %.4f +- %.4f\n", mean, sd, 4 * mean,
           sqrt(16 * sd * sd + 1));
    check(near(mean, 7.0 / 6, 1e-6), "the mean is 7/6");
    check(near(sd, sqrt(1.0 / 6), 1e-6), "the sd is sqrt(1/6)");

    double first = normal(1, 0, 2);             /* y1: mean 0, variance 1 + 1        */
    double second = normal(3, 1, 2 + 1);        /* y2 given y1: w ~ N(1/2, 1/2), x 2 */
    printf("exercise 2: ln p(D) = %.4f; ln p(y1) + ln p(y2|y1) = %.4f + %.4f = %.4f\n", log(total),
           log(first), log(second), log(first) + log(second));
    check(near(log(total), log(first) + log(second), 1e-6), "the chain rule holds");
    return course_wrong;
}
